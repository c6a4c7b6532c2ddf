"""Cell: tweets in other languages planted into English tables, found by the step `language`.

Fifty of each language into 1,500 rows. Some of the languages (twi, tso) the identifier inside was never taught; pcm,
Nigerian Pidgin, takes nearly all of its words from English and is told apart from the others.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from duplicates import share_interval
from leaks import dataset
from report import row
from tables import texts_of

COMMAND = "python benchmarks/data/run.py --only language"
LANGUAGES = ("por", "swa", "kin", "ary", "arq", "twi", "tso", "pcm")
INTO = ("sms_spam", "noisyag_news", "obliqa", "qasc_dev")  # the step was written on banking77 and vader_sentiment
ROWS, PLANTED = 1_500, 50


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Foreign rows of 25 letters and more found, and rows flagged where nothing was planted."""
    from tunesmith.data.steps import step

    language = step.get("language")
    found: Counter[str] = Counter()
    planted: Counter[str] = Counter()
    false, rows_read, seconds = 0, 0, 0.0
    for name in INTO[:1] if asked.quick else INTO:
        base = texts_of(name, asked.shared, most=ROWS)
        began = time.process_time()
        false += len(language(dataset([], base)))
        seconds += time.process_time() - began
        rows_read += len(base)
        draw = random.Random(51)
        for code in LANGUAGES:
            texts = draw.sample(_tweets(asked.shared, code), PLANTED)
            hits = {finding.id - len(base) for finding in language(dataset([], base + texts))}
            for at, text in enumerate(texts):
                if sum(map(str.isalpha, text)) >= 25:
                    planted[code] += 1
                    found[code] += at in hits
    told = [code for code in LANGUAGES if code != "pcm"]
    n, hit = sum(planted[c] for c in told), sum(found[c] for c in told)
    by = {code: round(found[code] / planted[code], 4) for code in LANGUAGES}
    return [
        row("rows in another language found", hit / n, bar=None, unit="share", interval=share_interval(hit / n, n), n=n,
            by_language=by, command=COMMAND),
        row("rows of the table's own language flagged", false / rows_read, bar=None, unit="share", higher=False,
            n=rows_read, command=COMMAND),
        row("CPU-seconds per 10,000 rows", 1e4 * seconds / rows_read, bar=None, unit="s", higher=False, n=rows_read,
            command=COMMAND),
    ]  # fmt: skip


def _tweets(shared: Path, code: str) -> list[str]:
    with (shared / "afrisenti" / code / "test.tsv").open(encoding="utf-8", newline="") as lines:
        return [row["tweet"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
