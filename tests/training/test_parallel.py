"""Several processes train as one: the same steps, replicas that stay equal, and no silence when one is lost."""

from __future__ import annotations

import json
import os
import queue
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.core.errors import ModelError, RunError, TunesmithError
from tunesmith.training import loop, parallel, workers
from tunesmith.training.batches import Encoded, TokenBatches, micro_batches, sample
from tunesmith.training.gradients import deal
from tunesmith.training.loop import LoopResult, Recipe, Steering, train
from tunesmith.training.parallel import ALONE, compare

X = torch.randn(64, 5, generator=torch.Generator().manual_seed(1))
Y = (X @ torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0]) + 0.3).unsqueeze(1)


class Threads:
    """A group whose processes are threads: the same exchanges, in one process."""

    def __init__(self, rank: int, size: int, shared: dict[str, Any]) -> None:
        self.rank, self.size, self.local_size = rank, size, size
        self._shared = shared

    @classmethod
    def of(cls, size: int) -> list[Threads]:
        shared = {"barrier": threading.Barrier(size, timeout=20), "given": [None] * size}
        return [cls(rank, size, shared) for rank in range(size)]

    def _all(self, mine: Any) -> list[Any]:
        self._shared["given"][self.rank] = mine
        self._shared["barrier"].wait()
        found = list(self._shared["given"])
        self._shared["barrier"].wait()
        return found

    def from_main(self, value: Any = None) -> Any:
        return json.loads(self._all(json.dumps(value))[0])

    def tensors_from_main(self, tensors: Mapping[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
        found = self._all({name: t.detach().clone() for name, t in (tensors or {}).items()})[0]
        return {name: tensor.clone() for name, tensor in found.items()}

    def add_up(self, tensor: torch.Tensor) -> None:
        parts = self._all(tensor.clone())
        tensor.copy_(sum(parts[1:], parts[0]))

    def agree(self, what: str, digest: str) -> None:
        compare(what, self._all(digest))


class Killed(BaseException):
    """Stands for kill -9."""


def net(seed: int = 7, dropout: float = 0.0) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Dropout(dropout), torch.nn.Tanh(),
                                torch.nn.Linear(16, 1))  # fmt: skip
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
    return model


def batches(step: int) -> Sequence[torch.Tensor]:
    rows = torch.from_numpy(sample(64, size=8, seed=3, step=step))
    return list(rows.split([1, 4, 3])) if len(rows) == 8 else [rows]


def squared(model: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
    return ((model(X[rows]) - Y[rows]) ** 2).sum(), float(len(rows))


def quiet(event: str, **fields: Any) -> None:
    return None


def together(size: int, work: Callable[[Any], Any]) -> list[Any]:
    """What `work(group)` gives in each of `size` threads; an error is given in its place."""
    found: queue.Queue[tuple[int, Any]] = queue.Queue()

    def one(group: Threads) -> None:
        try:
            found.put((group.rank, work(group)))
        except (TunesmithError, Killed, threading.BrokenBarrierError) as error:
            found.put((group.rank, error))

    threads = [threading.Thread(target=one, args=(group,)) for group in Threads.of(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [value for _, value in sorted((found.get_nowait() for _ in range(size)), key=lambda pair: pair[0])]


def go(folder: Path, group: Any = ALONE, model: torch.nn.Module | None = None, **options: Any) -> Any:
    """(result, trained weights) of a small training; only the main process is given folder and score."""
    model = model or net()
    steering = Steering(score=score_of(model), promising=options.pop("promising", None))
    if group.rank:
        folder, steering = folder / "never", Steering()
    given = {"recipe": Recipe(steps=12, rate=0.02, evaluate_every=3), "batches": batches, "loss": squared, **options}
    result = train(
        model, folder=folder, emit=quiet, seed=5, checkpoint_every_s=0.0, group=group, steering=steering, **given
    )
    return result, torch.cat([tensor.detach().reshape(-1) for tensor in model.parameters()])


def score_of(model: torch.nn.Module) -> Callable[[], float]:
    return lambda: -float(((model(X) - Y) ** 2).mean())


def close(one: LoopResult, two: LoopResult) -> bool:
    return (one.steps_done, one.best_step, one.stopped) == (two.steps_done, two.best_step, two.stopped) and all(
        a[key] == (None if b[key] is None else pytest.approx(b[key], rel=1e-6, abs=1e-6))
        for a, b in zip(one.curve, two.curve, strict=True)
        for key in a
    )


def test_micro_batches_are_dealt_so_that_nobody_has_much_more_than_the_others() -> None:
    assert deal([3.0, 1.0, 1.0, 1.0], 2) == [[0], [1, 2, 3]]
    assert deal([1.0, 5.0], 3) == [[1], [0], []]
    assert deal([2.0, 2.0, 2.0], 1) == [[0, 1, 2]]
    shares = deal([float(i % 7 + 1) for i in range(50)], 4)
    assert sorted(i for share in shares for i in share) == list(range(50))
    loads = [sum(i % 7 + 1 for i in share) for share in shares]
    assert max(loads) - min(loads) <= 1


@pytest.mark.parametrize("size", [2, 4])
def test_several_train_as_one_even_where_some_have_nothing_to_do(tmp_path: Path, size: int) -> None:
    alone, weights = go(tmp_path / "one")
    found = together(size, lambda group: go(tmp_path / "several", group))
    for result, theirs in found:
        assert close(result, alone)
        torch.testing.assert_close(theirs, weights, rtol=0, atol=1e-5)
        assert torch.equal(theirs, found[0][1])
    lines = [(tmp_path / name / "steps.jsonl").read_text().count("\n") for name in ("one", "several")]
    assert lines[0] == lines[1] > 0
    assert not (tmp_path / "several/never").exists()


def test_a_weight_that_nothing_reaches_keeps_no_gradient_as_on_one_process(tmp_path: Path) -> None:
    def with_spare() -> torch.nn.Module:
        model = net()
        model.register_parameter("spare", torch.nn.Parameter(torch.ones(3)))
        return model

    recipe = Recipe(steps=4, rate=0.02, weight_decay=0.5)
    _, alone = go(tmp_path / "one", model=with_spare(), recipe=recipe)
    found = together(2, lambda group: go(tmp_path / "two", group, model=with_spare(), recipe=recipe))
    torch.testing.assert_close(found[1][1], alone, rtol=0, atol=1e-5)


def test_who_computes_a_micro_batch_does_not_change_its_random_numbers() -> None:
    class Quietly:
        """Adds nothing up, so that each share can be looked at."""

        size, local_size = 2, 2

        def __init__(self, rank: int) -> None:
            self.rank = rank

        def add_up(self, tensor: torch.Tensor) -> None:
            if tensor.dtype == torch.float64:
                tensor[2] *= self.size  # the number of micro-batches, which is compared

    def gradient(group: Any) -> tuple[float, torch.Tensor]:
        model = net(dropout=0.5)
        weights = loop.trainable(model)
        total, _ = loop.accumulate(model, weights, batches(2), squared, seed=1, step=2, group=group)
        return total, torch.cat([tensor.grad.reshape(-1) for tensor in weights.values()])  # type: ignore[union-attr]

    whole, parts = gradient(ALONE), [gradient(Quietly(0)), gradient(Quietly(1))]
    assert parts[0][0] + parts[1][0] == pytest.approx(whole[0], rel=1e-6)
    torch.testing.assert_close(parts[0][1] + parts[1][1], whole[1])
    assert not torch.allclose(parts[0][1], parts[1][1])


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 2)])
def test_a_training_goes_on_with_another_number_of_processes(tmp_path: Path, before: int, after: int) -> None:
    def killed_at_seven(step: int) -> Sequence[torch.Tensor]:
        if step == 7:
            raise Killed
        return batches(step)

    alone, weights = go(tmp_path / "straight")
    stopped = together(before, lambda group: go(tmp_path / "cut", group, batches=killed_at_seven))
    assert all(isinstance(one, Killed | threading.BrokenBarrierError) for one in stopped)
    events: list[tuple[str, dict[str, Any]]] = []

    def resumed(group: Any) -> Any:
        model = net()
        result = train(
            model, batches, squared, recipe=Recipe(steps=12, rate=0.02, evaluate_every=3), folder=tmp_path / "cut",
            emit=lambda event, **fields: events.append((event, fields)), seed=5, group=group,
            steering=Steering(score=score_of(model) if group.rank == 0 else None),
        )  # fmt: skip
        return result, torch.cat([tensor.detach().reshape(-1) for tensor in model.parameters()])

    for result, theirs in together(after, resumed):
        assert close(result, alone)
        torch.testing.assert_close(theirs, weights, rtol=0, atol=1e-5)
    assert ("train.resumed", {"step": 7}) in events


def test_only_the_main_process_scores_and_decides(tmp_path: Path) -> None:
    asked: list[float] = []

    def refuse(score: float) -> bool:
        asked.append(score)
        return False

    recipe = Recipe(steps=12, rate=0.02, pause_step=5)
    found = together(3, lambda g: go(tmp_path, g, recipe=recipe, promising=refuse))
    assert [result.stopped for result, _ in found] == ["not promising"] * 3
    assert len(asked) == 1


def test_another_base_model_in_one_process_is_refused_before_the_first_step(tmp_path: Path) -> None:
    def with_frozen(rank: int) -> torch.nn.Module:
        model = net()
        model.register_parameter("frozen", torch.nn.Parameter(torch.full((2,), float(rank)), requires_grad=False))
        return model

    errors = together(2, lambda group: go(tmp_path, group, model=with_frozen(group.rank)))
    assert all(isinstance(error, RunError) and "process 1 differs" in error.message for error in errors)
    assert not (tmp_path / "checkpoints").exists()


def test_replicas_that_drift_apart_are_found_at_the_next_checkpoint(tmp_path: Path) -> None:
    def drifting(group: Any) -> Any:
        model = net()

        def loss(m: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
            if group.rank == 1:
                with torch.no_grad():
                    next(iter(m.parameters()))[0, 0] += 1e-6
            return squared(m, rows)

        return go(tmp_path, group, model=model, loss=loss)

    errors = together(2, drifting)
    assert all(isinstance(e, RunError) and "the trained weights after step 1" in e.message for e in errors)
    assert not (tmp_path / "checkpoints").exists()


def test_processes_with_other_rows_are_refused(tmp_path: Path) -> None:
    def other(step: int) -> Sequence[torch.Tensor]:
        return [torch.arange(8)]

    errors = together(2, lambda group: go(tmp_path, group, batches=other if group.rank else batches))
    assert all(isinstance(e, RunError) and "micro-batches" in e.message for e in errors)


def test_a_loss_that_is_not_finite_on_one_process_stops_all_with_step_and_layer(tmp_path: Path) -> None:
    def poisoned(group: Any) -> Any:
        def loss(m: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
            total, weight = squared(m, rows)
            return (total * float("nan") if group.rank == 1 else total), weight

        return go(tmp_path, group, loss=loss)

    errors = together(2, poisoned)
    assert [isinstance(error, ModelError) for error in errors] == [True, True]
    assert all("step 0: the loss is nan; the gradient of 3.bias is not finite" in error.message for error in errors)


def lengthy(lengths: Sequence[int], shared: int = 0) -> Encoded:
    rows = tuple(
        tuple([7] * shared + [100 + 50 * i + j % 40 for j in range(length - shared)])
        for i, length in enumerate(lengths)
    )
    return Encoded(rows, tuple(len(row) - 2 for row in rows), (1,) * len(rows), (1.0,) * len(rows))


@pytest.mark.parametrize("packing", ["tree", "padded"])
@pytest.mark.parametrize("parts", [2, 3])
def test_a_step_is_cut_so_that_every_process_has_as_much(packing: Any, parts: int) -> None:
    encoded = lengthy([90, 80, 85, 95, 70, 88, 92, 81], shared=10)
    whole = micro_batches(encoded, range(8), max_tokens=4000, packing=packing)
    cut = micro_batches(encoded, range(8), max_tokens=4000, packing=packing, parts=parts)
    assert (len(whole), len(cut)) == (1, parts)
    assert sum(len(batch.targets) for batch in cut) == len(whole[0].targets)
    assert max(batch.cost for batch in cut) <= 1.4 * whole[0].cost / parts
    assert all(not batch.large for batch in cut)


def test_where_memory_cuts_a_step_anyway_it_is_cut_into_even_shares() -> None:
    encoded = lengthy([100] * 8)
    assert len(micro_batches(encoded, range(8), max_tokens=300)) == 3
    cut = micro_batches(encoded, range(8), max_tokens=300, parts=2)
    loads = [sum(cut[i].cost for i in share) for share in deal([batch.cost for batch in cut], 2)]
    assert loads == [400.0, 400.0]


def test_a_process_alone_cuts_as_if_there_were_no_others() -> None:
    encoded = lengthy([40, 60, 30, 80, 20], shared=8)
    one = TokenBatches(encoded, 5, 0, 100)(0)
    two = TokenBatches(encoded, 5, 0, 100, parts=1)(0)
    assert [batch.ids.tolist() for batch in one] == [batch.ids.tolist() for batch in two]


def test_rows_arrive_at_workers_as_they_were_sent() -> None:
    encoded = Encoded(((1, 2, 3), (4,), (5, 6)), (2, 1, 1), (1, 0, 1), (1.0, 0.25, 2.0))
    assert workers._from_tensors(workers._to_tensors(encoded)) == encoded


def test_without_a_launcher_there_is_no_group_and_nothing_heavy_is_loaded() -> None:
    assert not parallel.is_launched()
    assert parallel.world() is ALONE
    program = (
        "import sys, tunesmith.cli; from tunesmith.training import parallel; assert parallel.world().size == 1; "
        "print([m for m in ('torch', 'accelerate', 'transformers') if m in sys.modules])"
    )
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert made.stdout.strip() == "[]"


# What follows starts real processes with torchrun and gloo, on this machine alone.

TESTS = Path(__file__).parents[1]


def launch(n: int, *words: object, **environment: str) -> subprocess.Popen[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n), "--master-addr", "127.0.0.1",
               "--master-port", str(port), *map(str, words)]  # fmt: skip
    given = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", **environment}
    given["PYTHONPATH"] = os.pathsep.join([str(TESTS), given.get("PYTHONPATH", "")])
    return subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(started: subprocess.Popen[str], *, within_s: float = 400) -> tuple[int, str]:
    try:
        out, err = started.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        started.kill()
        raise
    return started.returncode, out + err


def curve_and_adapter(work: Path) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    from safetensors.torch import load_file

    about = json.loads((work / "saved/system.json").read_text())
    return about["curve"], load_file(work / "saved/adapter/adapter_model.safetensors")


def close_curves(one: list[dict[str, Any]], two: list[dict[str, Any]]) -> None:
    assert [at["step"] for at in one] == [at["step"] for at in two]
    for key in ("loss", "dev_loss"):
        for a, b in zip(one, two, strict=True):
            assert (a[key] is None) == (b[key] is None)
            assert a[key] is None or a[key] == pytest.approx(b[key], abs=1e-6)


@pytest.mark.slow
def test_two_gloo_processes_give_the_losses_and_the_adapter_of_one_also_when_they_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import two_processes

    models, real = tmp_path / "models", loop.accumulate
    monkeypatch.setattr(loop.train, "__kwdefaults__", {**(loop.train.__kwdefaults__ or {}), "checkpoint_every_s": 0.0})
    two_processes.fit(models, tmp_path / "one")

    def killed_at_five(*args: Any, step: int, **kwargs: Any) -> Any:
        if step == 5:
            raise Killed
        return real(*args, step=step, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "accumulate", killed_at_five)
        with pytest.raises(Killed):
            two_processes.fit(models, tmp_path / "resumed")
    code, said = finished(launch(2, TESTS / "two_processes.py", models, tmp_path / "two", tmp_path / "resumed"))
    assert code == 0, said
    curve, adapter = curve_and_adapter(tmp_path / "one")
    assert len(curve) == two_processes.STEPS
    for name in ("two", "resumed"):
        found, theirs = curve_and_adapter(tmp_path / name)
        close_curves(found, curve)
        assert set(theirs) == set(adapter)
        for key, tensor in adapter.items():
            torch.testing.assert_close(theirs[key], tensor, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["die", "fail"])
def test_a_lost_worker_ends_the_run_with_a_clear_error_and_not_with_silence(tmp_path: Path, how: str) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / how).touch()
    code, said = finished(launch(2, TESTS / "two_processes.py", models, tmp_path / "two"))
    assert code != 0
    assert "RunError: the launcher ended this process" in said or "Lost: lost contact with the other" in said
    assert "goes on from the last checkpoint" in said
    assert how == "die" or "process 1 of 2: MemoryError: no room on this device" in said
    assert not (tmp_path / "two/saved").exists()


@pytest.mark.slow
def test_the_command_line_runs_on_two_processes_and_only_one_of_them_speaks(tmp_path: Path) -> None:
    from tunesmith.testing import tiny_lm

    tiny_lm(tmp_path / "lm")
    draw = random.Random(0)
    kinds = {"billing": "invoice charged refund payment", "delivery": "parcel courier late address"}
    rows = ["message,kind"]
    for i in range(90):
        kind = draw.choice(sorted(kinds))
        rows.append(f"{' '.join(draw.choices(kinds[kind].split(), k=4))} number {i},{kind}")
    (tmp_path / "tickets.csv").write_text("\n".join(rows) + "\n")
    words = ["-m", "tunesmith", "run", tmp_path / "tickets.csv", "--target", "kind", "--out", tmp_path / "run",
             "--budget", "5m", "--threads", "2", "--encoder", "none", "--lm", f"folder:{tmp_path / 'lm'}",
             "--only", "majority", "--only", "lm", "--set", "dtype=float32"]  # fmt: skip
    code, said = finished(launch(2, *words))
    assert code == 0, said
    report = json.loads((tmp_path / "run/08-evaluate/report.json").read_text())
    ladder = json.loads((tmp_path / "run/05-select/ladder.json").read_text())
    assert report["verdict"]["winner"] in ("majority", "lm")
    assert {rung["name"]: rung["status"] for rung in ladder["rungs"]}["lm"] != "not run"
    assert said.count("use it: ") == 1
    events = [json.loads(line) for line in (tmp_path / "run/events.jsonl").read_text().splitlines()]
    shared = [(e["processes"], e["threads_each"]) for e in events if e["event"] == "train.shared"]
    assert shared
    assert set(shared) == {(2, 1)}
    assert "Traceback" not in said
    assert "Warning" not in said
    code, said = finished(launch(2, *words))  # nothing to train: workers are let go all the same
    assert code == 0, said
