"""Evidence: a step that mends damage is credited, one that does nothing is not, and nobody grades himself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from curated_case import corrections, dataset, random_drops, tickets

from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import DataError
from tunesmith.core.files import write_json
from tunesmith.core.findings import Finding
from tunesmith.evaluation.experiments import EVIDENCE, evidence, evidence_key, kept_evidence


def test_a_step_that_mends_labels_is_credited_and_a_placebo_is_not() -> None:
    data, right = tickets(rows=900, noise=0.4)
    findings = [*corrections(data, right), *random_drops(data, 0.1, seed=3)]
    found = evidence(data, findings, draws=8)
    mender, placebo = found.steps
    assert mender.claim == "helps"
    assert mender.left_out is not None
    assert mender.left_out.interval[0] > 0
    assert "mender helps: macro-F1" in mender.sentence
    assert placebo.claim in ("does not help", "cannot be told")
    assert placebo.touched == {"dropped": round(0.1 * data.count("train"))}
    assert found.together is not None
    assert found.together.difference > 0.02
    assert found.judged == data.count("dev")
    assert len(found.lines()) == 4


def test_dropping_or_relabelling_hard_dev_rows_brings_a_step_nothing() -> None:
    data, _ = tickets(rows=400)
    dev = data.rows("dev")
    cheat = [Finding("cheat", int(i), "drop", "hard") for i in dev.ids[::2]]
    cheat += [Finding("cheat", int(i), "fix", "x", fix="billing", field="target") for i in dev.ids[1::2]]
    found = evidence(data, cheat, draws=2)
    assert found.steps == ()
    assert found.lines() == ["No step changed anything, so there is nothing to measure."]
    drops = random_drops(data, 0.1, seed=0, step="cheat")
    assert (
        evidence(data, [*cheat, *drops], draws=2).steps[0].left_out == evidence(data, drops, draws=2).steps[0].left_out
    )


def test_a_step_that_disputes_dev_labels_is_not_blamed_by_them() -> None:
    data, right = tickets(rows=600)
    # Labels as they came are wrong in dev as in train: one word decides them.
    wrong = ["outage" if "refund" in text or "fee" in text else label
             for text, label in zip(data.table["text"].to_pylist(), right, strict=True)]  # fmt: skip
    import pyarrow as pa

    at = data.table.column_names.index("target")
    data = data.with_table(data.table.set_column(at, "target", pa.array(wrong, pa.string())))
    found = evidence(data, corrections(data, right), draws=4).steps[0]
    assert found.left_out is not None
    assert found.left_out.difference < 0
    assert found.disputed > 10
    assert found.claim == "cannot be told"
    assert "A person's decision on those rows" in found.sentence


def test_evidence_refuses_what_it_cannot_judge() -> None:
    few, right = tickets(rows=40, noise=0.5)
    with pytest.raises(DataError, match="too few to judge"):
        evidence(few, corrections(few, right))
    with pytest.raises(DataError, match="not for the task answer"):
        evidence(replace(few, task="answer", labels=()), [])


def test_equal_inputs_give_equal_evidence_and_kept_evidence_knows_its_findings(tmp_path: Path) -> None:
    data, right = tickets(rows=300, noise=0.3)
    findings = corrections(data, right)
    one, two = evidence(data, findings, draws=2).to_dict(), evidence(data, findings, draws=2).to_dict()
    assert {**one, "seconds": 0} == {**two, "seconds": 0}
    write_json(tmp_path / EVIDENCE, {"of": evidence_key(data, findings), **one})
    assert kept_evidence(tmp_path, data, findings)["evidence"]["steps"] == one["steps"]
    assert kept_evidence(tmp_path, data, findings[1:]) == {}
    assert kept_evidence(tmp_path / "elsewhere", data, findings) == {}


def recipes(rows: int = 240, *, wrong: float = 0.0, seed: int = 0) -> tuple[Dataset, list[str]]:
    """A text task whose answers can be had from like rows; `wrong` of the train answers belong to another row."""
    rng = np.random.default_rng(seed)
    dishes, ways = ["soup", "stew", "salad", "bread", "cake", "rice", "fish", "beans"], ["boil", "bake", "fry", "steam"]
    texts, right = [], []
    for i in range(rows):
        dish, way = dishes[i % 8], ways[(i // 8) % 4]
        texts.append(f"how do I {way} {dish} for guest {i}")
        right.append(f"{way} the {dish} for {10 + 5 * (i % 8)} minutes and serve the {dish} warm")
    splits = np.where(np.arange(rows) % 3 == 0, "dev", "train").tolist()
    given = [
        right[(i + 11) % rows] if s == "train" and rng.random() < wrong else right[i] for i, s in enumerate(splits)
    ]
    return replace(dataset(texts, given, splits), task="rewrite", labels=()), right


def test_a_step_that_mends_written_answers_is_credited_and_a_placebo_is_not() -> None:
    data, right = recipes(wrong=0.5)
    findings = [*corrections(data, right), *random_drops(data, 0.1, seed=3)]
    found = evidence(data, findings, draws=8)
    mender, placebo = found.steps
    assert mender.claim == "helps"
    assert placebo.claim in ("does not help", "cannot be told")
    assert found.metric == "fact_f1"
    assert "nearest train row" in found.how
    assert found.to_dict()["metric"] == "fact_f1"


def test_mending_the_answers_of_dev_rows_brings_a_step_nothing() -> None:
    data, _ = recipes()
    dev = data.rows("dev")
    cheat = [Finding("cheat", int(i), "fix", "x", fix="boil it", field="target") for i in dev.ids]
    drops = random_drops(data, 0.1, seed=0, step="cheat")
    assert evidence(data, cheat, draws=2).steps == ()
    alone, beside = (evidence(data, some, draws=2).steps[0] for some in (drops, [*cheat, *drops]))
    assert alone.left_out == beside.left_out
    assert beside.disputed == len(dev)
