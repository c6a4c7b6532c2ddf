"""Continued training on documents: what is learned from, what is left out, how it is judged, and what stands on it."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from lm_case import context_of, job_of, tickets

from tunesmith.core.checks import Check
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, DataError, ModelError
from tunesmith.core.files import sha256_path
from tunesmith.deploy.server.bases import Bases
from tunesmith.models.lm import LanguageModel
from tunesmith.models.methods import BENEATH
from tunesmith.testing import schooled_lm
from tunesmith.training.domain import Bits, Domain, DomainOptions, compared, decided, domain
from tunesmith.training.systems import RungPlan, system
from tunesmith.training.train import ForgetOptions

WHO = ("the tenant", "the landlord", "the agent", "the bank", "the court", "the surveyor")
DOES = ("shall pay", "may refuse", "must keep", "shall give notice of", "may end", "must repair")
WHAT = ("the rent", "the lease", "the deposit", "the roof", "the garden wall", "the insurance", "the drains")
WHEN = ("within thirty days", "before the first of May", "at any time", "after the survey", "without delay")


def law(n: int, *, seed: int = 0, sentences: int = 8) -> list[str]:
    """n documents of made-up clauses, no two alike."""
    draw = random.Random(seed)

    def clause() -> str:
        return f"{draw.choice(WHO)} {draw.choice(DOES)} {draw.choice(WHAT)} {draw.choice(WHEN)}."

    return [f"Clause {i}. " + " ".join(clause() for _ in range(sentences)) for i in range(n)]


def dataset(texts: list[str] | None = None) -> Dataset:
    """24 rows of classify, the last eight of them the test."""
    rows = tickets(24)
    n = len(rows)
    split = ["train"] * 12 + ["dev"] * 4 + ["test"] * 8
    table = pa.table(
        {
            "id": pa.array(range(n), pa.int64()), "text": texts or list(rows.texts), "target": list(rows.targets),
            "split": split, "weight": pa.array([1.0] * n, pa.float32()), "group": pa.array(range(n), pa.int64()),
        }
    )  # fmt: skip
    return Dataset(table, "classify", ("billing", "login"), ("text",), "topic")


def written(folder: Path, documents: list[str]) -> Path:
    """The documents as a table with a column of texts."""
    path = folder / "documents.jsonl"
    path.write_text("".join(json.dumps({"text": one}) + "\n" for one in documents), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return schooled_lm(tmp_path_factory.mktemp("base") / "lm", steps=40)


def options_of(base: Path, documents: Path, **changes: object) -> DomainOptions:
    usual = DomainOptions((documents,), base=f"folder:{base}", tokens=12_000, window=64, step_tokens=512, rate=5e-3)
    return replace(usual, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def learned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Domain, list[Check], Path]:
    folder = tmp_path_factory.mktemp("learned")
    checks: list[Check] = []
    options = options_of(base, written(folder, law(60)))
    (folder / "12-domain").mkdir()
    made = domain(dataset(), options, ForgetOptions(), context_of(folder / "12-domain", checks))
    made.save(folder / "12-domain")
    return Domain.load(folder / "12-domain"), checks, folder


def test_bits_per_byte_fall_on_documents_that_were_held_out(learned: tuple[Domain, list[Check], Path]) -> None:
    made, _, folder = learned
    assert made.adopted
    assert made.after < made.before - 0.1
    assert made.interval[0] <= made.difference <= made.interval[1] < 0.0
    assert (made.documents, made.held_out) == (54, 6)
    assert made.adapter is not None
    assert sha256_path(made.adapter) == made.sha256
    told = json.loads((folder / "12-domain" / "documents.json").read_text())
    assert {row["place"] for row in told} == {"train", "held out"}
    assert not any("shall pay" in json.dumps(row) for row in told)


def test_what_was_done_is_proved(learned: tuple[Domain, list[Check], Path]) -> None:
    _, checks, _ = learned
    passed = {check.name for check in checks if check.passed}
    assert {
        "documents that hold a dev or test row",
        "near-duplicates of held-out documents among those learned from",
        "loss of the untrained adapter minus loss of the base",
        "saved and reloaded against memory, logits",
        "merged against adapter, logits",
    } <= passed
    assert all(check.system == "domain" for check in checks)


def test_a_document_with_a_test_row_in_it_is_not_read(base: Path, tmp_path: Path) -> None:
    question = "May I still log in with my old password after the bank has closed my account for good?"
    rows = [*tickets(24).texts[:-1], question]
    path = written(tmp_path, [*law(60), f"Questions of our clients. {question} They may not."])
    made = domain(dataset(rows), options_of(base, path, tokens=600), ForgetOptions(), context_of(tmp_path / "s"))
    assert made.left_out["holds a row"] == 1
    told = json.loads((tmp_path / "s" / "documents.json").read_text())
    assert told[-1] == {"document": "documents.jsonl row 61", "place": "holds a row"}


def test_what_does_not_improve_the_base_is_not_used(base: Path, tmp_path: Path) -> None:
    options = options_of(base, written(tmp_path, law(60)), tokens=600, rate=1e-9)
    made = domain(dataset(), options, ForgetOptions(), context_of(tmp_path / "s"))
    assert not made.adopted
    assert made.adapter is None
    assert not (tmp_path / "s" / "adapter").exists()
    assert "did not improve" in made.why
    assert made.summary().endswith("not used")


def test_a_run_that_was_stopped_ends_in_the_same_bytes(
    base: Path, learned: tuple[Domain, list[Check], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.training import loop

    options = options_of(base, written(tmp_path, law(60)))
    real = loop._Training.step

    def stopped(self: loop._Training, *given: object) -> None:
        if self.state.step == 9:
            raise KeyboardInterrupt
        real(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(loop._Training, "step", stopped)
    monkeypatch.setattr(loop.train, "__kwdefaults__", {**loop.train.__kwdefaults__, "checkpoint_every_s": 0.0})
    with pytest.raises(KeyboardInterrupt):
        domain(dataset(), options, ForgetOptions(), context_of(tmp_path / "s"))
    monkeypatch.setattr(loop._Training, "step", real)
    again = domain(dataset(), options, ForgetOptions(), context_of(tmp_path / "s"))
    assert again.sha256 == learned[0].sha256
    assert again.after == learned[0].after


def test_a_budget_of_forgetting_holds_for_reading_too(base: Path, tmp_path: Path) -> None:
    checks: list[Check] = []
    options = options_of(base, written(tmp_path, law(60)), tokens=6_000)
    made = domain(dataset(), options, ForgetOptions(at_most=2.0), context_of(tmp_path / "s", checks))
    assert made.forgetting["at_most"] == 2.0
    kept = [check for check in checks if check.name.startswith("points forgotten on probe")]
    assert len(kept) >= 2
    assert all(check.passed for check in kept)


def test_too_little_text_is_refused(base: Path, tmp_path: Path) -> None:
    options = options_of(base, written(tmp_path, law(30, sentences=1)))
    with pytest.raises(DataError, match="4,000 are needed"):
        domain(dataset(), options, ForgetOptions(), context_of(tmp_path / "s"))


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"domain\.window"):
        DomainOptions(window=4)
    with pytest.raises(ConfigError, match=r"domain\.tokens"):
        DomainOptions(tokens=0)


def test_the_interval_is_of_the_paired_difference() -> None:
    size = np.array([100.0, 400.0, 50.0, 250.0] * 5)
    before = Bits(size * np.log(2) * np.linspace(1.0, 3.0, 20), size)
    after = Bits(before.nats - 0.1 * np.log(2) * size, size)
    found = compared(before, after, seed=0)
    assert found.difference == pytest.approx(-0.1)
    assert found.interval == pytest.approx((-0.1, -0.1), abs=1e-9)  # documents differ, the difference does not
    assert found.before == pytest.approx(float((size * np.linspace(1.0, 3.0, 20)).sum() / size.sum()))
    assert decided(found)[0]
    assert not decided(replace(found, interval=(-0.2, 0.0)))[0]
    assert not decided(replace(found, difference=-2e-8, interval=(-3e-8, -1e-8)))[0]  # rounding is no gain
    assert decided(found, "probe B: 9 points")[1].startswith("continued training was rolled back (probe B: 9 points)")


def test_a_rung_stands_on_what_was_read_and_takes_it_along(
    base: Path, learned: tuple[Domain, list[Check], Path], tmp_path: Path
) -> None:
    made, _, _ = learned
    checks: list[Check] = []
    job = job_of(tmp_path, steps=4, domain=str(made.adapter))
    job = replace(job, lm=replace(job.lm, id=str(base)), plan=RungPlan("lm_domain", steps=4))  # type: ignore[type-var]
    rung = system.get("lm_domain")
    ctx = context_of(tmp_path / "w", checks)
    fitted = rung.fit(tickets(16), tickets(8, start=100), job, ctx)
    assert {check.system for check in checks} == {"lm_domain"}
    (begun,) = [check for check in checks if check.name == "points forgotten before the first step"]
    assert begun.passed is None
    fitted.save(tmp_path / "saved")
    assert sha256_path(tmp_path / "saved" / "adapter" / BENEATH) == made.sha256
    alone = replace(job, options={})  # as a fresh process loads it: it knows of no documents
    again = rung.load(tmp_path / "saved", alone, ctx)
    texts = tickets(8, start=200).texts
    said, told = fitted.predict(texts, ctx), again.predict(texts, ctx)
    assert again.system == "lm_domain"
    assert np.allclose(said.probabilities, told.probabilities, atol=1e-6)
    plain = system.get("lm").fit(tickets(16), tickets(8, start=100), alone, context_of(tmp_path / "p"))
    assert not np.allclose(said.probabilities, plain.predict(texts, ctx).probabilities, atol=1e-4)

    adapter = tmp_path / "saved" / "adapter"
    whole = LanguageModel.load(base, ctx.limits, adapter=adapter).first_logits([[5, 6, 7]])
    served = Bases().open(base, ctx.limits, adapter).first_logits([[5, 6, 7]])  # a server shares bases
    assert np.array_equal(whole, served)

    (tmp_path / "saved" / "adapter" / BENEATH / "adapter_model.safetensors").write_bytes(b"another")
    with pytest.raises(ModelError, match="missing or was changed"):
        rung.load(tmp_path / "saved", alone, ctx).predict(texts, ctx)


def test_a_rung_without_documents_says_what_it_wants(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="stands on documents") as caught:
        system.get("lm_domain").fit(tickets(8), tickets(4), job_of(tmp_path), context_of(tmp_path / "w"))
    assert "--domain" in str(caught.value.hint)
