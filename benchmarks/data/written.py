"""Tables of inputs and written answers from the shared data, and answers of theirs given to the wrong rows.

Nothing here is shared with what looks for them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import registers

Table = list[tuple[str, str]]
MOST = 400  # rows of a table, in file order

# `answers` was made with the first five in sight, whole; the others were only measured.
DEVELOPED_ON = ("mts_dialog, training", "scitldr, dev", "obliqa, dev", "self_instruct, user oriented",
                "advising, even groups")  # fmt: skip


def _mts(*parts: str) -> Callable[[Path], Table]:
    return lambda shared: [(row["dialogue"], row["answer"]) for row in registers.mts_dialog(shared, parts)]


def _lines(path: Path) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _scitldr(part: str) -> Callable[[Path], Table]:
    def read(shared: Path) -> Table:
        rows = _lines(shared / "scitldr_a" / f"{part}.jsonl")
        return [(" ".join(row["source"]), row["target"][0]) for row in rows]

    return read


def _obliqa(part: str) -> Callable[[Path], Table]:
    def read(shared: Path) -> Table:
        rows = json.loads((shared / "obliqa" / f"ObliQA_{part}.json").read_text(encoding="utf-8"))
        return [(row["Question"], row["Passages"][0]["Passage"]) for row in rows]

    return read


def _instructions(name: str) -> Callable[[Path], Table]:
    def read(shared: Path) -> Table:
        rows = _lines(shared / "self_instruct_seed" / f"{name}.jsonl")
        first = [(row["instruction"], row["instances"][0]) for row in rows]
        return [(f"{asked}\n{given['input']}".strip(), given["output"]) for asked, given in first]

    return read


def _advising(odd: int) -> Callable[[Path], Table]:
    """Questions about a university and the SQL that answers them, of every second group of queries."""

    def read(shared: Path) -> Table:
        groups = json.loads((shared / "advising_sql" / "advising.json").read_text(encoding="utf-8"))
        rows: Table = []
        for group in groups[odd::2]:
            for sentence in group["sentences"]:
                text, query = sentence["text"], group["sql"][0]
                for name, value in sentence["variables"].items():
                    text, query = text.replace(name, value), query.replace(name, value)
                rows.append((text, query))
        return rows

    return read


def _qasc(shared: Path) -> Table:
    rows = _lines(shared / "qasc_dev" / "dev.jsonl")
    return [(row["question"]["stem"], row["combinedfact"]) for row in rows]


def _mbpp(shared: Path) -> Table:
    rows = _lines(shared / "mbpp_plus" / "mbpp_plus_base.jsonl")
    return [(row["prompt"].strip().strip('"').split("\nassert")[0].strip(), row["canonical_solution"]) for row in rows]


TABLES: dict[str, Callable[[Path], Table]] = {
    "mts_dialog, training": _mts("Training"),
    "scitldr, dev": _scitldr("dev"),
    "obliqa, dev": _obliqa("dev"),
    "self_instruct, user oriented": _instructions("user_oriented_instructions"),
    "advising, even groups": _advising(0),
    "mts_dialog, validation and test": _mts("Validation", "TestSet"),
    "scitldr, test": _scitldr("test"),
    "obliqa, test": _obliqa("test"),
    "self_instruct, seed": _instructions("seed_tasks"),
    "advising, odd groups": _advising(1),
    "qasc, dev": _qasc,
    "mbpp, test": _mbpp,
}


def rows_of(name: str, shared: Path) -> Table:
    """The table's rows that have both, inner white space made plain."""
    rows = [(asked.strip(), " ".join(answer.split())) for asked, answer in TABLES[name](shared)]
    return [(asked, answer) for asked, answer in rows if asked and answer][:MOST]


def exchanged(inputs: Sequence[str], answers: Sequence[str], share: float, rng: random.Random) -> dict[int, str]:
    """Answers of rows drawn anywhere, moved round among them."""
    del inputs
    order = rng.sample(range(len(answers)), max(4, round(share * len(answers))))
    return {at: answers[order[k - 1]] for k, at in enumerate(order) if answers[order[k - 1]] != answers[at]}


def shifted(inputs: Sequence[str], answers: Sequence[str], share: float, rng: random.Random) -> dict[int, str]:
    """Blocks of 5 to 15 rows in file order whose answers slipped by one row, the last one's to the block's head."""
    del inputs
    moved: dict[int, str] = {}
    while len(moved) < share * len(answers):
        length = rng.randint(5, 15)
        start = rng.randrange(max(1, len(answers) - length))
        block = [at for at in range(start, min(start + length, len(answers))) if at not in moved]
        moved |= {at: answers[block[k - 1]] for k, at in enumerate(block) if answers[block[k - 1]] != answers[at]}
    return moved


def similar(inputs: Sequence[str], answers: Sequence[str], share: float, rng: random.Random) -> dict[int, str]:
    """Pairs of rows with like inputs (among the ten nearest by TF-IDF, answers not equal) with answers exchanged."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    X = TfidfVectorizer(sublinear_tf=True).fit_transform(inputs)
    moved: dict[int, str] = {}
    for at in rng.sample(range(len(inputs)), len(inputs)):
        if len(moved) >= share * len(answers):
            break
        near = np.argsort(-np.asarray((X @ X[at].T).todense()).ravel())[:11].tolist()
        free = [other for other in near if other not in moved and answers[other] != answers[at]]
        if at not in moved and free:
            other = rng.choice(free)
            moved |= {at: answers[other], other: answers[at]}
    return moved


KINDS = {"exchanged": exchanged, "shifted": shifted, "similar": similar}


def plant(rows: Table, kind: str, *, share: float, seed: int) -> tuple[list[str], list[str], dict[int, str]]:
    """(inputs, answers with a share of them given to wrong rows, row -> the answer that it had)."""
    inputs, answers = [asked for asked, _ in rows], [answer for _, answer in rows]
    moved = KINDS[kind](inputs, answers, share, random.Random(f"{kind}-{seed}"))
    before = {at: answers[at] for at in moved}
    for at, answer in moved.items():
        answers[at] = answer
    return inputs, answers, before
