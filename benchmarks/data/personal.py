"""Cell `personal`: recall and precision on presidio-research's sentences, by kind, beside presidio.

Templates are split in two by a hash: rules and weights were developed on one half ("developed"), the other ("held
out") is what counts for names. A labelled span is found if at least half of its letters and digits lie in reported
spans of a kind that fits; a reported span is right if at least half of its letters and digits lie in labelled spans
that fit. A town, country or postal code inside an address fits both place and address, for the labels put it in
either. Organisations are reported and have no bar. The peer (--peer personal=PYTHON) is presidio with the small
English spaCy model that its interpreter has; presidio finds no postal addresses, so its row for names is of persons
and places too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from report import row

from tunesmith.data.personal.find import find, finder
from tunesmith.data.personal.spans import KINDS, PATTERN_KINDS

HERE = Path(__file__).parent
LABELS = {
    "PERSON": "person", "STREET_ADDRESS": "address", "GPE": "place", "ORGANIZATION": "organisation",
    "CREDIT_CARD": "card", "PHONE_NUMBER": "phone", "EMAIL_ADDRESS": "email", "DOMAIN_NAME": "url",
    "IBAN_CODE": "iban", "US_SSN": "national_id", "IP_ADDRESS": "ip",
}  # fmt: skip
ALSO = {"place": {"address"}, "address": {"place", "postcode"}}  # kinds that may stand for a labelled one
FITS = {
    "person": {"PERSON", "TITLE"},
    "place": {"GPE", "STREET_ADDRESS"},
    "address": {"STREET_ADDRESS", "GPE", "ZIP_CODE"},
}
PATTERNS = ("email", "url", "ip", "iban", "card", "national_id", "phone")
NAMES = ("person", "place", "address")
Found = list[list[tuple[str, int, int]]]


def held_out(template: int) -> bool:
    return int(hashlib.sha256(f"presidio template {template}".encode()).hexdigest(), 16) % 2 == 1


def counts(rows: list[dict[str, Any]], found: Found) -> dict[str, Counter[str]]:
    """kind -> labelled, hit, reported, right."""
    table: dict[str, Counter[str]] = {}
    for given, spans in zip(rows, found, strict=True):
        text = given["full_text"]
        labelled = [(s["entity_type"], _letters(text, s["start_position"], s["end_position"])) for s in given["spans"]]
        reported = [(kind, _letters(text, start, end)) for kind, start, end in spans]
        for name, letters in labelled:
            kind = LABELS.get(name)
            if kind is None:
                continue
            fitting = {kind} | ALSO.get(kind, set())
            covered = set().union(*(have for other, have in reported if other in fitting))
            count = table.setdefault(kind, Counter())
            count["labelled"] += 1
            count["hit"] += 2 * len(letters & covered) >= len(letters)
        for kind, letters in reported:
            names = FITS.get(kind) or {name for name, other in LABELS.items() if other == kind}
            covered = set().union(*(have for name, have in labelled if name in names))
            count = table.setdefault(kind, Counter())
            count["reported"] += 1
            count["right"] += 2 * len(letters & covered) >= len(letters)
    return table


def _letters(text: str, start: int, end: int) -> set[int]:
    return {at for at in range(start, end) if text[at].isalnum()}


def rates(table: dict[str, Counter[str]], kinds: tuple[str, ...]) -> dict[str, float]:
    total = sum((table.get(kind, Counter()) for kind in kinds), Counter())
    return {
        "recall": round(total["hit"] / max(1, total["labelled"]), 4),
        "precision": round(total["right"] / max(1, total["reported"]), 4),
        "n": total["labelled"],
        "reported": total["reported"],
    }


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the cell."""
    rows = json.loads((asked.shared / "presidio_pii" / "synth_dataset_v2.json").read_text(encoding="utf-8"))
    kept = [r for r in rows if held_out(r["template_id"])]
    developed = [r for r in rows if not held_out(r["template_id"])]
    if asked.quick:
        kept, developed = kept[:200], developed[:200]
    peer = _peer(asked.peer.get("personal"), kept, asked.work)
    everything = [*kept, *developed]
    patterns = counts(everything, _spans([r["full_text"] for r in everything], PATTERN_KINDS))
    made = [*_pair("patterns, all templates", rates(patterns, PATTERNS), (0.97, 0.95))]
    for half, part, bars in (("held-out", kept, (0.80, 0.80)), ("development", developed, (None, None))):
        table = counts(part, _spans([r["full_text"] for r in part], tuple(KINDS)))
        theirs = peer if half == "held-out" else None
        made += _pair(f"persons, places, addresses, {half} templates", rates(table, NAMES), bars, theirs, NAMES)
        made += _pair(f"persons, places, {half} templates", rates(table, NAMES[:2]), (None, None), theirs, NAMES[:2])
        for kind in (*NAMES, "organisation"):
            made += _pair(f"{kind}, {half} templates", rates(table, (kind,)), (None, None), theirs, (kind,))
    one_by_one = counts(kept, [[(s.kind, s.start, s.end) for s in find(r["full_text"])] for r in kept])
    made += _pair(
        "persons, places, addresses, held-out templates, text by text", rates(one_by_one, NAMES), (None, None)
    )
    made += _pair("patterns, held-out templates", rates(counts(kept, _spans([r["full_text"] for r in kept],
                  PATTERN_KINDS)), PATTERNS), (None, None), peer, PATTERNS)  # fmt: skip
    texts = [r["full_text"] for r in everything]
    for name, kinds, bar in (("patterns", PATTERN_KINDS, 5.0), ("all kinds", tuple(KINDS), 150.0)):
        theirs = {} if peer is None else {"peer": peer["name"], "peer_value": peer["ms"]}
        made.append(row(f"CPU time, {name}", speed(texts, kinds), bar=bar, unit="ms per 1,000 words", higher=False,
                        n=len(texts), **(theirs if name == "all kinds" else {})))  # fmt: skip
    called = Counter(s.kind for text in digit_strings() for s in find(text))
    made.append(row("random digit strings called a person", float(called["person"]), bar=0, unit="of 10,000",
                    higher=False, n=10_000, called=dict(called),
                    **({} if peer is None else {"peer": peer["name"], "peer_value": peer["digits"]})))  # fmt: skip
    return made


def speed(texts: list[str], kinds: tuple[str, ...]) -> float:
    """CPU milliseconds per 1,000 blank-separated words (fewer than a model's tokens, so the harder measure)."""
    words = sum(len(text.split()) for text in texts)
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        finder(texts, kinds=kinds)(texts)
        best = min(best, time.process_time() - began)
    return round(1e6 * best / words, 2)


def digit_strings(n: int = 10_000) -> list[str]:
    """Strings of 4 to 20 random digits."""
    draw = random.Random(0)
    return ["".join(draw.choices("0123456789", k=draw.randint(4, 20))) for _ in range(n)]


def _spans(texts: list[str], kinds: tuple[str, ...]) -> Found:
    return [[(s.kind, s.start, s.end) for s in spans] for spans in finder(texts, kinds=kinds)(texts)]


def _peer(python: str | None, rows: list[dict[str, Any]], work: Path) -> dict[str, Any] | None:
    """Presidio's spans of the held-out texts, its CPU time and how many digit strings it calls persons.

    It takes minutes, so its answer is kept in the work folder.
    """
    if python is None:
        return None
    texts = [r["full_text"] for r in rows]
    given = json.dumps([texts, digit_strings()])
    kept = work / f"personal-peer-{hashlib.sha256(given.encode()).hexdigest()[:16]}.json"
    if not kept.exists():
        command = [python, str(HERE / "personal_peer.py")]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
        kept.write_text(done.stdout, encoding="utf-8")
    answer: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return answer | {"rows": rows, "ms": round(1e6 * answer["seconds"] / sum(len(t.split()) for t in texts), 1)}


def _pair(
    what: str, ours: dict[str, float], bars: tuple[float | None, float | None],
    peer: dict[str, Any] | None = None, kinds: tuple[str, ...] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows for recall and precision."""
    made = []
    for name, bar in zip(("recall", "precision"), bars, strict=True):
        theirs: dict[str, Any] = {}
        if peer is not None:
            found = [[tuple(span) for span in spans] for spans in peer["spans"]]
            theirs = {"peer": peer["name"], "peer_value": rates(counts(peer["rows"], found), kinds)[name]}
        n = ours["n"] if name == "recall" else ours["reported"]
        made.append(
            row(f"{what}: {name}", ours[name], bar=bar, unit=name, n=n, interval=_interval(ours[name], n), **theirs)
        )
    return made


def _interval(rate: float, n: float) -> list[float] | None:
    """Wilson's 95 % interval; spans of one template are alike, so it is rather too narrow."""
    if not n:
        return None
    z = 1.96
    centre, half = rate + z * z / (2 * n), z * ((rate * (1 - rate) + z * z / (4 * n)) / n) ** 0.5
    return [round((centre - half) / (1 + z * z / n), 4), round((centre + half) / (1 + z * z / n), 4)]
