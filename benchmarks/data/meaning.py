"""Cell: texts with words exchanged for synonyms, planted into real tables, found by wording or by sentence vectors.

Synonyms and opposites are of the half of the table (synonyms.py) that was not used for development. The encoder is
all-MiniLM-L6-v2. A text counts as found if `near_pairs` or `meaning_pairs` pairs it with its original.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from typing import Any

from duplicates import share_interval
from plants import look_alikes, plant
from report import row
from synonyms import OTHER_HELD_OUT, SAME_HELD_OUT, exchanged
from tables import texts_of

SEEDS = (21,)
SHARE = 0.25
# Rows read of each table, spread over it: what the encoder reads in about two minutes of one core.
ROWS = {"vader_sentiment": 450, "qasc_dev": 450, "obliqa": 220, "wrench_youtube": 350, "mts_dialog": 60,
        "banking77": 400, "noisyag_news": 150}  # fmt: skip
DEVELOPED_ON = ("banking77", "noisyag_news", "vader_sentiment")
COMMAND = "python benchmarks/data/run.py --only meaning"


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Recall of synonyms, and what is left alone, over all tables; per table beside it."""
    from tunesmith.data.meaning import meaning_pairs
    from tunesmith.data.near import near_pairs
    from tunesmith.data.vectors import reader

    reads = reader()
    if reads is None:
        return [row("synonyms found", None, bar=0.8, unit="share", command=COMMAND)]
    hits: Counter[tuple[str, str]] = Counter()
    planted: Counter[tuple[str, str]] = Counter()
    seconds, texts_read = 0.0, 0
    for name, most in ROWS.items():
        texts = texts_of(name, asked.shared)
        rows = most // 5 if asked.quick else most
        texts = texts[:: max(1, len(texts) // rows)][:rows]
        others = {"opposite": exchanged(OTHER_HELD_OUT, 1), **look_alikes(texts)}
        makes = {"synonyms": exchanged(SAME_HELD_OUT), **{f"not: {kind}": make for kind, make in others.items()}}
        for seed in SEEDS[:1] if asked.quick else SEEDS:
            made, marks = plant(texts, makes, random.Random(seed), share=SHARE)
            have = set(texts)
            table = [*texts, *made]
            began = time.process_time()
            near = near_pairs(table)
            pairs = {(pair.one, pair.other) for pair in (*near.pairs, *meaning_pairs(table, near, reads).pairs)}
            seconds += time.process_time() - began
            texts_read += len(table)
            for kind, own, other in marks:
                if kind != "synonyms" and made[other] in have:
                    continue
                a, b = sorted((int(near.exact[own]), int(near.exact[len(texts) + other])))
                planted[kind, name] += 1
                hits[kind, name] += a == b or (a, b) in pairs
    kinds = sorted({kind for kind, _ in planted})
    out = []
    for kind in ["synonyms", *(k for k in kinds if k != "synonyms")]:
        wrong = kind != "synonyms"
        out.append(
            _row(
                f"look-alikes left alone, other {kind[5:]}" if wrong else "synonyms found",
                [kind],
                list(ROWS),
                hits,
                planted,
            )
        )
    sane = [kind for kind in kinds if kind.startswith("not: ") and kind != "not: opposite"]
    out.append(_row("look-alikes left alone, all but opposites", sane, list(ROWS), hits, planted))
    unseen = [name for name in ROWS if name not in DEVELOPED_ON]
    out.append(_row("synonyms found, tables not used for development", ["synonyms"], unseen, hits, planted))
    out.append(
        _row("look-alikes left alone, all but opposites, tables not used for development", sane, unseen, hits, planted)
    )
    out.append(row("CPU-seconds per 1,000 rows, encoder included", 1e3 * seconds / texts_read, bar=None, unit="s",
                   higher=False, n=texts_read, seeds=len(SEEDS), command=COMMAND))  # fmt: skip
    return out


def _row(
    measure: str, kinds: list[str], tables: list[str], hits: Counter[tuple[str, str]], planted: Counter[tuple[str, str]]
) -> dict[str, Any]:
    wrong = kinds[0] != "synonyms"

    def share(names: list[str]) -> tuple[float, int]:
        n = sum(planted[kind, name] for kind in kinds for name in names)
        found = sum(hits[kind, name] for kind in kinds for name in names) / max(n, 1)
        return (1 - found if wrong else found), n

    value, n = share(tables)
    by_table = {name: [round(share([name])[0], 4), share([name])[1]] for name in tables if share([name])[1]}
    return row(measure, value, bar=0.98 if wrong else 0.8, unit="share", interval=share_interval(value, n), n=n,
               seeds=len(SEEDS), by_table=by_table, command=COMMAND)  # fmt: skip
