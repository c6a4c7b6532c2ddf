"""Cell: copies planted into real tables, and texts that only look like copies; which pairs are found.

Development was done on banking77, sms_spam and noisyag_news with other seeds; the other tables were not looked at. The
peer, datasketch, gets the same normalised texts as sets of the same 5-character shingles, 128 permutations, and that of
five Jaccard thresholds at which its own F1 over planted pairs and look-alikes is best, table by table.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from plants import COPIES, look_alikes, plant
from report import RESULTS, row
from tables import DEVELOPED_ON, TABLES, texts_of

SEEDS = (11, 12, 13)
SHARE = 0.1
JUDGED = Path(__file__).parent / "judged_duplicates.json"
COMMAND = "python benchmarks/data/run.py --only duplicates --peer duplicates=PYTHON"

Table = tuple[list[str], list[tuple[str, int, int]]]


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows per kind of copy and of look-alike, over unseen tables and over those of development."""
    from tunesmith.data.near import near_pairs

    seeds = SEEDS[:1] if asked.quick else SEEDS
    hits: dict[str, Counter[str]] = defaultdict(Counter)
    planted: dict[str, Counter[str]] = defaultdict(Counter)
    theirs: dict[str, Counter[str]] = defaultdict(Counter)
    seconds, rows_read, peer_seconds = 0.0, 0, 0.0
    peer = asked.peer.get("duplicates")
    for name in TABLES:
        texts = texts_of(name, asked.shared, most=1_000 if asked.quick else 10_000)
        for seed in seeds:
            table, marks = planted_table(texts, seed)
            began = time.process_time()
            near = near_pairs(table)
            seconds += time.process_time() - began
            rows_read += len(table)
            pairs = {(pair.one, pair.other) for pair in near.pairs}
            for kind, own, other in marks:
                a, b = sorted((int(near.exact[own]), int(near.exact[other])))
                planted[name][kind] += 1
                hits[name][kind] += a == b or (a, b) in pairs
            if peer is not None:
                found, took = of_peer(peer, asked.work, table, marks)
                theirs[name].update(found)
                peer_seconds += took
    out = []
    for label, tables in (
        ("tables not used for development", [name for name in TABLES if name not in DEVELOPED_ON]),
        ("tables of development, other seeds", list(DEVELOPED_ON)),
    ):
        out += _rows(label, tables, hits, planted, theirs if peer else None, len(seeds))
    out.append(
        row("CPU-seconds per 10,000 rows", 1e4 * seconds / rows_read, bar=None, unit="s", higher=False, n=rows_read,
            seeds=len(seeds), peer="datasketch 2.0" if peer else None,
            peer_value=1e4 * peer_seconds / rows_read if peer else None, command=COMMAND)
    )  # fmt: skip
    return [*(_with_peer(found) for found in out), *read_by_hand(asked.shared)]


def _with_peer(found: dict[str, Any]) -> dict[str, Any]:
    """The row with what the peer reached before on the same planted rows, where it was not asked this time."""
    path = RESULTS / "duplicates.json"
    if found["peer"] is not None or not path.exists():
        return found
    for before in json.loads(path.read_text(encoding="utf-8")):
        if before["measure"] == found["measure"] and before["n"] == found["n"] and before["seeds"] == found["seeds"]:
            return {**found, "peer": before["peer"], "peer_value": before["peer_value"]}
    return found


def planted_table(texts: list[str], seed: int) -> Table:
    """(texts with copies and look-alikes behind them, (kind, place, place)); look-alikes are called "not: ..."."""
    draw = random.Random(seed)
    copies, marks = plant(texts, COPIES, draw, share=SHARE)
    others, unlike = plant(texts, look_alikes(texts), draw, share=SHARE)
    have = set(texts)
    n, m = len(texts), len(texts) + len(copies)
    marked = [(kind, own, n + other) for kind, own, other in marks]
    marked += [(f"not: {kind}", own, m + other) for kind, own, other in unlike if others[other] not in have]
    return [*texts, *copies, *others], marked


def of_peer(python: str, work: Path, table: list[str], marks: list[tuple[str, int, int]]) -> tuple[Counter[str], float]:
    """(planted pairs that the peer finds, by kind; its CPU-seconds)."""
    from tunesmith.data.duplicates import normalise

    job = work / "datasketch.json"
    job.write_text(json.dumps({"texts": [normalise(text) for text in table], "marks": marks}), encoding="utf-8")
    script = Path(__file__).parent / "peer_datasketch.py"
    done = subprocess.run([python, str(script), str(job)], check=True, capture_output=True, text=True)
    answer = json.loads(done.stdout)
    return Counter(answer["hits"]), float(answer["cpu_s"])


def _rows(
    label: str,
    tables: list[str],
    hits: dict[str, Counter[str]],
    planted: dict[str, Counter[str]],
    theirs: dict[str, Counter[str]] | None,
    seeds: int,
) -> list[dict[str, Any]]:
    kinds = [
        kind for kind in [*COPIES, *(f"not: {k}" for k in look_alikes([]))] if any(planted[t][kind] for t in tables)
    ]
    out = []
    for kind in kinds:
        n = sum(planted[t][kind] for t in tables)
        found = sum(hits[t][kind] for t in tables) / n
        peer = None if theirs is None else sum(theirs[t][kind] for t in tables) / n
        wrong = kind.startswith("not: ")
        measure = f"look-alikes left alone, other {kind[5:]}" if wrong else f"copies found, {kind}"
        value, other = (1 - found, None if peer is None else 1 - peer) if wrong else (found, peer)
        out.append(
            row(f"{measure}; {label}", value, bar=0.98, unit="share", interval=share_interval(value, n), n=n,
                seeds=seeds, peer=None if peer is None else "datasketch 2.0", peer_value=other, command=COMMAND,
                by_table={t: _share(1 - hits[t][kind] / planted[t][kind] if wrong else hits[t][kind] / planted[t][kind])
                          for t in tables if planted[t][kind]})
        )  # fmt: skip

    def total(of: dict[str, Counter[str]], wrong: bool) -> int:
        return sum(count for t in tables for kind, count in of[t].items() if kind.startswith("not: ") is wrong)

    right, false = total(hits, False), total(hits, True)
    other = None if theirs is None else total(theirs, False) / max(total(theirs, False) + total(theirs, True), 1)
    for measure, value, n, peer in (
        ("all copies found", right / total(planted, False), total(planted, False),
         None if theirs is None else total(theirs, False) / total(planted, False)),
        ("precision over planted copies and look-alikes", right / max(right + false, 1), right + false, other),
    ):  # fmt: skip
        out.append(
            row(f"{measure}; {label}", value, bar=0.98, unit="share", interval=share_interval(value, n), n=n,
                seeds=seeds, peer=None if theirs is None else "datasketch 2.0", peer_value=peer, command=COMMAND)
        )  # fmt: skip
    return out


def read_by_hand(shared: Path) -> list[dict[str, Any]]:
    """Precision on pairs that nobody planted: those found today among the pairs that a person has judged."""
    from tunesmith.data.near import near_pairs

    if not JUDGED.exists():
        return []
    judged = json.loads(JUDGED.read_text(encoding="utf-8"))
    right, all_, unread = 0, 0, 0
    by_table: dict[str, str] = {}
    wrong: Counter[str] = Counter()
    for name, verdicts in judged.items():
        texts = texts_of(name, shared)
        known = {(v["rows"][0], v["rows"][1]): v for v in verdicts}
        near = near_pairs(texts)
        first: dict[int, int] = {}
        for at, number in enumerate(near.exact.tolist()):
            first.setdefault(number, at)
        found = [(first[pair.one], first[pair.other]) for pair in near.pairs]
        read = [known[pair] for pair in found if pair in known]
        unread += len(found) - len(read)
        good = sum(v["right"] for v in read)
        wrong.update(v["why"] for v in read if not v["right"])
        by_table[name] = f"{good} of {len(read)}"
        right, all_ = right + good, all_ + len(read)
    return [
        row("unplanted pairs read by hand, right", right / max(all_, 1), bar=0.98, unit="share",
            interval=share_interval(right / max(all_, 1), all_), n=all_, by_table=by_table, wrong=dict(wrong),
            found_but_not_read=unread, command=COMMAND)
    ]  # fmt: skip


def share_interval(share: float, n: int) -> list[float]:
    """95 % interval of a share (Wilson 1927)."""
    if n == 0:
        return [0.0, 1.0]
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return [round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)]


def _share(value: float) -> float:
    return round(value, 4)
