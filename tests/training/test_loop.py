"""The loop: exact accumulation, exact resume, honest stops."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.core.errors import ModelError, RunError
from tunesmith.core.files import write_json
from tunesmith.training import checkpoint
from tunesmith.training.batches import sample, steps_per_epoch
from tunesmith.training.loop import LoopResult, Recipe, Steering, train

X = torch.randn(64, 5, generator=torch.Generator().manual_seed(1))
Y = (X @ torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0]) + 0.3).unsqueeze(1)


class Killed(BaseException):
    """Stands for kill -9: nothing in the loop may catch it."""


def net(dropout: float = 0.1) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return torch.nn.Sequential(
            torch.nn.Linear(5, 16), torch.nn.Dropout(dropout), torch.nn.Tanh(), torch.nn.Linear(16, 1)
        )


def batches(step: int, *, cut: int = 8, size: int = 8) -> Sequence[torch.Tensor]:
    rows = torch.from_numpy(sample(64, size=size, seed=3, step=step))
    return list(rows.split(cut))


def squared(model: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
    return ((model(X[rows]) - Y[rows]) ** 2).sum(), float(len(rows))


def quiet(event: str, **fields: Any) -> None:
    return None


def run(
    model: torch.nn.Module,
    folder: Path,
    *,
    kill_at: int | None = None,
    emit: Any = quiet,
    late: Any = None,
    **recipe: Any,
) -> LoopResult:
    def maybe_killed(step: int) -> Sequence[torch.Tensor]:
        if step == kill_at:
            raise Killed
        return batches(step)

    def score() -> float:
        return -float(((model(X) - Y) ** 2).mean())

    settings = {"steps": 20, "rate": 0.05, "evaluate_every": 5, **recipe}
    return train(
        model,
        maybe_killed,
        squared,
        recipe=Recipe(**settings),
        folder=folder,
        emit=emit,
        steering=Steering(score=score, late=late),
        seed=5,
        checkpoint_every_s=0.0,
    )


def state_bytes(model: torch.nn.Module) -> bytes:
    return b"".join(t.detach().numpy().tobytes() for t in model.state_dict().values())


def test_training_lowers_the_loss_and_records_the_curve(tmp_path: Path) -> None:
    model = net(dropout=0.0)
    result = run(model, tmp_path, steps=60)
    assert result.stopped == "all steps"
    assert result.steps_done == 60
    first, last = result.curve[0]["loss"], result.curve[-1]["loss"]
    assert first is not None
    assert last is not None
    assert last < first / 5
    lines = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert lines == list(result.curve)


@pytest.mark.parametrize("kill_at", [1, 7, 10, 19])
def test_a_killed_and_resumed_training_ends_in_the_same_bytes(tmp_path: Path, kill_at: int) -> None:
    straight = net()
    expected = run(straight, tmp_path / "a")
    with pytest.raises(Killed):
        run(net(), tmp_path / "b", kill_at=kill_at)
    resumed = net()
    assert run(resumed, tmp_path / "b") == expected
    assert state_bytes(resumed) == state_bytes(straight)
    assert (tmp_path / "a/steps.jsonl").read_bytes() == (tmp_path / "b/steps.jsonl").read_bytes()


def test_the_clock_ends_a_training_once_and_a_resumed_one_at_the_same_step(tmp_path: Path) -> None:
    def timed(folder: Path, model: torch.nn.Module, late: Any, kill_at: int | None = None) -> LoopResult:
        return run(model, folder, late=late, kill_at=kill_at, steps=20, evaluate_every=6)

    events: list[str] = []
    asked = iter([False] * 8 + [True])
    straight = net()
    expected = run(
        straight, tmp_path / "a", late=lambda: next(asked), steps=20, evaluate_every=6,
        emit=lambda event, **fields: events.append(f"{event} {fields.get('what')} {fields.get('choice')}"),
    )  # fmt: skip
    assert (expected.stopped, expected.steps_done) == ("the clock", 9)
    assert expected.curve[-1]["dev"] is not None, "the step at which it ended is scored"
    assert "decision train.steps 9" in events
    asked = iter([False] * 8 + [True])
    with pytest.raises(Killed):
        timed(tmp_path / "b", net(), lambda: next(asked), kill_at=7)
    write_json(tmp_path / "b/clock.json", {"stop_step": 9})  # as if it was killed after the decision
    resumed = net()
    assert timed(tmp_path / "b", resumed, None) == expected, "nobody asks a clock again"
    assert state_bytes(resumed) == state_bytes(straight)


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first = net()
    expected = run(first, tmp_path)
    again = net()
    assert run(again, tmp_path, kill_at=0) == expected
    assert state_bytes(again) == state_bytes(first)


def test_other_random_numbers_drawn_meanwhile_change_nothing(tmp_path: Path) -> None:
    one = net()
    run(one, tmp_path / "a")
    torch.manual_seed(999)
    two = net()
    run(two, tmp_path / "b")
    assert state_bytes(one) == state_bytes(two)


@pytest.mark.parametrize("cut", [1, 3, 8])
def test_the_size_of_micro_batches_does_not_change_the_step(tmp_path: Path, cut: int) -> None:
    whole, parts = net(0.0), net(0.0)
    recipe = Recipe(steps=3, rate=0.05)
    train(whole, batches, squared, recipe=recipe, folder=tmp_path / "a", emit=quiet)
    train(parts, lambda s: batches(s, cut=cut), squared, recipe=recipe, folder=tmp_path / "b", emit=quiet)
    for left, right in zip(whole.parameters(), parts.parameters(), strict=True):
        # Adam divides by the gradient's size, so rounding differences of 1e-7 may grow a little.
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def test_one_step_is_adamw_on_the_mean_gradient(tmp_path: Path) -> None:
    ours, theirs = net(0.0), net(0.0)
    recipe = Recipe(steps=1, rate=0.01, warmup=0.0, schedule="constant", weight_decay=0.1, clip=None)
    train(ours, lambda s: batches(s, cut=3), squared, recipe=recipe, folder=tmp_path, emit=quiet)
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    total, weight = squared(theirs, batches(0)[0])
    (total / weight).backward()
    optimizer.step()
    for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)


def test_each_weight_has_its_multiple_of_the_rate(tmp_path: Path) -> None:
    ours, theirs = net(0.0), net(0.0)
    recipe = Recipe(steps=3, rate=0.01, warmup=0.0, clip=None)
    train(
        ours, batches, squared, recipe=recipe, folder=tmp_path, emit=quiet, multiples={"3.weight": 4.0, "3.bias": 4.0}
    )
    groups = [
        {"params": list(theirs[0].parameters()), "of": 1.0},  # type: ignore[index]
        {"params": list(theirs[3].parameters()), "of": 4.0},  # type: ignore[index]
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.0)
    for step in range(3):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(step) * group["of"]
        total, weight = squared(theirs, batches(step)[0])
        optimizer.zero_grad()
        (total / weight).backward()
        optimizer.step()
    for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)


def test_a_training_with_several_rates_resumes_in_the_same_bytes_and_not_with_others(tmp_path: Path) -> None:
    def go(model: torch.nn.Module, folder: Path, multiple: float, *, kill_at: int | None = None) -> list[str]:
        def maybe_killed(step: int) -> Sequence[torch.Tensor]:
            if step == kill_at:
                raise Killed
            return batches(step)

        events: list[str] = []
        train(
            model,
            maybe_killed,
            squared,
            recipe=Recipe(steps=9, rate=0.02),
            folder=folder,
            emit=lambda event, **_: events.append(event),
            seed=5,
            checkpoint_every_s=0.0,
            multiples={"3.weight": multiple},
        )
        return events

    straight, resumed = net(), net()
    go(straight, tmp_path / "a", 8.0)
    with pytest.raises(Killed):
        go(net(), tmp_path / "b", 8.0, kill_at=5)
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    assert go(resumed, tmp_path / "b", 8.0)[0] == "train.resumed"
    assert state_bytes(resumed) == state_bytes(straight)
    assert go(net(), tmp_path / "c", 2.0)[0] == "checkpoint.other"


@pytest.mark.parametrize(("name", "multiple"), [("3.wieght", 2.0), ("3.weight", 0.0), ("3.weight", float("nan"))])
def test_a_rate_of_nothing_or_of_no_size_is_refused(tmp_path: Path, name: str, multiple: float) -> None:
    with pytest.raises(ModelError, match=r"3\.w"):
        train(
            net(), batches, squared, recipe=Recipe(steps=1, rate=0.1), folder=tmp_path, emit=quiet,
            multiples={name: multiple},
        )  # fmt: skip


def test_a_damaged_checkpoint_is_recognised_and_the_one_before_it_used(tmp_path: Path) -> None:
    straight = net()
    run(straight, tmp_path / "a")
    with pytest.raises(Killed):
        run(net(), tmp_path / "b", kill_at=12)
    newest = sorted((tmp_path / "b/checkpoints").iterdir())[-1]
    content = bytearray((newest / "state.safetensors").read_bytes())
    content[-3] ^= 0x10
    (newest / "state.safetensors").write_bytes(content)
    events: list[str] = []
    resumed = net()
    run(resumed, tmp_path / "b", emit=lambda event, **_: events.append(event))
    assert events[:2] == ["checkpoint.damaged", "train.resumed"]
    assert state_bytes(resumed) == state_bytes(straight)


@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "manifest.json"])
def test_a_missing_or_cut_file_makes_a_checkpoint_damaged(tmp_path: Path, name: str) -> None:
    path = checkpoint.save(tmp_path, 3, {"w": torch.ones(4)}, {"step": 3})
    assert checkpoint.damage(path) is None
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[: len(content) // 2])
    assert checkpoint.damage(path)
    (path / name).unlink()
    assert checkpoint.damage(path)


def test_checkpoints_hold_no_pickle_and_only_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in range(5):
        checkpoint.save(tmp_path, step, {"w": torch.full((2,), float(step))}, {"step": step})
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["step-00000003", "step-00000004"]
    names = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert names == {"state.safetensors", "state.json", "manifest.json"}
    found = checkpoint.latest(tmp_path, quiet)
    assert found is not None
    assert found[0]["w"].tolist() == [4.0, 4.0]


def test_a_full_disk_is_a_clear_error_and_leaves_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, 1, {"w": torch.ones(2)}, {"step": 1})

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_json", full)
    with pytest.raises(RunError, match="No space left"):
        checkpoint.save(tmp_path, 2, {"w": torch.ones(2)}, {"step": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    found = checkpoint.latest(tmp_path, quiet)
    assert found is not None
    assert found[1] == {"step": 1}


def test_a_checkpoint_of_another_recipe_is_not_continued(tmp_path: Path) -> None:
    run(net(), tmp_path, steps=10)
    events: list[str] = []
    result = run(net(), tmp_path, steps=12, emit=lambda event, **_: events.append(event))
    assert events[0] == "checkpoint.other"
    assert result.steps_done == 12


def test_a_loss_that_is_not_finite_stops_naming_step_and_layer(tmp_path: Path) -> None:
    model = net(0.0)

    def broken(m: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
        total, weight = squared(m, rows)
        if not hasattr(m, "seen"):
            m.seen = 0  # type: ignore[assignment]
        m.seen += 1  # type: ignore[operator, assignment]
        return (total * float("nan") if m.seen == 4 else total), weight  # type: ignore[comparison-overlap]

    with pytest.raises(ModelError, match=r"step 3: the loss is nan; the gradient of 3\.bias is not finite"):
        train(model, batches, broken, recipe=Recipe(steps=9, rate=0.01), folder=tmp_path, emit=quiet)


def test_a_gradient_that_is_not_finite_stops_before_it_reaches_the_weights(tmp_path: Path) -> None:
    model = net(0.0)
    before = state_bytes(model)

    def poisoned(m: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
        hidden = m(X[rows])
        return torch.sqrt((hidden - hidden.detach()).abs()).sum(), float(len(rows))  # value 0, slope infinite

    with pytest.raises(ModelError, match="step 0: the gradient is"):
        train(model, batches, poisoned, recipe=Recipe(steps=9, rate=0.01), folder=tmp_path, emit=quiet)
    assert state_bytes(model) == before


def test_early_stopping_keeps_the_best_weights(tmp_path: Path) -> None:
    model = net(0.0)
    scores = iter([1.0, 3.0, 2.0, 2.5, 9.0])
    seen: list[bytes] = []

    def score() -> float:
        seen.append(state_bytes(model))
        return next(scores)

    result = train(
        model,
        batches,
        squared,
        recipe=Recipe(steps=50, rate=0.05, evaluate_every=2, patience=2),
        folder=tmp_path,
        emit=quiet,
        steering=Steering(score=score),
    )
    assert (result.stopped, result.steps_done, result.best_step, result.best_score) == ("no gain on dev", 8, 4, 3.0)
    assert state_bytes(model) == seen[1]


def test_the_pause_asks_once_and_the_answer_is_obeyed_on_resume(tmp_path: Path) -> None:
    asked: list[float] = []

    def refuse(score: float) -> bool:
        asked.append(score)
        return False

    def go(folder: Path, promising: Any) -> LoopResult:
        model = net(0.0)
        return train(
            model,
            batches,
            squared,
            recipe=Recipe(steps=10, rate=0.05, pause_step=4),
            folder=folder,
            emit=quiet,
            steering=Steering(score=lambda: 1.5, promising=promising),
        )

    result = go(tmp_path, refuse)
    assert (result.stopped, result.steps_done) == ("not promising", 4)
    shutil.rmtree(tmp_path / "checkpoints")  # as after a kill between decision and checkpoint
    assert go(tmp_path, lambda _: True).stopped == "not promising"
    assert asked == [1.5]
    assert go(tmp_path / "other", lambda _: True).steps_done == 10


def test_weights_below_float32_are_not_trained(tmp_path: Path) -> None:
    model = net().to(torch.bfloat16)
    with pytest.raises(ModelError, match=r"0\.weight is torch\.bfloat16"):
        train(model, batches, squared, recipe=Recipe(steps=1, rate=0.1), folder=tmp_path, emit=quiet)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_the_rate_climbs_then_follows_its_schedule_and_is_never_zero(schedule: Any) -> None:
    recipe = Recipe(steps=100, rate=1.0, warmup=0.1, schedule=schedule)
    rates = [recipe.rate_at(step) for step in range(100)]
    assert all(rate > 0.0 for rate in rates)
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_every_epoch_visits_every_example_once_in_another_order() -> None:
    per_epoch = steps_per_epoch(10, 4)
    assert per_epoch == 3
    epochs = [
        [int(i) for step in range(e * per_epoch, (e + 1) * per_epoch) for i in sample(10, size=4, seed=1, step=step)]
        for e in range(2)
    ]
    assert [sorted(e) for e in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
    assert sample(10, size=4, seed=1, step=4).tolist() == sample(10, size=4, seed=1, step=4).tolist()
