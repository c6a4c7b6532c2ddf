"""What is trained through a trunk on disk is what is trained on the whole model, found or made, whole or damaged."""

from __future__ import annotations

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lm_case import context_of, job_of, tickets
from test_tree_attention import WORDS, model_of, rows_of, wide  # noqa: F401 - the same small families

from tunesmith.core.checks import Check
from tunesmith.core.errors import ModelError
from tunesmith.core.files import read_json, sha256_path, write_json
from tunesmith.models import cache
from tunesmith.models.lm import LanguageModel
from tunesmith.models.methods import method
from tunesmith.training import cut, loop, trunk
from tunesmith.training.batches import Encoded, batch_of
from tunesmith.training.cut import cached_as_whole, choose_trunk
from tunesmith.training.losses import answer_loss
from tunesmith.training.systems import system
from tunesmith.training.trunk import held, stored


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def encoded_of(rows):
    rows = [tuple(row) for row in rows]
    return Encoded(tuple(rows), tuple(len(row) - min(4, len(row) - 1) for row in rows), (1,) * len(rows),
                   tuple(1.0 + i % 3 for i in range(len(rows))))  # fmt: skip


@pytest.fixture
def lm(tmp_path) -> LanguageModel:
    job_of(tmp_path)  # writes the tiny model
    return LanguageModel.load(tmp_path / "tiny", context_of(tmp_path / "w").limits)


def quiet(event, **fields):
    pass


class Events(list):
    """Events as they are emitted."""

    def __call__(self, event: str, **fields: Any) -> None:
        self.append((event, fields))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self if name == event]


# ---- exactness


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral", "phi3", "gemma3"])
@pytest.mark.parametrize(
    ("name", "options"),
    [("lora", {"rank": 4}), ("lora", {"rank": 4, "dora": True}), ("ia3", {}), ("layernorm", {}), ("full", {})],
    ids=["lora", "dora", "ia3", "layernorm", "full"],
)
def test_loss_and_gradients_through_the_trunk_are_those_of_the_whole_model(family, name, options):
    """On packed rows, on packed rows whose activations are computed again, and on padded rows."""
    top = 2
    model = method.get(name).apply(model_of(family).requires_grad_(False), {**options, "top_layers": top}, seed=0)
    model.double()
    weights = {key: tensor for key, tensor in model.named_parameters() if tensor.requires_grad}
    generator = torch.Generator().manual_seed(1)
    for tensor in weights.values():
        tensor.data += 0.1 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
    encoded = encoded_of(rows_of())
    layers = held(model, encoded.ids, top=top)
    model.train()
    for packing, large in (("tree", False), ("tree", True), ("padded", False)):
        batch = batch_of(encoded, [4, 0, 2, 7, 5], packing=packing, large=large)
        found = []
        for loss in (answer_loss, layers.through(answer_loss)):
            model.zero_grad()
            total, weight = loss(model, batch)
            total.backward()
            found.append((float(total), weight, {key: t.grad.clone() for key, t in weights.items()}))
        (whole, n, ours), (cut, m, theirs) = found
        assert n == m
        assert abs(whole - cut) < 1e-10 * abs(whole)
        for key, gradient in ours.items():
            assert float((gradient - theirs[key]).norm() / gradient.norm().clamp(min=1e-30)) < 1e-10, (packing, key)


def test_shared_beginnings_are_kept_once_and_rows_are_found_in_any_batch():
    model, rows = model_of("llama", torch.float32), rows_of()
    rows.append(rows[0][:35])  # the beginning of another
    layers = held(model, rows, top=1)
    distinct = {tuple(row[: i + 1]) for row in rows for i in range(len(row))}
    assert len(layers.states) == len(distinct) < sum(map(len, rows)) / 2
    encoded = encoded_of(rows)
    for packing in ("tree", "padded"):
        states = layers.of(batch_of(encoded, [3, 8, 0], packing=packing))
        batch = batch_of(encoded, [3, 8, 0], packing=packing)
        for at, i in enumerate([3, 8, 0]):
            mine = states[0, batch.tree.where[at]] if batch.tree else states[at, : len(rows[i])]
            assert torch.equal(mine, layers.states[layers.where[tuple(rows[i])]])


def test_padding_with_the_token_that_ends_a_row_is_told_from_the_row():
    model = model_of("llama", torch.float32)
    rows = [[5, 6, 0], [5, 6, 0, 0, 9, 8, 7, 6]]
    layers = held(model, rows, top=1)
    states = layers.of(batch_of(encoded_of(rows), [0, 1], packing="padded"))
    assert torch.equal(states[0, :3], layers.states[layers.where[5, 6, 0]])


def test_a_row_that_the_trunk_does_not_have_is_an_error_and_no_guess():
    layers = held(model_of("llama", torch.float32), [[5, 6, 7]], top=1)
    with pytest.raises(ModelError, match="not among the 1"):
        layers.of(batch_of(encoded_of([[5, 6, 8]]), [0]))


def test_many_small_groups_give_the_states_of_one(monkeypatch):
    model, rows = model_of("gemma3"), rows_of()
    one = held(model, rows, top=1)
    monkeypatch.setattr(trunk, "_AT_ONCE", 50)
    for packing in ("tree", "padded"):
        many = held(model, rows, top=1, packing=packing)
        torch.testing.assert_close(many.states, one.states, rtol=0, atol=1e-5)


# ---- on disk


def some_rows(lm: LanguageModel, n: int = 6) -> list[tuple[int, ...]]:
    return [tuple(lm.template.tokenizer.encode(text)) for text in tickets(n).texts]


def test_a_second_fit_finds_what_the_first_made_with_whatever_method(lm, root):
    rows, events = some_rows(lm), Events()
    made = stored(lm, rows, top=1, emit=events)
    digest = sha256_path(root / "trunks")
    assert [found["found"] for found in events.of("trunk")] == [False]
    assert events.of("trunk.making")[0]["bytes"] == made.bytes == len(made.states) * 32 * 4
    for name in ("lora", "ia3", "layernorm", "head", "full"):
        other = LanguageModel.load(lm.folder, context_of(root / "w").limits)
        other.model = method.get(name).apply(other.model, {"top_layers": 1}, seed=3)
        again = stored(other, reversed(rows), top=1, emit=events)
        assert again.found, name
        assert torch.equal(again.states, made.states)
    assert sha256_path(root / "trunks") == digest
    shutil.rmtree(root / "trunks")
    assert not stored(lm, rows, top=1, emit=events).found
    assert sha256_path(root / "trunks") == digest


def test_other_rows_base_template_or_packing_make_another(lm, root, tmp_path):
    from tunesmith.testing import tiny_lm

    rows = some_rows(lm)
    stored(lm, rows, top=1, emit=quiet)
    assert not stored(lm, rows[1:], top=1, emit=quiet).found
    assert not stored(lm, rows, top=1, emit=quiet, packing="padded").found
    other = LanguageModel.load(tiny_lm(tmp_path / "other", seed=1), context_of(tmp_path / "w").limits)
    assert not stored(other, rows, top=1, emit=quiet).found
    lm.template.__dict__["fingerprint"] = "another"
    assert not stored(lm, rows, top=1, emit=quiet).found
    names = [entry.name for entry in cache.entries() if entry.name.startswith("trunks/")]
    assert len(names) == 5
    assert cache.remove(names[0]) > 0
    assert len([e for e in cache.entries() if e.name.startswith("trunks/")]) == 4


@pytest.mark.parametrize("fault", ["byte", "short", "json", "missing", "shape"])
def test_a_damaged_trunk_is_recognised_and_made_again(lm, root, fault):
    rows, events = some_rows(lm), Events()
    first = stored(lm, rows, top=1, emit=events).states.clone()
    (path,) = (p for p in (root / "trunks").iterdir() if not p.name.startswith("."))
    states, about = path / "states.bin", path / "about.json"
    if fault == "byte":
        raw = bytearray(states.read_bytes())
        raw[100] ^= 1
        states.write_bytes(raw)
    elif fault == "short":
        states.write_bytes(states.read_bytes()[:-4])
    elif fault == "json":
        about.write_text(about.read_text()[:40])
    elif fault == "missing":
        states.unlink()
    else:
        write_json(about, {**read_json(about), "shape": [1, 32]})
    again = stored(lm, rows, top=1, emit=events)
    assert len(events.of("trunk.damaged")) == 1
    assert not again.found
    assert torch.equal(again.states, first)
    assert stored(lm, rows, top=1, emit=events).found


def test_a_kill_while_it_is_written_leaves_nothing_that_looks_whole(lm, root, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(path, value):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(trunk, "write_json", killed)
        with pytest.raises(Killed):
            stored(lm, some_rows(lm), top=1, emit=quiet)
    assert not [e for e in cache.entries() if e.name.startswith("trunks/")]
    assert not stored(lm, some_rows(lm), top=1, emit=quiet).found


def test_a_disk_without_room_refuses_before_a_byte_is_written_and_says_what_to_do(lm, root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(trunk, "_free", lambda: trunk._LEFT_FREE + 100)
        with pytest.raises(ModelError, match="GB") as caught:
            stored(lm, some_rows(lm), top=1, emit=quiet)
    assert "train.trunk" in str(caught.value.hint)
    assert not (root / "trunks").exists()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(trunk, "write_json", full)
        with pytest.raises(ModelError, match="the trunk needs"):
            stored(lm, some_rows(lm), top=1, emit=quiet)
    assert not list((root / "trunks").glob("*"))


def test_trunks_that_were_not_used_for_longest_make_room(lm, root, monkeypatch):
    import os

    rows = some_rows(lm, 12)
    one = stored(lm, rows[:6], top=1, emit=quiet)
    (old,) = [e for e in cache.entries() if e.name.startswith("trunks/")]
    os.utime(old.path / ".used", (0, 0))
    stored(lm, rows[6:], top=1, emit=quiet)
    monkeypatch.setattr(trunk, "_ALL_BYTES", 3 * old.bytes - one.bytes // 2)
    stored(lm, rows[3:9], top=1, emit=quiet)
    names = [e.name for e in cache.entries() if e.name.startswith("trunks/")]
    assert len(names) == 2
    assert old.name not in names


# ---- decided and proved


def test_all_layers_or_a_wish_for_none_means_no_trunk(lm):
    encoded = encoded_of(some_rows(lm))
    assert choose_trunk(lm, [encoded], top=None, packing="tree", emit=quiet).trunk is None
    decided = choose_trunk(lm, [encoded], top=1, packing="tree", emit=quiet, asked="never")
    assert decided.trunk is None
    assert cached_as_whole(lm.model, encoded, decided, packing="tree", system="lm").applies is False


def test_a_method_that_trains_what_lies_below_gets_no_trunk(lm):
    lm.model = method.get("lora").apply(lm.model, {}, seed=0)
    decided = choose_trunk(lm, [encoded_of(some_rows(lm))], top=1, packing="tree", emit=quiet)
    assert decided.trunk is None
    assert "layers.0" in decided.why


def test_a_family_that_cannot_be_cut_is_found_out_before_training(lm, root, monkeypatch):
    """One whose upper layers look at more than what the layer below hands them; one whose layers answer in pairs."""
    encoded = encoded_of(some_rows(lm))
    first, layer = lm.model.model.layers[0], type(lm.model.model.layers[0])
    own, aside = layer.forward, []

    def coupled(self, x, *given, **named):
        out = own(self, x, *given, **named)
        if self is first:
            aside[:] = [out.mean()]
            return out
        return out + (aside.pop() if aside else 0.0)

    with monkeypatch.context() as patch:
        patch.setattr(layer, "forward", coupled)
        decided = choose_trunk(lm, [encoded], top=1, packing="tree", emit=quiet)
    assert decided.trunk is None
    assert decided.why.startswith("cut in two")
    with monkeypatch.context() as patch:
        patch.setattr(cut, "entering", _raising)
        decided = choose_trunk(lm, [encoded], top=1, packing="tree", emit=quiet)
    assert decided.trunk is None
    assert "two parts" in decided.why
    assert not list(root.glob("trunks/*"))


def test_a_trunk_on_disk_that_is_of_other_weights_is_not_trained_from(lm, root):
    """What no key can know: the states are whole and wrong."""
    encoded = encoded_of(some_rows(lm))
    with torch.no_grad():
        weight = lm.model.model.layers[0].mlp.down_proj.weight
        weight.mul_(1.1)
        stored(lm, encoded.ids, top=1, emit=quiet)
        weight.div_(1.1)
    decided = choose_trunk(lm, [encoded], top=1, packing="tree", emit=quiet)
    assert decided.trunk is None
    assert "on disk" in decided.why


def _raising(*_: Any) -> Any:
    raise TypeError("layers that answer in pairs")


@pytest.mark.parametrize("packing", ["tree", "padded"])
def test_a_base_in_bfloat16_keeps_its_states_in_bfloat16(lm, packing):
    limits = replace(context_of(lm.folder / "w").limits, dtype="bfloat16")
    narrow = LanguageModel.load(lm.folder, limits)
    narrow.model = method.get("lora").apply(narrow.model, {"top_layers": 1}, seed=0)
    encoded = encoded_of(some_rows(lm))
    decided = choose_trunk(narrow, [encoded], top=1, packing=packing, emit=quiet)
    assert decided.trunk is not None, decided.why
    assert decided.trunk.states.dtype == torch.bfloat16
    total, _ = decided.trunk.through(answer_loss)(narrow.model, batch_of(encoded, [0, 1], packing=packing))
    total.backward()
    assert any(t.grad is not None and t.grad.abs().sum() > 0 for t in narrow.model.parameters())


def test_a_trunk_that_moved_under_its_states_fails_the_check(lm):
    encoded = encoded_of(some_rows(lm))
    decided = choose_trunk(lm, [encoded], top=1, packing="tree", emit=quiet)
    assert decided.trunk is not None
    assert cached_as_whole(lm.model, encoded, decided, packing="tree", system="lm").passed
    with torch.no_grad():
        lm.model.model.layers[0].mlp.down_proj.weight.mul_(1.01)
    check = cached_as_whole(lm.model, encoded, decided, packing="tree", system="lm")
    assert check.passed is False
    assert check.remedy


# ---- the rung


def fit(folder: Path, job: Any, checks: list[Check] | None = None, **changes: Any) -> Any:
    ctx = context_of(folder, checks, **changes)
    return system.get("lm").fit(tickets(24), tickets(8, start=100), job, ctx)


def test_the_rung_trains_through_the_trunk_to_the_same_bytes_found_or_made(tmp_path, root):
    job, events, checks = job_of(tmp_path, steps=12, top_layers=1), Events(), []
    fitted = fit(tmp_path / "a", job, checks, emit=events)
    fit(tmp_path / "b", job, emit=events).save(tmp_path / "b/saved")
    fitted.save(tmp_path / "a/saved")
    shutil.rmtree(root / "trunks")
    fit(tmp_path / "c", job, emit=events).save(tmp_path / "c/saved")
    assert [found["found"] for found in events.of("trunk")] == [False, True, False]
    assert sha256_path(tmp_path / "a/saved") == sha256_path(tmp_path / "b/saved") == sha256_path(tmp_path / "c/saved")
    assert [c.name for c in checks if c.applies and not c.passed] == []
    assert "cached trunk against the whole model, logits" in [c.name for c in checks]
    assert fitted.settings["top_layers"] == 1
    config = json.loads((tmp_path / "a/saved/adapter/adapter_config.json").read_text())
    assert config["layers_to_transform"] == [1]


def test_with_and_without_the_trunk_the_rung_learns_the_same(tmp_path):
    curves = []
    for name, more in (("a", {}), ("b", {"trunk": "never"})):
        fitted = fit(tmp_path / name, job_of(tmp_path, steps=10, top_layers=1, **more))
        curves.append([(at["loss"], at["dev_loss"]) for at in fitted.curve if at["dev_loss"] is not None])
    np.testing.assert_allclose(curves[0], curves[1], rtol=2e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "ia3", "rate": 1e-2},
        {"method": "layernorm", "rate": 1e-2},
        {"method": "head"},
        {"method": "full", "rate": 2e-3},
        {"method": "lora", "pissa": True, "rank": 4},
        {"method": "lora", "dropout": 0.1},
    ],
    ids=lambda o: "-".join(map(str, o)),
)
def test_every_method_goes_through_the_rung_on_a_trunk(tmp_path, options):
    checks: list[Check] = []
    job = job_of(tmp_path, steps=8, top_layers=1, **options)
    fitted = fit(tmp_path / "w", job, checks)
    assert [c.name for c in checks if c.applies and not c.passed] == []
    assert next(c for c in checks if c.name.startswith("cached trunk")).applies
    fitted.save(tmp_path / "saved")
    again = system.get("lm").load(tmp_path / "saved", job, context_of(tmp_path / "w2"))
    texts = list(tickets(6, start=200).texts)
    assert (
        fitted.predict(texts, context_of(tmp_path / "w3")).values
        == again.predict(texts, context_of(tmp_path / "w3")).values
    )


def test_a_killed_fit_on_a_trunk_resumes_to_the_same_bytes_even_if_the_trunk_is_gone(tmp_path, root, monkeypatch):
    class Killed(BaseException):
        pass

    real = loop.accumulate

    def killed_at_five(*args: Any, step: int, **named: Any) -> Any:
        if step == 5:
            raise Killed
        return real(*args, step=step, **named)

    job = job_of(tmp_path, steps=9, top_layers=1)
    monkeypatch.setattr(loop.train, "__kwdefaults__", {**(loop.train.__kwdefaults__ or {}), "checkpoint_every_s": 0.0})
    fit(tmp_path / "a", job).save(tmp_path / "a/saved")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "accumulate", killed_at_five)
        with pytest.raises(Killed):
            fit(tmp_path / "b", job)
    shutil.rmtree(root / "trunks")
    fit(tmp_path / "b", job).save(tmp_path / "b/saved")
    assert sha256_path(tmp_path / "a/saved") == sha256_path(tmp_path / "b/saved")
