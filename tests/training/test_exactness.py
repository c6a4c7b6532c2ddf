"""A step on packed trees is the step on padded rows: every family, every method, every loss, every cut of the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_tree_attention import FAMILIES, WORDS, model_of, wide  # noqa: F401 - the fixture

from tunesmith.core.context import Limits
from tunesmith.core.errors import ModelError
from tunesmith.models.lm import LanguageModel
from tunesmith.models.methods import method
from tunesmith.models.tree import plant
from tunesmith.models.tree_attention import read_tree
from tunesmith.training.batches import Encoded, TokenBatch, TokenBatches, batch_of, micro_batches, sample
from tunesmith.training.loop import Recipe, train
from tunesmith.training.losses import answer_loss

METHODS: dict[str, dict[str, Any]] = {
    "lora": {"rank": 4},
    "lora-dora": {"rank": 4, "dora": True},
    "lora-rslora": {"rank": 4, "rank_stabilised": True},
    "lora-pissa": {"rank": 4, "pissa": True},
    "ia3": {},
    "layernorm": {},
    "bitfit": {},
    "head": {},
    "full": {},
}
WITHOUT_BIASES = set(FAMILIES) - {"qwen2"}
HERE = pytest.mark.usefixtures("wide")


def adapted(family: str, name: str, *, dtype: torch.dtype = torch.float64, noise: float = 0.1) -> torch.nn.Module:
    """The method on the family's tiny model in `dtype`, as it is after training: nothing it trains is at its start."""
    model = method.get(name.partition("-")[0]).apply(model_of(family, dtype), METHODS[name], seed=1)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.requires_grad or name == "lora-pissa":  # PiSSA keeps its start in a buffer
            tensor.data = tensor.data.to(dtype)
    return disturbed(model, noise)


def disturbed(model: torch.nn.Module, noise: float, seed: int = 2) -> torch.nn.Module:
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in trained(model).values():
            tensor += noise * torch.randn(tensor.shape, generator=draw, dtype=tensor.dtype)
    return model


def trained(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}


def rows_of(seed: int = 0, *, words: int = WORDS, n: int = 6) -> Encoded:
    """Rows that share an instruction (longer than every window), some of them a document, two of them all of it."""
    draw = np.random.default_rng(seed)

    def some(least: int, most: int) -> list[int]:
        return [int(word) for word in draw.integers(3, words, size=draw.integers(least, most))]

    instruction, document = some(26, 30), some(17, 20)
    prompts = [[*instruction, *(document if row % 2 else []), *some(1, 14)] for row in range(n - 2)]
    prompts += [prompts[0], some(5, 9)]  # a prompt with another answer; one that shares nothing
    answers = [[*some(1, 6), 2] for _ in prompts]
    weights = tuple(float(w) for w in draw.choice([0.5, 1.0, 2.0], size=n))
    return Encoded(
        tuple((*p, *a) for p, a in zip(prompts, answers, strict=True)), tuple(map(len, prompts)), (1,) * n, weights
    )


def plain_padded(model: torch.nn.Module, encoded: Encoded, rows: Sequence[int]) -> torch.Tensor:
    """The summed loss as any trainer on transformers has it: padded rows, a mask, the whole logits."""
    width = max(len(encoded.ids[row]) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        ids[at, : len(encoded.ids[row])] = torch.tensor(encoded.ids[row])
        mask[at, : len(encoded.ids[row])] = 1
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    total = logits.new_zeros(())
    for at, row in enumerate(rows):
        first, end = encoded.n_prompt[row], len(encoded.ids[row])
        losses = torch.nn.functional.cross_entropy(logits[at, first - 1 : end - 1], ids[at, first:end], reduction="sum")
        total = total + encoded.weights[row] * losses
    return total


def gradients(model: torch.nn.Module, total: Callable[[], Sequence[torch.Tensor]]) -> tuple[float, dict[str, Any]]:
    """(sum of the losses, gradient by weight)."""
    model.train()
    model.zero_grad()
    found = 0.0
    for part in total():
        part.backward()  # type: ignore[no-untyped-call]
        found += float(part.detach())
    return found, {name: tensor.grad for name, tensor in trained(model).items() if tensor.grad is not None}


def gaps(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> dict[str, float]:
    """Relative L2 difference by weight."""
    assert ours.keys() == theirs.keys()
    return {name: float((ours[name] - theirs[name]).norm() / theirs[name].norm().clamp(min=1e-30)) for name in theirs}


def on_trees(model: torch.nn.Module, encoded: Encoded, rows: Sequence[int], *, large: bool = False) -> list[Any]:
    return [answer_loss(model, batch_of(encoded, rows, large=large))[0]]


@HERE
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_of_packed_trees_are_those_of_plain_padded_rows(family: str, name: str) -> None:
    if name == "bitfit" and family in WITHOUT_BIASES:
        with pytest.raises(ModelError, match="no biases"):
            adapted(family, name)
        return
    model, encoded = adapted(family, name), rows_of()
    rows = range(len(encoded))
    loss, theirs = gradients(model, lambda: [plain_padded(model, encoded, rows)])
    assert theirs.keys() == trained(model).keys()
    for large in (False, True):  # keeping every activation, and computing them again
        ours_loss, ours = gradients(model, lambda large=large: on_trees(model, encoded, rows, large=large))  # type: ignore[misc]
        assert ours_loss == pytest.approx(loss, rel=1e-12)
        assert max(gaps(ours, theirs).values()) < 1e-10
        assert {tensor.dtype for tensor in ours.values()} == {torch.float64}


@HERE
@pytest.mark.parametrize("fault", ["positions", "window", "cap"])
def test_the_comparison_would_notice_a_fault(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.models import tree_attention

    model, encoded = adapted("gemma2", "lora"), rows_of()
    rows = range(len(encoded))
    assert len(plant(encoded.ids)) < 0.6 * sum(map(len, encoded.ids)), "nothing is shared"
    _, theirs = gradients(model, lambda: [plain_padded(model, encoded, rows)])
    if fault == "positions":
        real = tree_attention.blocks_of

        def one_after_the_other(tree: Any, device: Any = "cpu") -> Any:
            tree.at[:] = range(len(tree))
            return real(tree, device)

        monkeypatch.setattr(tree_attention, "blocks_of", one_after_the_other)
    else:
        form = tree_attention.Form
        given = {"window": None} if fault == "window" else {"cap": None}
        monkeypatch.setattr(
            tree_attention, "Form", lambda s, c, w, *_: form(**{"scale": s, "cap": c, "window": w} | given)
        )
    _, ours = gradients(model, lambda: on_trees(model, encoded, rows))
    assert max(gaps(ours, theirs).values()) > 1e-3


def nested(depth: int, seed: int = 0) -> list[list[int]]:
    """Two rows that end after each of `depth` segments, and one that shares nothing."""
    draw = np.random.default_rng(seed)
    shared: list[int] = []
    rows = [[3, 4, 5, 6, 7]]
    for level in range(depth):
        shared = [*shared, 8 + level, *draw.integers(20, WORDS, size=19).tolist()]
        rows += [[*shared, tail, *draw.integers(20, WORDS, size=draw.integers(1, 12)).tolist()] for tail in (18, 19)]
    return rows


def depth_of(rows: Sequence[Sequence[int]]) -> int:
    segments = plant(rows).segments
    depths = [0] * len(segments)
    for at, segment in enumerate(segments):
        depths[at] = 1 + (depths[segment.parent] if segment.parent >= 0 else 0)
    return max(depths)


def logits_by_row(model: torch.nn.Module, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    tree = plant(rows)
    logits = read_tree(model, tree)
    return [logits[torch.from_numpy(where)] for where in tree.where]


@HERE
@pytest.mark.parametrize("depth", [0, 1, 2, 4])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_may_say_anything_and_the_others_do_not_move(family: str, depth: int) -> None:
    model, rows = model_of(family), nested(depth)
    assert depth_of(rows) == depth + 1
    with torch.no_grad():
        before = logits_by_row(model, rows)
        for changed in (0, len(rows) - 1, len(rows) // 2):
            new = [list(row) for row in rows]
            own = max(len(_shared(rows[changed], row)) for i, row in enumerate(rows) if i != changed) if depth else 0
            # Its own part throughout, then everything: it leaves the branch that it hung on.
            for start in {own, 0}:
                new[changed][start:] = [3 + (word - 1) % (WORDS - 3) for word in rows[changed][start:]]
                after = logits_by_row(model, new)
                assert float((after[changed] - before[changed])[start:].abs().max()) > 1e-3
                for i in set(range(len(rows))) - {changed}:
                    torch.testing.assert_close(after[i], before[i], rtol=0, atol=1e-12)


def _shared(a: Sequence[int], b: Sequence[int]) -> list[int]:
    return [x for i, x in enumerate(a) if list(a[: i + 1]) == list(b[: i + 1])]


@HERE
@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_row_is_taught_asks_nothing_of_tokens_that_are_not_its_own(family: str) -> None:
    """The derivative of a row's logits by the embedding of a token of another row is 0, to the last bit."""
    model, rows = model_of(family), nested(3)
    tree, seen = plant(rows), []
    model.get_input_embeddings().register_forward_hook(  # type: ignore[operator]
        lambda _module, _ids, out: seen.append(out.requires_grad_().retain_grad() or out)
    )
    logits = read_tree(model, tree)
    for where in tree.where:
        seen[0].grad = None
        logits[torch.from_numpy(where)].square().sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
        moved = seen[0].grad[0].abs().amax(dim=1) > 0
        assert moved.nonzero()[:, 0].tolist() == sorted(where.tolist())


def stepped(
    family: str, name: str, folder: Path, *, steps: int, order: int = 1, **how: Any
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """(weights, last gradients) after some steps of the real loop; order: -1 hands rows and batches over reversed."""
    model, encoded = adapted(family, name), rows_of(4, n=13)
    size, most, packing = 7, how.get("max_tokens", 100_000), how.get("packing", "tree")

    def batches(step: int) -> list[TokenBatch]:
        if order == 1:
            return TokenBatches(encoded, size, 3, most, packing)(step)
        rows = sample(len(encoded), size=size, seed=3, step=step).tolist()
        return micro_batches(encoded, rows[::-1], max_tokens=most, packing=packing)[::-1]

    recipe = Recipe(steps=3, rate=0.01, stop_step=steps)
    train(model, batches, answer_loss, recipe=recipe, folder=folder, emit=lambda *_, **__: None)
    weights = trained(model)
    return (
        {k: t.detach() for k, t in weights.items()},
        {k: t.grad for k, t in weights.items() if t.grad is not None},
    )


CUTS: list[dict[str, Any]] = [
    {"max_tokens": 100_000},
    {"max_tokens": 90},
    {"max_tokens": 1},
    {"order": -1, "max_tokens": 120},
    {"packing": "padded", "max_tokens": 100},
]


@HERE
@pytest.mark.parametrize(("family", "name"), [("llama", "lora"), ("gemma3", "full"), ("qwen2", "lora-dora")])
def test_neither_cut_nor_order_nor_packing_of_a_batch_changes_the_step(family: str, name: str, tmp_path: Path) -> None:
    for steps, bound, cuts in ((1, 1e-10, CUTS), (3, 1e-8, CUTS[1::2])):
        weights, slopes = stepped(family, name, tmp_path / f"{steps}", steps=steps, packing="padded")
        for at, cut in enumerate(cuts):
            ours, its = stepped(family, name, tmp_path / f"{steps}-{at}", steps=steps, **cut)
            assert max(gaps(ours, weights).values()) < bound, cut
            assert max(gaps(its, slopes).values()) < bound, cut


REAL = {"smollm2-135m-instruct": "lora ia3 layernorm head", "gemma-3-270m": "lora ia3 layernorm head"}


@pytest.mark.slow
@pytest.mark.parametrize(("base", "name"), [(base, name) for base, names in REAL.items() for name in names.split()])
def test_on_real_models_all_gradients_together_are_those_of_plain_padded_rows(base: str, name: str) -> None:
    from tunesmith.models.resolve import local, resolve

    folder = local(resolve(base, "lm"))
    if folder is None:
        pytest.skip(f"{base} is not in the cache (tunesmith run, or make demo, puts it there)")
    lm = LanguageModel.load(folder, Limits())
    words = lm.template.tokenizer
    instruction = "Say what the customer wants. Answer with one of: billing, login, delivery, refund, other.\n\n"
    asked = ["I was charged twice.", "My parcel has not come, and nobody answers.", "I cannot log in any more, why?"]
    prompts = [words.encode(instruction + text + "\nAnswer:") for text in (*asked, asked[0])]
    answers = [[*words.encode(" " + said, add_special_tokens=False), lm.template.end_id]
               for said in ("billing", "delivery", "login", "refund")]  # fmt: skip
    encoded = Encoded(
        tuple((*p, *a) for p, a in zip(prompts, answers, strict=True)), tuple(map(len, prompts)), (1,) * 4, (1.0,) * 4
    )
    model = disturbed(method.get(name).apply(lm.model, {}, seed=1), 0.02 if name != "head" else 0.001)
    rows = range(4)
    loss, theirs = gradients(model, lambda: [plain_padded(model, encoded, rows)])
    ours_loss, ours = gradients(model, lambda: on_trees(model, encoded, rows))
    assert ours_loss == pytest.approx(loss, rel=1e-5)
    assert ours.keys() == theirs.keys() == trained(model).keys()
    apart = sum(float((ours[key] - theirs[key]).double().norm() ** 2) for key in theirs)
    whole = sum(float(theirs[key].double().norm() ** 2) for key in theirs)
    print(f"{base} {name}: relative L2 {(apart / whole) ** 0.5:.1e}")
    assert (apart / whole) ** 0.5 < 1e-5
