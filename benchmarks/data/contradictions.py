"""Cell: a number swapped in answers that rows asking the same share, found by kind `neighbours` of the step `answers`.

Questions to a university in several wordings, with the SQL that answers them; numbers are swapped in 5 % of answers,
only in such as another row has too. Besides: what is flagged in four tables where nothing was planted.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from typing import Any

import corruptions
import report
import written

SHARE = 0.05
TABLE = "advising, odd groups"


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows: recall over swapped answers, precision of what is flagged; what is flagged where nothing was planted."""
    from tunesmith.core.errors import ModelError
    from tunesmith.data.contradictions import contradictions
    from tunesmith.data.vectors import reader

    reads = reader()
    if reads is None:
        raise ModelError("the sentence encoder is not on this machine.")

    table = written.rows_of(TABLE, asked.shared)
    inputs, right = [text for text, _ in table], [answer for _, answer in table]
    often = Counter(right)
    twice = [at for at, answer in enumerate(right) if often[answer] > 1]
    found = said = planted = 0
    seeds = range(1 if asked.quick else 3)
    for seed in seeds:
        rng = random.Random(seed)
        answers = list(right)
        bad: set[int] = set()
        for at in rng.sample(twice, len(twice)):
            swapped = corruptions.number(right[at], right, rng)
            if swapped is not None and len(bad) < SHARE * len(right):
                answers[at] = swapped
                bad.add(at)
        flagged = {clash.row for clash in contradictions(inputs, answers, reads)}
        found, said, planted = found + len(flagged & bad), said + len(flagged), planted + len(bad)
    told = {"unit": "share", "seeds": len(seeds), "bar": None}
    rows = [report.row(f"neighbours, {TABLE}, number swapped: recall", found / max(1, planted), n=planted, **told)]
    rows.append(report.row(f"neighbours, {TABLE}, number swapped: precision", found / max(1, said), n=said, **told))
    for name in ("advising, odd groups", "obliqa, test", "mbpp, test", "qasc, dev"):
        as_is = written.rows_of(name, asked.shared)
        alarms = contradictions([text for text, _ in as_is], [answer for _, answer in as_is], reads)
        rows.append(report.row(f"neighbours, {name}, as it is: flagged", len(alarms) / len(as_is), bar=None,
                               unit="share", n=len(as_is)))  # fmt: skip
    return rows
