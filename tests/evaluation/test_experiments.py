"""Evidence: a step that mends damage is credited, one that does nothing is not, and nobody grades himself."""

from __future__ import annotations

from pathlib import Path

import pytest
from curated_case import corrections, random_drops, tickets

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
    from dataclasses import replace

    with pytest.raises(DataError, match="measured for labels"):
        evidence(replace(few, task="rewrite", labels=()), [])


def test_equal_inputs_give_equal_evidence_and_kept_evidence_knows_its_findings(tmp_path: Path) -> None:
    data, right = tickets(rows=300, noise=0.3)
    findings = corrections(data, right)
    one, two = evidence(data, findings, draws=2).to_dict(), evidence(data, findings, draws=2).to_dict()
    assert {**one, "seconds": 0} == {**two, "seconds": 0}
    write_json(tmp_path / EVIDENCE, {"of": evidence_key(data, findings), **one})
    assert kept_evidence(tmp_path, data, findings)["evidence"]["steps"] == one["steps"]
    assert kept_evidence(tmp_path, data, findings[1:]) == {}
    assert kept_evidence(tmp_path / "elsewhere", data, findings) == {}
