"""Learns the weights by which names are told from other capitalised words (src/tunesmith/data/personal/weights.json).

    python benchmarks/data/personal_weights.py [--shared DIR] [--check]

From the development half of presidio-research's templates (MIT), sentences written for it (personal_sentences.py, with
invented values) and, as texts without persons, abstracts of SciTLDR (Apache-2.0), patent claims (MIT) and instructions
of self-instruct (Apache-2.0). --check prints recall and precision on development templates that were left out, in five
folds, and writes nothing. The held-out half is never read here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import personal  # noqa: E402
import personal_sentences  # noqa: E402

from tunesmith.data.personal import evidence  # noqa: E402
from tunesmith.data.personal.addresses import find_addresses  # noqa: E402
from tunesmith.data.personal.evidence import LISTS, Lists  # noqa: E402
from tunesmith.data.personal.find import common_words, find  # noqa: E402
from tunesmith.data.personal.names import candidates  # noqa: E402

KINDS = ("person", "place", "organisation")
OUT = HERE.parents[1] / "src" / "tunesmith" / "data" / "personal" / "weights.json"
_STRENGTH = 0.1  # C of the regression: chosen by --check
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--strength", type=float, default=_STRENGTH)
    asked = parser.parse_args()
    rows = json.loads((asked.shared / "presidio_pii" / "synth_dataset_v2.json").read_text(encoding="utf-8"))
    developed = [row for row in rows if not personal.held_out(row["template_id"])]
    others = [*personal_sentences.rows(), *_without_persons(asked.shared)]
    if asked.check:
        _check(developed, others, asked.strength)
        return
    learned = learn([*developed, *others], asked.strength)
    OUT.write_text(json.dumps(learned, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(learned['person'])} weights per kind: {OUT}")


def learn(rows: Sequence[Row], strength: float) -> dict[str, dict[str, float]]:
    """kind -> feature -> weight against "none"; rows as presidio-research writes them, with "weight" where not 1."""
    seen, kinds, weights = _examples(rows)
    vocabulary = sorted({name for names in seen for name in names})
    at = {name: column for column, name in enumerate(vocabulary)}
    X = sparse.lil_matrix((len(seen), len(vocabulary)))
    for i, names in enumerate(seen):
        for name in names:
            X[i, at[name]] = 1
    model = LogisticRegression(C=strength, max_iter=1000).fit(X.tocsr(), kinds, sample_weight=weights)
    none = list(model.classes_).index("none")
    learned = {}
    for kind in KINDS:
        row = list(model.classes_).index(kind)
        own = model.coef_[row] - model.coef_[none]
        learned[kind] = {name: round(float(own[column]), 2) for name, column in at.items() if abs(own[column]) >= 0.05}
        learned[kind][""] = round(float(model.intercept_[row] - model.intercept_[none]), 2)
    return learned


def _examples(rows: Sequence[Row]) -> tuple[list[list[str]], list[str], list[float]]:
    """Features, kind and weight of every candidate; each twice, the second time with half of the lists hidden."""
    common = common_words([row["full_text"] for row in rows])
    seen, kinds, weights = [], [], []
    for row in rows:
        text = row["full_text"]
        addresses = [(s.start, s.end) for s in find_addresses(text)]
        for found in candidates(text, common_here=common, addresses=addresses):
            kind = _kind(row, found.start, found.end)
            if kind is None:
                continue
            for lists in (LISTS, _hidden()):
                seen.append(evidence.features(found.around, lists))
                kinds.append(kind)
                weights.append(row.get("weight", 1.0) / 2)
    return seen, kinds, weights


def _hidden() -> Lists:
    """The lists without a half of their words."""

    def shown(word: str) -> bool:
        return hashlib.sha256(word.encode()).digest()[0] % 2 == 0

    def less(holds: Callable[[str], bool]) -> Callable[[str], bool]:
        return lambda word: shown(word) and holds(word)

    return Lists(less(LISTS.given), less(LISTS.family), less(LISTS.organisation), less(LISTS.place))


def _kind(row: Row, start: int, end: int) -> str | None:
    """The kind that most of the candidate is; None where it is neither clearly one nor clearly none."""
    share: Counter[str] = Counter()
    for span in row["spans"]:
        both = min(end, span["end_position"]) - max(start, span["start_position"])
        if both > 0:
            share[personal.LABELS.get(span["entity_type"], span["entity_type"])] += both
    for kind in KINDS:
        if share[kind] > 0.6 * (end - start):
            return kind
    if share["address"] > 0.5 * (end - start):
        return "none"
    return None if any(share[kind] for kind in KINDS) else "none"


def _without_persons(shared: Path) -> list[Row]:
    texts: list[str] = []
    abstracts = (shared / "scitldr_a" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    texts += [" ".join(json.loads(line)["source"]) for line in abstracts[:150]]
    claims = (shared / "patent_claims" / "single_claim.tsv").read_text(encoding="utf-8").splitlines()
    texts += [line.split("\t", 1)[1][:600] for line in claims[:40] if "\t" in line]
    tasks = (shared / "self_instruct_seed" / "seed_tasks.jsonl").read_text(encoding="utf-8").splitlines()
    texts += [json.loads(line)["instruction"] for line in tasks]
    return [{"full_text": text, "spans": [], "weight": 0.3} for text in texts]


def _check(developed: Sequence[Row], others: Sequence[Row], strength: float) -> None:
    templates = sorted({row["template_id"] for row in developed})
    random.Random(0).shuffle(templates)
    table: dict[str, Counter[str]] = {}
    for fold in range(5):
        left = set(templates[fold::5])
        learned = learn([*(r for r in developed if r["template_id"] not in left), *others], strength)
        evidence.weights = lambda learned=learned: learned  # type: ignore[assignment,misc]
        part = [row for row in developed if row["template_id"] in left]
        common = common_words([row["full_text"] for row in developed])
        spans = [[(s.kind, s.start, s.end) for s in find(row["full_text"], common=common)] for row in part]
        for kind, count in personal.counts(part, spans).items():
            table.setdefault(kind, Counter()).update(count)
    print("names", personal.rates(table, personal.NAMES))
    for kind in (*personal.NAMES, "organisation"):
        print(kind, personal.rates(table, (kind,)))


if __name__ == "__main__":
    np.random.seed(0)
    main()
