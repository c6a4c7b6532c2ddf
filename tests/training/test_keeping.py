"""Forgetting: what is measured, how a training is held, and that it ends within its budget, killed or not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lm_case import context_of, tickets
from schooled_case import schooled, schooled_job

from tunesmith.core.context import Limits
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.files import sha256_path
from tunesmith.models.lm import LanguageModel
from tunesmith.training import checkpoint, loop
from tunesmith.training.batches import Cut, batch_of
from tunesmith.training.drift import Items, Suite, worst
from tunesmith.training.keeping import HeldBatch, Keeping
from tunesmith.training.losses import answer_loss
from tunesmith.training.own_text import own_text
from tunesmith.training.probe_file import halves, items_of, read_probe
from tunesmith.training.retention import CONTROLS, ORDER, Control, Retention
from tunesmith.training.systems import system


def quiet(event: str, **fields: Any) -> None:
    return None


def model() -> LanguageModel:
    return LanguageModel.load(schooled(), Limits())


def moved(lm: LanguageModel, by: float) -> LanguageModel:
    """The model with all weights a little off, in place."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in lm.model.parameters():
            tensor.add_(by * torch.randn(tensor.shape, generator=draw))
    return lm


def test_a_base_writes_the_same_text_again_and_fewer_rows_are_its_beginning() -> None:
    many, few = (own_text(model(), n, seed=3, emit=quiet) for n in (40, 8))
    assert many.ids[:8] == few.ids
    assert len(set(many.ids)) == 40
    assert own_text(model(), 8, seed=4, emit=quiet).ids != few.ids


def test_what_is_forgotten_is_what_the_formulas_say() -> None:
    """Against a plain computation, row by row, over the whole vocabulary."""
    lm = model()
    lm.model.double()
    encoded = own_text(model(), 6, seed=0, emit=quiet)
    suite = Suite.of(lm, Items("own", "expected", encoded, tuple(range(6))), packing="padded")
    told = suite.told
    before = [_shares(lm, encoded, row) for row in range(6)]
    moved(lm, 0.05)
    found = suite.measure(lm.model)
    for row in range(6):
        p, q = before[row], _shares(lm, encoded, row)
        known = (torch.from_numpy(told.top_ids[row]) == q.argmax(dim=1)[:, None]).any(dim=1)  # beyond the 64: nothing
        lost = 100 * (p.max(dim=1).values - known * p.gather(1, q.argmax(dim=1)[:, None])[:, 0])
        assert found.points[row] == pytest.approx(float(lost.mean()), abs=1e-4)  # the base's shares are kept in float32
        whole = float((p * (p.log() - q.log())).sum(dim=1).mean())
        assert found.kl[row] <= whole + 1e-6
        assert found.kl[row] > 0.5 * whole
    targets = [torch.tensor(encoded.ids[row][encoded.n_prompt[row] :]) for row in range(6)]
    rises = [
        float((before[row].log() - _shares(lm, encoded, row).log()).gather(1, targets[row][:, None]).mean())
        for row in range(6)
    ]
    assert found.rise == pytest.approx(np.array(rises), abs=1e-6)


def _shares(lm: LanguageModel, encoded: Any, row: int) -> torch.Tensor:
    """(tokens, vocabulary) probabilities where the row's own tokens are predicted from."""
    with torch.no_grad():
        logits = lm.model(input_ids=torch.tensor([encoded.ids[row]])).logits[0]
    return torch.softmax(logits[encoded.n_prompt[row] - 1 : -1].double(), dim=1)


def test_the_untuned_model_has_forgotten_nothing_and_a_shaken_one_has() -> None:
    lm = model()
    suite = Suite.of(lm, Items("own", "expected", own_text(lm, 8, seed=0, emit=quiet), tuple(range(8))), packing="tree")
    assert abs(worst([suite], lm.model)) < 1e-3
    assert worst([suite], moved(lm, 0.2).model) > 5.0


def test_the_gradient_of_the_hold_is_that_of_its_formula(tmp_path: Path) -> None:
    """Task mean + weight x mean KL over the 64 listed tokens and all others as one; 1e-6: norms are float32 inside."""
    lm = model()
    lm.model.double()
    keeping = Keeping.begin(lm, Retention(1.0), Control(hold=1.0), context_of(tmp_path), packing="padded")
    keeping.lay_out(Cut(0, 64, "padded"), 0)
    keeping.weight = 1.7
    encoded = own_text(lm, 3, seed=9, emit=quiet)
    batches = keeping.batches(lambda step: [batch_of(encoded, [0, 1], packing="padded"), batch_of(encoded, [2])])(4)
    assert isinstance(batches[-1], HeldBatch)
    moved(lm, 0.02)
    lm.model.requires_grad_(True)
    weights = dict(lm.model.named_parameters())
    total, weight = loop.accumulate(lm.model, weights, batches, keeping.loss(answer_loss), seed=0, step=4)
    ours = {name: t.grad / weight for name, t in weights.items() if t.grad is not None}

    lm.model.zero_grad()
    lm.model.eval()
    task = [_plain_task(lm, encoded, row) for row in range(3)]
    plain = torch.cat(task).mean()
    assert total / weight == pytest.approx(float(plain.detach()), abs=1e-10), "the term itself is not in what is drawn"
    assert keeping._rows is not None
    replayed, told = keeping._rows
    rows = loop_rows(len(replayed))
    (plain + 1.7 * torch.cat([_plain_kl(lm, replayed, told, row) for row in rows]).mean()).backward()
    for name, found in ours.items():
        expected = weights[name].grad
        assert expected is not None
        assert float((found - expected).norm()) <= 1e-6 * max(1.0, float(expected.norm())), name


def loop_rows(n: int) -> list[int]:
    from tunesmith.training.batches import sample

    return [int(row) for row in sample(n, size=2, seed=1, step=4)]


def _plain_task(lm: LanguageModel, encoded: Any, row: int) -> torch.Tensor:
    ids = torch.tensor([encoded.ids[row]])
    logits = lm.model(input_ids=ids).logits[0, encoded.n_prompt[row] - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, ids[0, encoded.n_prompt[row] :], reduction="none")


def _plain_kl(lm: LanguageModel, encoded: Any, told: Any, row: int) -> torch.Tensor:
    logits = lm.model(input_ids=torch.tensor([encoded.ids[row]])).logits[0, encoded.n_prompt[row] - 1 : -1]
    q = torch.softmax(logits, dim=1)
    p = torch.from_numpy(told.top_log_probs[row]).double().exp()
    listed = q.gather(1, torch.from_numpy(told.top_ids[row]))
    rest_p, rest_q = 1 - p.sum(dim=1), 1 - listed.sum(dim=1)
    return (p * (p / listed).log()).sum(dim=1) + rest_p * (rest_p / rest_q).log()


def test_the_weight_follows_the_drift_and_the_same_drifts_give_the_same_weight(tmp_path: Path) -> None:
    keeping = Keeping(Retention(1.0), CONTROLS["hold"], [], [], context_of(tmp_path))
    keeping.follow([(1, 5.0), (2, 5.0)])
    assert keeping.weight == 4.0
    keeping.follow([(1, 5.0), (2, 5.0), (3, 0.0)])
    assert keeping.weight == 2.0
    keeping.follow([(1, 0.7)])
    assert keeping.weight == pytest.approx(1.0)


def test_controls_are_tried_together_with_those_before() -> None:
    names = [names for names, _ in Retention(1.0).attempts]
    assert names == ["hold", "hold + slow", "hold + slow + small"]
    assert Retention(1.0).attempts[2][1] == Control(1.0, 0.0, 1 / 3, 1 / 4)
    assert Retention(None).attempts == [("none", Control())]
    assert Retention(1.0).named("hold + slow") == Control(1.0, 0.0, 1 / 3, 1.0)
    assert set(ORDER) <= set(CONTROLS)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        Retention(value)


def test_a_control_that_is_none_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="no control 'hodl'") as caught:
        Retention(1.0, controls=("hodl",))
    assert "hold" in str(caught.value.hint)


def probe(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "probe.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_halves_of_a_probe_have_no_row_in_common_and_do_not_depend_on_its_order(tmp_path: Path) -> None:
    rows = [{"text": f"The river has {i} bridges."} for i in range(20)]
    steer, judge = halves(read_probe(probe(tmp_path, [*rows, *rows])))
    assert len(steer) == len(judge) == 10
    assert not set(steer) & set(judge)
    assert halves(read_probe(probe(tmp_path, rows[::-1]))) == (steer, judge)


def test_choices_are_scored_by_likelihood_and_left_out_at_chance(tmp_path: Path) -> None:
    rows = [
        {"question": f"Which comes after {i}?", "answer": str(i + 1), "choices": [str(i + 1), str(i + 2), "red"]}
        for i in range(16)
    ]
    lm = model()
    (items,) = items_of(read_probe(probe(tmp_path, rows)), lm.template, context=lm.context)
    assert (items.kind, items.n, len(items.encoded)) == ("choices", 16, 48)
    suite = Suite.of(lm, items, packing="padded")
    right = round(suite.base_accuracy() / 100 * 16)
    assert (suite.why_not() is None) == (right >= 9)  # 9 of 16 or more at one in three: p below 0.05
    assert float(np.abs(suite.measure(lm.model).points).max()) == 0.0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"body": "a"}], "needs a column 'text'"),
        ([{"text": f"row {i}"} for i in range(9)], "at least 16"),
        ([{"question": "a?", "answer": ""}, {"question": "b?", "answer": "c"}], "row 1: no answer"),
        ([{"question": "a?", "answer": "b", "choices": "c|d"}], "not one of its 2 choices"),
    ],
)
def test_a_probe_that_cannot_be_used_is_refused_by_name_and_row(tmp_path: Path, rows: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read_probe(probe(tmp_path, rows))
    assert caught.value.hint


def test_a_tuned_model_stays_within_its_budget_on_the_probe_that_judges(tmp_path: Path) -> None:
    job = schooled_job(tmp_path, steps=20, forget_at_most=3.0, rate=3e-3)
    checks: list[Any] = []
    fitted = system.get("lm").fit(tickets(32), tickets(8, start=100), job, context_of(tmp_path / "w", checks))
    told = fitted.forgetting
    assert told["at_most"] == 3.0
    assert told["suites"][0]["interval"][0] <= 3.0
    assert told["dev"][1] > told["dev"][0], "something was learned"
    judged = [check for check in checks if check.name.startswith("points forgotten on probe")]
    assert judged
    assert all(check.passed for check in judged)
    assert fitted.settings["controls"] == told["controls"]
    free = system.get("lm").fit(
        tickets(32), tickets(8, start=100), schooled_job(tmp_path, steps=20, rate=3e-3), context_of(tmp_path / "f")
    )
    assert free.forgetting["suites"][0]["points"] > told["suites"][0]["points"]


def test_a_ruinous_rate_is_rolled_back_to_the_untuned_model(tmp_path: Path) -> None:
    job = schooled_job(tmp_path, steps=20, rate=0.3)
    fitted = system.get("lm").fit(tickets(32), tickets(8, start=100), job, context_of(tmp_path / "w"))
    assert fitted.forgetting["to_base"]
    assert fitted.outcome.startswith("rolled back to the untuned model")
    assert fitted.settings["best_step"] == 0
    assert fitted.forgetting["suites"][0]["points"] == pytest.approx(0.0, abs=1e-3)


class Killed(BaseException):
    """Stands for kill -9: nothing in the loop may catch it."""


def test_killed_in_a_held_training_it_ends_in_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step; killed as the eighth is written, when the hold has changed its weight."""
    clock = iter(range(0, 10**6, 31))
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    saved, real = [0], checkpoint.save

    def save(folder: Path, step: int, *rest: Any) -> Path:
        saved[0] += 1
        if kill and saved[0] == 8:
            raise Killed
        return real(folder, step, *rest)

    monkeypatch.setattr(checkpoint, "save", save)
    made = []
    for kill in (False, True):
        saved[0] = 0
        job = schooled_job(tmp_path, steps=12, forget_at_most=3.0, rate=3e-3, forget_controls="hold")
        ctx = context_of(tmp_path / f"w{kill}")
        if kill:
            with pytest.raises(Killed):
                system.get("lm").fit(tickets(32), tickets(8, start=100), job, ctx)
            kill = False
        fitted = system.get("lm").fit(tickets(32), tickets(8, start=100), job, replace(ctx))
        made.append((sha256_path(fitted.folder / "adapter"), fitted.forgetting, fitted.curve))
    assert made[0] == made[1]
    assert len(made[0][1]["drifts"]) >= 2
