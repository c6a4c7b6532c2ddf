"""Repair: damage of known kinds planted in clean real texts, in five languages' writing; what comes back, what is hurt.

A row is restored if it equals what it was before the damage, letter by letter. Every change of a row that was not
damaged counts as wrong, also where the row brought damage of its own. ftfy's `fix_text` gets the same rows.
"""

from __future__ import annotations

import csv
import html
import json
import time
import unicodedata
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import report

# The rules were made on other files of the same sets (train, other languages); these are only measured on.
_MOST = 800
_STRAY = ["\x00", "\x07", "\x1b", "\x7f", "\u200b", "\ufeff", "\u00ad", "\u2060"]
_WIDE = ["\u00a0", "\u2009", "\u202f", "\u2003"]
Damage = Callable[[str, np.random.Generator], str]


def texts(shared: Path) -> list[str]:
    """Held-out rows: bank questions, abstracts, consultations, messages in Kinyarwanda, Swahili and Portuguese."""
    found: list[str] = []
    with (shared / "banking77" / "test.csv").open(encoding="utf-8", newline="") as handle:
        found += [row["text"] for row in csv.DictReader(handle)][:_MOST]
    lines = (shared / "scitldr_a" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    found += [" ".join(json.loads(line)["source"]) for line in lines][:_MOST]
    with (shared / "mts_dialog" / "MTS-Dialog-TestSet-1-MEDIQA-Chat-2023.csv").open(encoding="utf-8") as handle:
        found += [row["dialogue"] for row in csv.DictReader(handle)][:_MOST]
    for language in ("kin", "swa"):
        for path in sorted((shared / "afrisenti" / language).iterdir()):
            found += [_message(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]][:_MOST]
    for path in sorted((shared / "afrisenti" / "por").iterdir())[1:]:
        found += [_message(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]][:_MOST]
    return [text.strip() for text in found if len(text.strip()) > 10]


def _message(line: str) -> str:
    return max(line.split("\t"), key=len)


def _sown(signs: list[str], text: str, rng: np.random.Generator) -> str:
    for at in sorted(rng.integers(0, len(text), size=int(rng.integers(1, 4))), reverse=True):
        text = f"{text[:at]}{rng.choice(signs)}{text[at:]}"
    return text


def _western(text: str) -> str:
    """UTF-8 bytes as somebody saw them who took them for cp1252, undefined bytes as latin-1 (as browsers do)."""
    return "".join(
        bytes([b]).decode("cp1252") if b not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else chr(b) for b in text.encode()
    )


def _spaced(text: str, rng: np.random.Generator) -> str:
    return "".join(str(rng.choice(_WIDE)) if c == " " and rng.random() < 0.3 else c for c in text)


def _latin(text: str) -> str:
    try:
        return text.encode("cp1252").decode("latin-1")
    except UnicodeEncodeError:
        return text


def _always(change: Callable[[str], str]) -> Damage:
    """Damage that leaves nothing to chance."""

    def damage(text: str, rng: np.random.Generator) -> str:
        del rng
        return change(text)

    return damage


def _numbered(text: str) -> str:
    return "".join(c if c.isascii() else f"&#{ord(c)};" for c in text)


def _set_in_print(text: str) -> str:
    return text.replace("ffi", "\ufb03").replace("fi", "\ufb01").replace("fl", "\ufb02")


DAMAGES: dict[str, Damage] = {
    "UTF-8 read as cp1252": _always(_western),
    "UTF-8 read as latin-1": _always(lambda text: text.encode().decode("latin-1")),
    "UTF-8 read as cp1252 twice": _always(lambda text: _western(_western(text))),
    "cp1252 read as latin-1": _always(_latin),
    "HTML entities": _always(html.escape),
    "HTML entities of every letter that is not ASCII": _always(_numbered),
    "HTML entities twice": _always(lambda text: html.escape(html.escape(text))),
    "control and invisible characters": lambda text, rng: _sown(_STRAY, text, rng),
    "spaces of other widths": _spaced,
    "line ends of other systems": lambda text, rng: text.replace("\n", str(rng.choice(["\r\n", "\r", "\u2028"]))),
    "letters in pieces (NFD)": _always(lambda text: unicodedata.normalize("NFD", text)),
    "ligatures": _always(_set_in_print),
}


def measure(asked: Namespace) -> list[dict[str, Any]]:
    """Recall and precision per kind of damage, over three draws of the rows that are damaged."""
    import ftfy

    from tunesmith.data.mending import mend

    clean = texts(asked.shared)
    began = time.process_time()
    untouched = mend(clean)
    seconds = time.process_time() - began
    rows = []
    totals = {"planted": 0, "restored": 0, "peer": 0}
    for kind, damage in DAMAGES.items():
        planted = restored = peer = 0
        for seed in range(1 if asked.quick else 3):
            rng = np.random.default_rng([seed, 5])
            at = rng.permutation(len(clean))[: len(clean) // 3]
            damaged = [(i, damage(clean[i], rng)) for i in at]
            damaged = [(int(i), text) for i, text in damaged if text != clean[i]]
            mended = mend([text for _, text in damaged]).texts
            planted += len(damaged)
            restored += sum(text == clean[i] for (i, _), text in zip(damaged, mended, strict=True))
            peer += sum(ftfy.fix_text(text) == clean[i] for i, text in damaged)
        totals = {"planted": totals["planted"] + planted, "restored": totals["restored"] + restored,
                  "peer": totals["peer"] + peer}  # fmt: skip
        rows.append(
            report.row(
                f"repair, rows restored letter by letter: {kind}", restored / planted, bar=None, unit="recall",
                peer="ftfy.fix_text", peer_value=peer / planted, n=planted, seeds=3,
                command="python benchmarks/data/run.py --only repair",
            )
        )  # fmt: skip
    wrong, peer_wrong = len(untouched.kinds), sum(ftfy.fix_text(text) != text for text in clean)
    found = totals["restored"] / totals["planted"]
    rows.append(
        report.row(
            "repair, rows restored letter by letter: all kinds", found, bar=None, unit="recall", peer="ftfy.fix_text",
            peer_value=totals["peer"] / totals["planted"], n=totals["planted"], seeds=3,
            command="python benchmarks/data/run.py --only repair",
        )
    )  # fmt: skip
    rows.append(
        report.row(
            "repair, undamaged rows left as they are", 1 - wrong / len(clean), bar=None, unit="share", n=len(clean),
            peer="ftfy.fix_text", peer_value=1 - peer_wrong / len(clean), changed=wrong,
            changed_by_kind=untouched.counts, cpu_seconds=round(seconds, 3),
            command="python benchmarks/data/run.py --only repair",
        )
    )  # fmt: skip
    return rows
