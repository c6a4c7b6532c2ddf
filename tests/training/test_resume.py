"""Killed at any moment, on a damaged or full disk: the training goes on to the same bytes, or says what is wrong."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import killed
import pytest
import torch

from tunesmith.core import files
from tunesmith.core.errors import RunError
from tunesmith.models.methods import method
from tunesmith.testing import tiny_lm
from tunesmith.training import checkpoint
from tunesmith.training.loop import Recipe, train

STEPS = 30
KINDS = {"truncated", "flipped", "missing", "empty"}


def start(folder: Path, out: Path, *, largest_file: int | None = None) -> Started:
    """A training in a process of its own, forked so that it need not load torch again; what it says is in `log`."""
    log = out.with_suffix(f".{len(list(out.parent.glob('*.log')))}.log")

    def work() -> None:
        with log.open("w", encoding="utf-8") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            sys.stdout, sys.stderr = said, said
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
            killed.main(folder, out, STEPS)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return Started(process, log)


@dataclass
class Started:
    """A training that runs, or has ended."""

    process: Any
    log: Path

    def said(self) -> str:
        """What it has said until now."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def ended(self) -> int:
        """Its exit code; -9 if it was killed."""
        self.process.join()
        return int(self.process.exitcode)

    def killed_after(self, steps: int, delay_s: float) -> int:
        """SIGKILL when it has begun so many steps, and a moment on."""
        while self.process.is_alive() and self.said().count("step ") <= steps:
            time.sleep(0.001)
        self.process.join(delay_s)
        self.process.kill()
        return self.ended()


def survives(tmp_path: Path, kills: int, seed: int) -> list[int]:
    """Exit codes of the processes that were killed and of the last, which was not and ends in the right bytes."""
    straight = start(tmp_path / "a", tmp_path / "a.txt")
    assert straight.ended() == 0
    draw, codes = random.Random(seed), []
    for _ in range(kills):
        process = start(tmp_path / "b", tmp_path / "b.txt")
        # A step takes about a millisecond, a checkpoint some ten: most kills fall into the writing of one.
        codes.append(process.killed_after(draw.randint(0, STEPS // (kills + 1)), draw.uniform(0, 0.03)))
    last = start(tmp_path / "b", tmp_path / "b.txt")
    codes.append(last.ended())
    assert "checkpoint" not in last.said(), "a kill left a checkpoint that looks damaged"
    assert (tmp_path / "a.txt").read_text() == (tmp_path / "b.txt").read_text()
    assert (tmp_path / "a/steps.jsonl").read_bytes() == (tmp_path / "b/steps.jsonl").read_bytes()
    names = sorted(path.name for path in (tmp_path / "b/checkpoints").iterdir())
    assert names == [f"step-{STEPS - 1:08d}", f"step-{STEPS:08d}"]
    return codes


def test_killed_again_and_again_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    codes = survives(tmp_path, 3, seed=0)
    assert codes[-1] == 0
    assert -signal.SIGKILL in codes


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_killed_at_many_moments_it_ends_in_the_same_bytes(tmp_path: Path, seed: int) -> None:
    assert -signal.SIGKILL in survives(tmp_path, 6, seed)


class Killed(BaseException):
    """Stands for kill -9 where the very line matters."""


@pytest.mark.parametrize("at", ["save_file", "write_json", "sha256_file", "replace", "rmtree"])
def test_a_kill_at_any_line_of_writing_a_checkpoint_costs_nothing(
    tmp_path: Path, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is cleaned up after a real kill: drafts stay, and the next checkpoint takes them away."""
    straight, resumed = tmp_path / "a", tmp_path / "b"
    expected = trained(straight)
    calls = 0

    def dies(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal calls
            if "checkpoints" in "".join(map(str, given)) or at in ("save_file", "rmtree"):
                calls += 1
                if calls == 7:
                    raise Killed
            return real(*given, **named)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(files.shutil, "rmtree", lambda *_, **__: None)
        place: Any = {"save_file": "safetensors.torch", "replace": "pathlib.Path"}.get(at, checkpoint)
        if at == "rmtree":
            patch.setattr(checkpoint.shutil, "rmtree", dies(lambda *_, **__: None))
        elif isinstance(place, str):
            patch.setattr(f"{place}.{at}", dies(torch_save() if at == "save_file" else Path.replace))
        else:
            patch.setattr(place, at, dies(getattr(place, at)))
        with pytest.raises(Killed):
            trained(resumed)
    events: list[str] = []
    assert trained(resumed, events) == expected
    assert not [name for name in events if name.startswith("checkpoint")]
    assert not list((resumed / "checkpoints").glob(".*")), "a draft that a kill left behind stays for ever"


def torch_save() -> Callable[..., Any]:
    from safetensors.torch import save_file

    return save_file


def trained(folder: Path, events: list[str] | None = None, *, steps: int = 9) -> bytes:
    """The weights after a training in `folder`."""
    from test_loop import batches, net, squared, state_bytes

    def tell(event: str, **_: Any) -> None:
        if events is not None and not event.startswith(("progress", "train.spent")):
            events.append(event)

    model = net()
    train(model, batches, squared, recipe=Recipe(steps, 0.02), folder=folder, emit=tell, seed=5, checkpoint_every_s=0.0)
    return state_bytes(model)


def half(folder: Path) -> Path:
    """Checkpoints 4 and 5 of a training that was stopped there."""
    from test_loop import batches, net, squared

    def stops(step: int) -> Any:
        if step == 5:
            raise Killed
        return batches(step)

    with pytest.raises(Killed):
        train(
            net(), stops, squared, recipe=Recipe(9, 0.02), folder=folder, emit=lambda *_, **__: None, seed=5,
            checkpoint_every_s=0.0,
        )  # fmt: skip
    return folder


def spoil(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "flipped":
        at = len(content) // 2
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
    else:
        path.write_bytes(content[: len(content) - 7] if how == "truncated" else b"")


@pytest.mark.parametrize("how", sorted(KINDS))
@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "manifest.json"])
def test_a_damaged_checkpoint_costs_the_work_since_the_one_before_and_all_damaged_a_start_anew(
    tmp_path: Path, name: str, how: str
) -> None:
    expected = trained(tmp_path / "a")
    for both in (False, True):
        folder = half(tmp_path / f"b{both}")
        found = sorted((folder / "checkpoints").iterdir())
        assert [path.name for path in found] == ["step-00000004", "step-00000005"]
        for path in found if both else found[1:]:
            spoil(path / name, how)
        events: list[str] = []
        assert trained(folder, events) == expected
        assert events == (
            ["checkpoint.damaged"] * 2 + ["checkpoint.none"] if both else ["checkpoint.damaged", "train.resumed"]
        )


def test_checkpoints_of_another_training_with_more_steps_do_not_crowd_out_its_own(tmp_path: Path) -> None:
    """They have higher numbers: were the newest two kept by number, every new one would be dropped at once."""
    trained(tmp_path, steps=40)
    folder = half(tmp_path)  # 9 steps are planned, 5 are done
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["step-00000004", "step-00000005"]
    events: list[str] = []
    trained(folder, events)
    assert events == ["train.resumed"]


def test_a_full_disk_ends_with_exit_code_2_and_freed_space_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: it takes the curve and the manifest, and no weights."""
    assert start(tmp_path / "a", tmp_path / "a.txt").ended() == 0
    start(tmp_path / "b", tmp_path / "b.txt").killed_after(9, 0.0)
    before = sorted(path.name for path in (tmp_path / "b/checkpoints").glob("step-*"))
    assert before
    small = start(tmp_path / "b", tmp_path / "b.txt", largest_file=100_000)
    assert small.ended() == 2, small.said()
    for words in ("train.resumed", "could not be written", "free some disk space"):
        assert words in small.said()
    assert "Traceback" not in small.said()
    left = sorted(path.name for path in (tmp_path / "b/checkpoints").glob("step-*"))
    assert left == before
    assert all(checkpoint.damage(tmp_path / "b/checkpoints" / name) is None for name in left)
    again = start(tmp_path / "b", tmp_path / "b.txt")
    assert again.ended() == 0
    assert "train.resumed" in again.said()
    assert (tmp_path / "a.txt").read_text() == (tmp_path / "b.txt").read_text()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_is_full_only_when_it_syncs_leaves_the_last_good_checkpoint(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, 1, {"w": torch.ones(2)}, {"step": 1})

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full) if call == "fsync" else monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RunError, match="No space left") as caught:
        checkpoint.save(tmp_path, 2, {"w": torch.ones(2)}, {"step": 2})
    assert caught.value.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert checkpoint.damage(tmp_path / "step-00000001") is None


@pytest.mark.parametrize("options", [{}, {"dora": True}, {"pissa": True, "rank": 4}], ids=str)
def test_a_seed_is_all_there_is_to_how_an_adapter_begins(tmp_path: Path, options: dict[str, Any]) -> None:
    from tunesmith.core.context import Limits
    from tunesmith.models.lm import LanguageModel

    folder = tiny_lm(tmp_path / "tiny")

    def bytes_of(seed: int, drawn: int) -> bytes:
        torch.manual_seed(drawn)
        how = method.get("lora")
        model = how.apply(LanguageModel.load(folder, Limits()).model, options, seed=seed)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        how.save(model, tmp_path / "out")
        return (tmp_path / "out/adapter_model.safetensors").read_bytes()

    assert bytes_of(0, 1) == bytes_of(0, 2)
    assert (bytes_of(0, 1) == bytes_of(1, 1)) == ("pissa" in options)  # which starts where the base's own weights say


def test_what_a_checkpoint_holds_can_be_read_without_this_program(tmp_path: Path) -> None:
    folder = half(tmp_path) / "checkpoints/step-00000005"
    assert json.loads((folder / "state.json").read_text())["step"] == 5
    assert set(json.loads((folder / "manifest.json").read_text())) == {"state.safetensors", "state.json"}
