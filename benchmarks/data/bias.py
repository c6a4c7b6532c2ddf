"""Cell: a slice whose labels are partly wrong, found by the step `bias`, and random slices, which must not be.

Two classes of text messages; slices are drawn at random. In one of eight slices a tenth more of the labels is turned.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import report

ROWS, TURNED, VALUES = 2_000, 0.1, 8


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows: how often the planted slice is found, and how often a table of random slices raises an alarm."""
    from tunesmith.core.statistics import wilson
    from tunesmith.data.bias import errors_and_swaps, gaps

    lines = (asked.shared / "sms_spam" / "sms_spam.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines][:ROWS]
    texts = [row["text"] for row in rows]
    clean = np.array([row["label"] == "spam" for row in rows]).astype(np.int64)
    tables = 5 if asked.quick else 20
    found = alarms = others = 0
    for seed in range(tables):
        draw = np.random.default_rng(seed)
        slices = draw.integers(0, VALUES, size=len(texts))
        codes = np.where((slices == 0) & (draw.random(len(texts)) < TURNED), 1 - clean, clean)
        named = {"slice": slices.astype(str).tolist()}
        seen = {gap.value for gap in gaps(errors_and_swaps(texts, codes, np.arange(len(texts)))[0], named)}
        found += "0" in seen
        others += bool(seen - {"0"})
        wrong, _ = errors_and_swaps(texts, clean, np.arange(len(texts)), seed=seed)
        alarms += bool(gaps(wrong, named))
    return [
        report.row("bias, a slice with 10 % turned labels is found", found / tables, bar=None, unit="share of tables",
                   interval=list(wilson(found, tables)), n=tables, another_slice_is_named=others / tables),
        report.row("bias, tables of random slices with an alarm", alarms / tables, bar=0.05, unit="share of tables",
                   higher=False, interval=list(wilson(alarms, tables)), n=tables),
    ]  # fmt: skip
