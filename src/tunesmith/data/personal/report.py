"""What was found, by kind, and what cannot be; read from the Findings alone, which hold places and never values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tunesmith.core.findings import Finding
from tunesmith.data.personal.spans import KINDS, NOT_FOUND, PATTERN_KINDS, Span

_PLACE = re.compile(r"(?:^|; )(\w+) (\d+)-(\d+)")


def described(spans: Sequence[Span]) -> str:
    """A Finding's reason: "email 12-34 (0.99: form); person 40-52 (0.85: a given name)"."""
    return "; ".join(f"{s.kind} {s.start}-{s.end} ({s.score:.2f}: {s.reason})" for s in spans)


def places_in(reason: str) -> list[tuple[str, int, int]]:
    """(kind, start, end) of each span that `described` wrote."""
    return [(kind, int(start), int(end)) for kind, start, end in _PLACE.findall(reason) if kind in KINDS]


def summary(findings: Iterable[Finding], *, kinds: Sequence[str] | None = None) -> dict[str, Any]:
    """Counts for the report: per kind the values and the texts (or answers) that hold one; texts replaced or flagged.

    kinds: those that were searched; None: the step's default. "not_searched" are the others, "cannot_find" says what
    no count covers.
    """
    searched = PATTERN_KINDS if kinds is None else kinds
    spans: Counter[str] = Counter()
    texts: Counter[str] = Counter()
    done: Counter[str] = Counter()
    for finding in findings:
        found = places_in(finding.reason)
        spans.update(kind for kind, _, _ in found)
        texts.update({kind for kind, _, _ in found})
        done[finding.action] += 1
    return {
        "kinds": {kind: {"values": spans[kind], "texts": texts[kind]} for kind in KINDS if spans[kind]},
        "replaced": done["fix"],
        "flagged": done["flag"],
        "not_searched": [kind for kind in KINDS if kind not in searched],
        "cannot_find": list(NOT_FOUND),
    }
