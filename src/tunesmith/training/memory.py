"""How much memory a training run holds at its peak, and the fastest way of training that stays below a limit.

    peak = what the process holds before the first step (interpreter, libraries, weights, the method)
         + what training adds for each trained weight: gradient, two Adam moments, copies
         + activations: those of all layers, or, recomputed, one per layer and those of one layer
         + the output head on the supervised positions, and a layer's temporaries

What autograd keeps is counted on the model itself, with its method on, in two small passes; the rest is arithmetic on
shapes. So a family or a method that nobody foresaw is predicted as well as those that were measured.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil
import torch

from tunesmith.core.checks import Check
from tunesmith.core.context import Context
from tunesmith.core.errors import ModelError
from tunesmith.core.files import read_json, write_json
from tunesmith.core.meter import resident_bytes
from tunesmith.models.lm import computing, head_at, release_memory, share_no_pools
from tunesmith.models.methods import Method, Options
from tunesmith.models.tree import plant
from tunesmith.models.tree_attention import read_tree
from tunesmith.training.batches import RECOMPUTED_AT_ONCE, Cut, Encoded, Packing, TokenBatch, supervised

# A predicted peak is right if the measured one differs by at most this share.
WITHIN = 0.15
# Activations that are kept where there is no limit, and at most this share of the machine's memory. Of the whole
# memory, not of what is free: a repeated run must cut its micro-batches in the same places.
_WITHOUT_LIMIT, _OF_ALL = 1280 << 20, 8
# Tokens of the two passes that are counted: what does not grow with the tokens falls out of the difference.
_COUNTED = (16, 48)
# Below so many tokens the cores wait for memory.
_LEAST_TOKENS = 64
# Gradient, two Adam moments, the best weights and the start: float32 each, besides the weight itself.
_BYTES_PER_TRAINED = 20
# The C library's pools: holes between what is kept are nearly as large as that; where activations are recomputed, what
# was freed fills as much as if it had been kept. Measured on glibc 2.36: 1.3 to 1.8 times, by method (docs/log.md).
_HOLES, _HOLES_RECOMPUTED = 1.75, 1.0
# Tokens from which on larger micro-batches are not faster.
_ENOUGH = 256
# Vectors of its widest part that a layer has in the air for each token, beside what it keeps.
_IN_THE_AIR = 6
# nf4 with doubly quantised scales; the embedding and the head stay as they are.
BYTES_IN_4_BITS = 0.516
_SMALL_VOCABULARY = 64
# Models are counted no narrower than this.
_SLIMMEST = 1024
# What the allocator keeps for itself, small blocks, libraries that load late.
_SLACK_SHARE, _SLACK = 0.02, 24 << 20


@dataclass(frozen=True)
class Kept:
    """Bytes that a training pass holds, counted on a model with its method on.

    per_token:  of all layers until backward. recomputed: of all layers where backward computes them again.
    one_layer:  per token, of the layer that is being computed again.
    temporary:  per token, of the layer at work. per_answer: of a supervised position in the output head.
    """

    per_token: float
    recomputed: float
    one_layer: float
    temporary: float
    per_answer: float

    def of(self, tokens: int, answers: int, *, recompute: bool, pooled: bool = True) -> int:
        """Bytes of a pass over so many tokens of which `answers` are predicted.

        pooled: whether the C library keeps large blocks that are freed (`share_no_pools` was not called).
        """
        layers = self.recomputed + self.one_layer if recompute else self.per_token
        if pooled:
            layers = self.recomputed + _HOLES_RECOMPUTED * self.per_token if recompute else _HOLES * self.per_token
        return int(tokens * (layers + self.temporary) + answers * self.per_answer)


@dataclass(frozen=True)
class Footprint:
    """The peak of a training run by its parts, in bytes.

    resident: the process with weights and method, before the first step. trained: gradients, moments, copies.
    activations: of the largest micro-batch, or what an update has in the air if that is more. slack: the allocator's.
    """

    resident: int
    trained: int
    activations: int
    slack: int

    @property
    def total(self) -> int:
        return self.resident + self.trained + self.activations + self.slack

    def to_dict(self) -> dict[str, int]:
        return {**asdict(self), "total": self.total}


@dataclass(frozen=True)
class Fitting:
    """How to cut micro-batches so that the run stays below a limit.

    max_tokens: of one that keeps its activations; 0: all compute them again. max_recomputed: of one that computes
    them again. pooled: False where the limit can be kept only without the C library's pools. why: for people.
    """

    max_tokens: int
    max_recomputed: int
    why: str
    pooled: bool = True


def count(model: torch.nn.Module, *, packing: Packing = "tree") -> Kept:
    """Count what a training pass keeps, in two passes over a few tokens. The model has its method on."""

    def kept(tokens: int) -> int:
        ids = [i % words for i in range(tokens)]
        last = (torch.tensor([0], device=device), torch.tensor([tokens - 1], device=device))

        def work() -> torch.Tensor:
            with computing(model), head_at(model, last):
                if packing == "tree":
                    return read_tree(model, plant([ids])).float()
                found: torch.Tensor = model(input_ids=torch.tensor([ids], device=device), use_cache=False).logits
                return found.float()

        return saved_bytes(model, work)

    device = next(model.parameters()).device

    config: Any = model.config.get_text_config()  # type: ignore[union-attr, operator]
    words = int(config.vocab_size)
    few, many = _COUNTED
    was_training = model.training
    model.train()
    per_token = (kept(many) - kept(few)) / (many - few)
    model.train(was_training)
    layers, hidden = int(config.num_hidden_layers), int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", 4 * hidden))
    number = next(t.element_size() for t in model.parameters() if t.is_floating_point())
    # Logits, their log-softmax and its gradient in float32; narrower logits are there beside them.
    per_answer = words * (12 + (number if number < 4 else 0))
    return Kept(per_token, layers * hidden * number, per_token / layers, 4.0 * _IN_THE_AIR * inner, per_answer)


@dataclass(frozen=True)
class Needs:
    """What training a base with a method takes, known without loading the base. Bytes.

    weights: of the base as it is held in training. trained: what training adds. updating: what an update has in the
    air. kept: of a pass.
    """

    weights: int
    trained: int
    updating: int
    kept: Kept

    def least(self, longest: int, *, answers: int, resident: int) -> int:
        """The lowest peak with which rows of so many tokens can be trained, in a process that holds `resident`."""
        pass_ = max(self.kept.of(longest, answers, recompute=True, pooled=False), self.updating)
        return resident + self.weights + int((1 + _SLACK_SHARE) * (self.trained + pass_)) + _SLACK

    def unlimited(self, tokens: int, *, answers: int = 64) -> int:
        """What training adds where there is no limit, with optimizer steps of so many tokens: all but the weights."""
        at_once = min(tokens, int(enough_bytes() / self.kept.of(1, 0, recompute=False, pooled=False)))
        pass_ = max(self.kept.of(at_once, min(answers, at_once), recompute=False), self.updating)
        return int((1 + _SLACK_SHARE) * (self.trained + pass_)) + _SLACK


def needs_of(config: Any, how: Method, options: Options, *, dtype: str, four_bits: bool | None = None) -> Needs:
    """Needs of a transformers config: shapes without numbers, and a pass through one and through two small copies.

    What a layer keeps does not depend on how many there are, nor on the vocabulary, and grows as its widths do.
    four_bits: whether the base's linear layers are held in nf4; None: as the method does.
    """
    from transformers import AutoModelForCausalLM

    number = getattr(torch, dtype)
    with torch.device("meta"):
        whole = AutoModelForCausalLM.from_config(config, dtype=number).requires_grad_(False)
    linear = sum(m.weight.numel() for m in whole.modules() if type(m) is torch.nn.Linear)
    linear -= whole.get_output_embeddings().weight.numel()
    held = sum(t.nbytes for t in whole.parameters())
    if how.name == "qlora" if four_bits is None else four_bits:
        held -= int(linear * (number.itemsize - BYTES_IN_4_BITS))
    whole = how.apply(whole, options, seed=0)
    trained, updating = trained_bytes(whole), _updating_bytes(whole)
    layers = int(config.get_text_config().num_hidden_layers)
    slim = _slimming(config)
    one, two = (count(_small(config, how, options, layers=n, slim=slim, dtype=number)) for n in (1, 2))
    each = slim * (two.per_token - one.per_token)
    text = config.get_text_config()
    per_answer = one.per_answer / _SMALL_VOCABULARY * int(text.vocab_size)
    first = slim * one.per_token
    kept = Kept(
        first + (layers - 1) * each,
        slim * one.recomputed * layers,
        max(each, first),
        slim * one.temporary,
        per_answer,
    )
    return Needs(held, trained, updating, kept)


def _slimming(config: Any) -> int:
    """By how much every width of a large model can be divided, heads staying whole: counting then costs little."""
    text = config.get_text_config()
    heads = int(text.num_attention_heads)
    keys = int(getattr(text, "num_key_value_heads", None) or heads)
    factor = 1
    while (
        int(text.hidden_size) // (2 * factor) >= _SLIMMEST
        and all(n % (2 * factor) == 0 for n in (heads, keys, int(text.hidden_size)))
        and int(getattr(text, "intermediate_size", 0) or 0) % (2 * factor) == 0
    ):
        factor *= 2
    return factor


def _small(
    config: Any, how: Method, options: Options, *, layers: int, dtype: torch.dtype, slim: int = 1
) -> torch.nn.Module:
    """A copy of the model with so few layers and words, its widths divided by `slim`."""
    from transformers import AutoModelForCausalLM

    small = copy.deepcopy(config)
    text = small.get_text_config()
    if slim > 1:
        width = int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
        for name in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"):
            if getattr(text, name, None):
                setattr(text, name, getattr(text, name) // slim)
        text.head_dim = width
    text.num_hidden_layers, text.vocab_size = layers, _SMALL_VOCABULARY
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(text, name, None)
    if getattr(text, "layer_types", None):
        text.layer_types = list(text.layer_types)[:layers]
    with torch.random.fork_rng():
        model = AutoModelForCausalLM.from_config(small, dtype=dtype).requires_grad_(False)
    return how.apply(model, options, seed=0)


def saved_bytes(model: torch.nn.Module, work: Callable[[], torch.Tensor]) -> int:
    """Bytes of all tensors that autograd keeps of `work`, weights left out, shared storage once."""
    weights = [t.untyped_storage() for t in (*model.parameters(), *model.buffers())]
    own = {id(storage) for storage in weights}
    seen: dict[int, Any] = {}  # held, so that no address is used twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in own:
            seen[id(storage)] = storage
        return tensor.detach()  # the tensor itself would hold its own graph in a circle, for ever

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = work()
    del result
    return sum(storage.nbytes() for storage in seen.values())


def trained_bytes(model: torch.nn.Module) -> int:
    """What training adds to a model with its method on: gradients, two moments, best weights, start."""
    numbers = sum(t.numel() for t in model.parameters() if t.requires_grad)
    return numbers * _BYTES_PER_TRAINED


def _updating_bytes(model: torch.nn.Module) -> int:
    """What AdamW has in the air for the largest weight, float32: the root of its second moment, twice."""
    return 8 * max((t.numel() for t in model.parameters() if t.requires_grad), default=0)


def footprint(resident: int, trained: int, activations: int) -> Footprint:
    """The peak of a process that held `resident` before training: what training adds, activations, and slack; bytes."""
    return Footprint(resident, trained, activations, int(_SLACK_SHARE * (trained + activations)) + _SLACK)


def enough_bytes() -> int:
    """Activations that are kept at once where there is no limit."""
    return int(min(_WITHOUT_LIMIT, psutil.virtual_memory().total // _OF_ALL))


def fit_to(
    limit: int | None, model: torch.nn.Module, *, longest: int, answers_share: float, kept: Kept | None = None,
    resident: int | None = None,
) -> Fitting:  # fmt: skip
    """The largest micro-batches whose run stays below `limit` bytes; without one, those beyond which nothing is gained.

    longest: tokens of the longest row, which is read in one piece. answers_share: supervised positions per token.
    Raises ModelError, with the least that would do, if not even the longest row fits alone, recomputed.
    """
    kept = count(model) if kept is None else kept

    def per_token(*, recompute: bool, pooled: bool) -> float:
        return kept.of(1000, round(1000 * answers_share), recompute=recompute, pooled=pooled) / 1000

    enough = enough_bytes()
    ample = max(_LEAST_TOKENS, int(enough / per_token(recompute=False, pooled=False)))
    if limit is None:
        return Fitting(ample, RECOMPUTED_AT_ONCE * ample, f"no limit: activations of {_told(enough)}")
    before = resident_bytes() if resident is None else resident
    fixed = before + int((1 + _SLACK_SHARE) * trained_bytes(model)) + _SLACK
    room = (limit - fixed) / (1 + _SLACK_SHARE)
    told = f"{_told(fixed)} before the first step leave {_told(room)} for activations"
    at_once = int(room / per_token(recompute=False, pooled=True))
    if at_once >= max(longest, _ENOUGH):
        return Fitting(min(at_once, ample), at_once, f"{told}: {min(at_once, ample)} tokens")
    whole, again = per_token(recompute=False, pooled=False), per_token(recompute=True, pooled=False)
    least = max(again * longest, _updating_bytes(model))
    if room < least:
        raise MemoryTooSmall(fixed + int((1 + _SLACK_SHARE) * least), limit)
    at_once, recomputed = int(room / whole), int(room / again)
    return Fitting(
        min(at_once, ample) if at_once >= _LEAST_TOKENS else 0,
        max(longest, min(recomputed, RECOMPUTED_AT_ONCE * ample)),
        f"{told}: {at_once} tokens, or {recomputed} recomputed, and no pools of freed blocks",
        pooled=False,
    )


def _fitted_to(limit: int | None, model: torch.nn.Module, encoded: Encoded, kept: Kept) -> Fitting:
    """`fit_to` for these rows."""
    answers = sum(len(supervised(encoded, i)) for i in range(len(encoded)))
    lengths = [len(ids) for ids in encoded.ids]
    return fit_to(limit, model, longest=max(lengths), answers_share=answers / max(1, sum(lengths)), kept=kept)


def cut_for(model: torch.nn.Module, encoded: Encoded, packing: Packing, *, limit: int | None = None) -> Cut:
    """How to cut these rows where nothing has to be written down; the model has its method on."""
    fits = _fitted_to(limit, model, encoded, count(model, packing=packing))
    return Cut(fits.max_tokens, fits.max_recomputed, packing)


def fitting_for(model: torch.nn.Module, encoded: Encoded, kept: Kept, ctx: Context) -> Fitting:
    """How to train these rows within the limits of the run: decided once, written down, obeyed on resume.

    What the process holds differs when it goes on after a kill; other micro-batches would end in other last digits.
    """
    path = ctx.workdir / "memory.json"
    if path.exists():
        fits = Fitting(**read_json(path))
        if not fits.pooled:
            share_no_pools()
        return fits
    if ctx.limits.max_memory_bytes is not None:
        release_memory()
    fits = _fitted_to(ctx.limits.max_memory_bytes, model, encoded, kept)
    if not fits.pooled:
        share_no_pools()
    write_json(path, asdict(fits))
    ctx.emit("decision", what="train.micro_batch", choice=f"{fits.max_tokens} tokens", why=fits.why)
    return fits


class Watched:
    """Batches for the loop with an eye on memory: what the largest of them takes, and nothing left lying about.

    The holes between kept tensors differ with every shape, so what the process holds creeps up from step to step until
    the largest was seen everywhere; above the predicted peak the free memory is given back before the next step.
    """

    def __init__(
        self, batches: Callable[[int], Sequence[Any]], kept: Kept, model: torch.nn.Module, *, pooled: bool = True
    ) -> None:
        self._batches, self._kept, self._pooled = batches, kept, pooled
        release_memory()
        self._before, self._trained, self._largest = resident_bytes(), trained_bytes(model), _updating_bytes(model)

    def __call__(self, step: int) -> Sequence[Any]:
        found = self._batches(step)
        for batch in found:
            tokens: TokenBatch = getattr(batch, "tokens", batch)  # of an objective that knows more of its rows
            size = self._kept.of(tokens.ids.numel(), len(tokens.targets), recompute=tokens.large, pooled=self._pooled)
            self._largest = max(self._largest, size)
        if resident_bytes() > self.peak.total:
            release_memory()
        return found

    @property
    def peak(self) -> Footprint:
        """What is predicted for the batches seen so far."""
        return footprint(self._before, self._trained, self._largest)


class MemoryTooSmall(ModelError):
    """Training cannot stay below the limit. least: bytes that would do."""

    def __init__(self, least: int, limit: int) -> None:
        super().__init__(
            f"training needs about {_told(least)}, and --max-memory is {_told(limit)}.",
            hint="raise --max-memory, choose a smaller base or 4 bits (train.method: qlora), or shorten the rows.",
        )
        self.least = least

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuilt, (self.message, self.hint))


def _rebuilt(message: str, hint: str | None) -> ModelError:
    return ModelError(message, hint=hint)


def peak_as_predicted(predicted: int, measured: int, *, limit: int | None, system: str) -> Check:
    """Peak resident memory against what was predicted and against the limit; does not apply where there is none.

    A run that holds less than predicted is no harm; one that holds more breaks the promise of the limit.
    """
    what = "peak resident memory, predicted against measured"
    if limit is None:
        return Check.not_applicable(what, f"at most {WITHIN:.0%} above", "no --max-memory was given", system=system)
    off = measured / predicted - 1.0
    return Check(
        what, f"{_told(measured)} ({off:+.0%})", f"at most {WITHIN:.0%} above {_told(predicted)} and <= {_told(limit)}",
        off <= WITHIN and measured <= limit, "set --max-memory a little lower, and report this base model and method.",
        system,
    )  # fmt: skip


def _told(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
