"""A causal language model with its tokenizer and template: what prompted and tuned systems answer with.

Everything goes through `LanguageModel.logits`, which says for each token where it stands and what it may look at.
So a prompt prefix shared by many rows is read once, rows of different lengths share a batch without seeing their
padding, and a tree of answers hangs on one prompt, on unmodified transformers models.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.core.context import Limits
from tunesmith.core.errors import ModelError
from tunesmith.models import weights
from tunesmith.models.methods import BENEATH, saved_with
from tunesmith.models.quiet import silent
from tunesmith.models.template import Template

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers.cache_utils import Cache

    from tunesmith.models.structured import Bound
    from tunesmith.models.written import Generated

# The weights of an export for llama.cpp, in the folder of the model.
GGUF = "model.gguf"
# A context that no shared machine should be asked for by default; longer prompts are cut in the middle, counted.
_LONGEST = 1 << 17
# mallopt(3). A fixed threshold: left alone, glibc raises it to the largest block that was ever freed.
_M_MMAP_THRESHOLD, _LARGE_BLOCK = -3, 256 << 10


@dataclass(eq=False)
class LanguageModel:
    """model: a transformers causal LM, or a PeftModel around one. folder: where the base was read from."""

    model: torch.nn.Module
    template: Template
    folder: Path

    @classmethod
    def load(
        cls, folder: Path, limits: Limits, *, adapter: Path | None = None, beneath: Path | None = None
    ) -> LanguageModel:
        """Read a transformers folder (safetensors only) and, if given, an adapter in PEFT's layout.

        limits.dtype is the dtype of the base; adapters are float32. An adapter folder that holds a tokenizer
        brings its own template. beneath: an adapter that is folded into the base first; None: the one that lies in
        adapter/BENEATH, if there is one. Where model.gguf lies in the folder, weights and config are what that file
        holds. Raises ModelError if something is missing, damaged, or of an unknown family.
        """
        from safetensors import SafetensorError
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        file = GGUF if (folder / GGUF).is_file() else None
        words = adapter if adapter is not None and (adapter / "tokenizer_config.json").exists() else folder
        try:
            with silent():
                config = AutoConfig.from_pretrained(
                    folder, gguf_file=file, local_files_only=True, trust_remote_code=False
                )
                tokenizer = AutoTokenizer.from_pretrained(words, local_files_only=True, trust_remote_code=False)
                dtype, attention = getattr(torch, limits.dtype), _attention(config)
                model = None if file else weights.load(folder, config, dtype=dtype, attention=attention)
                if model is None:
                    model = AutoModelForCausalLM.from_pretrained(
                        folder,
                        config=config,
                        gguf_file=file,
                        dtype=dtype,
                        attn_implementation=attention,
                        local_files_only=True,
                        trust_remote_code=False,
                        use_safetensors=True,
                    )
                if beneath is None and adapter is not None and (adapter / BENEATH).is_dir():
                    beneath = adapter / BENEATH
                if beneath is not None:
                    how = saved_with(beneath)
                    model = how.merge(how.load(model, beneath))
                if adapter is not None:
                    model = saved_with(adapter).load(model, adapter)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            what = folder.name if adapter is None else f"{folder.name} with adapter {adapter.name}"
            raise ModelError(
                f"the language model {what} cannot be read: {error}",
                hint="delete it from the cache (tunesmith cache) and repeat, or name another base model.",
            ) from error
        model.to(limits.device)
        model.eval()
        model.requires_grad_(False)
        lm = cls(model, Template.of(tokenizer), folder)
        strange = lm.template.beyond(lm.vocabulary)
        if strange:
            raise ModelError(
                f"the tokenizer of {folder.name} writes {', '.join(map(repr, strange))}, for which the model has no "
                f"embedding: it knows {lm.vocabulary} tokens.",
                hint="use the tokenizer that belongs to the model; its special tokens must be in its vocabulary.",
            )
        return lm

    def let_go(self) -> None:
        """Give up the weights; the template stays."""
        self.model = torch.nn.Module()

    @property
    def context(self) -> int:
        """Tokens that the model can attend to."""
        return int(getattr(_text_config(self.model), "max_position_embeddings", _LONGEST))

    @property
    def vocabulary(self) -> int:
        """Words that the output head scores."""
        return int(_output_head(self.model).weight.shape[0])

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def stops(self) -> tuple[int, ...]:
        """Tokens that end an answer: the template's, the tokenizer's and the model's own."""
        own = getattr(getattr(self.model, "generation_config", None), "eos_token_id", None)
        own = [own] if isinstance(own, int) else list(own or [])
        return tuple(sorted({self.template.end_id, int(self.template.tokenizer.eos_token_id), *own}))

    def logits(
        self,
        ids: torch.Tensor,
        *,
        at: torch.Tensor,
        keys_at: torch.Tensor,
        keep: tuple[torch.Tensor, torch.Tensor],
        cache: Cache | None = None,
        sees: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Next-token logits (n, vocabulary) float32 after the tokens at `keep` = (rows, columns).

        ids, at: (b, q) new tokens and their positions; -1 marks padding.
        keys_at: (b, k) positions of everything in the cache and then of the new tokens; -1 marks padding.
        sees:    (b, q, k) further bounds on who sees whom, for trees; None: everything earlier is seen.
        """
        allowed = (keys_at[:, None, :] >= 0) & (keys_at[:, None, :] <= at[:, :, None])  # (b, q, k)
        if sees is not None:
            allowed &= sees
        allowed |= (at < 0)[:, :, None]  # padding may look anywhere: attention to nothing is not a number
        with torch.inference_mode(), computing(self.model), head_at(self.model, keep):
            out = self.model(
                input_ids=ids,
                attention_mask=_masks(self.model, allowed, at, keys_at),
                position_ids=at.clamp(min=0),
                past_key_values=cache,
                use_cache=cache is not None,
            ).logits
        return out[0].float()  # type: ignore[no-any-return]

    def first_logits(self, prompts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, vocabulary) logits of the token that follows each prompt, each read alone."""
        found = []
        for prompt in prompts:
            at = torch.arange(len(prompt), device=self.device)[None]
            ids = torch.tensor([list(prompt)], device=self.device)
            last = torch.tensor([0], device=self.device), torch.tensor([len(prompt) - 1], device=self.device)
            found.append(self.logits(ids, at=at, keys_at=at, keep=last)[0].cpu().numpy())
        return np.stack(found) if found else np.zeros((0, self.vocabulary), dtype=np.float32)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        prefix: Sequence[int] = (),
        rows: int = 64,
        break_loops: bool = False,
        bound: Bound | None = None,
        ended: Callable[[], object] = lambda: None,
    ) -> list[Generated]:
        """Greedy answers; see decode.generate."""
        from tunesmith.models import decode

        return decode.generate(
            self,
            prompts,
            max_new_tokens=max_new_tokens,
            prefix=prefix,
            rows=rows,
            break_loops=break_loops,
            bound=bound,
            ended=ended,
        )

    def label_log_probs(
        self,
        prompts: Sequence[Sequence[int]],
        labels: Sequence[Sequence[int]],
        *,
        prefix: Sequence[int] = (),
        exact: bool = True,
    ) -> NDArray[np.float64]:
        """(n, k) log P(label | prompt); see labels.label_log_probs."""
        from tunesmith.models import labels as scoring

        return scoring.label_log_probs(self, prompts, labels, prefix=prefix, exact=exact)

    def choose_labels(
        self, prompts: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], *, prefix: Sequence[int] = ()
    ) -> list[int]:
        """The label that greedy writing bound to the labels ends at; see labels.choose."""
        from tunesmith.models import labels as scoring

        return scoring.choose(self, prompts, labels, prefix=prefix)

    @cached_property
    def packs(self) -> bool:
        """Whether prompts can be read as packed rows; found out on a few tokens when first asked."""
        from tunesmith.models import reading

        return reading.packs(self)


@contextmanager
def computing(model: torch.nn.Module) -> Iterator[None]:
    """The arithmetic of a frozen base in bfloat16 with float32 adapters; does nothing for a float32 base."""
    with ExitStack() as stack:
        base = _output_head(model).weight
        if base.dtype == torch.bfloat16:
            stack.enter_context(torch.autocast(base.device.type, dtype=torch.bfloat16))
            if hasattr(model, "peft_config"):
                from peft.helpers import disable_input_dtype_casting

                stack.enter_context(disable_input_dtype_casting(model))
        yield


def wide(x: torch.Tensor) -> torch.Tensor:
    """The same numbers in float32 at least, as losses and attention over many keys are computed."""
    return x if x.dtype == torch.float64 else x.float()


@contextmanager
def head_at(
    model: torch.nn.Module, keep: tuple[torch.Tensor, torch.Tensor], *, words: torch.Tensor | None = None
) -> Iterator[None]:
    """Inside the block the model's output head sees only positions (rows, columns): logits are (1, n, vocabulary).

    The head is a quarter of a small model's arithmetic, and most positions are asked nothing. A hook leaves
    what the family does after the head (soft-capping, scaling) to the family.
    words: give (1, n, words), the logits of these words alone. Only for families that treat each logit by itself.
    """
    head = _output_head(model)
    with ExitStack() as stack:
        if words is None or type(head) is not torch.nn.Linear:
            stack.callback(head.register_forward_pre_hook(lambda _, args: (args[0][keep][None], *args[1:])).remove)
            if words is not None:
                stack.callback(head.register_forward_hook(lambda _m, _a, out: out[..., words]).remove)
        else:
            weight, bias = head.weight[words], None if head.bias is None else head.bias[words]
            # The head itself gets no position at all; what the hook gives in its place goes on to the family.
            kept: list[torch.Tensor] = []

            def before(_: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
                kept.append(args[0][keep][None])
                return (kept[0][:, :0], *args[1:])

            def after(_m: torch.nn.Module, _a: object, _out: torch.Tensor) -> torch.Tensor:
                return torch.nn.functional.linear(kept[0], weight, bias)

            stack.callback(head.register_forward_pre_hook(before).remove)
            stack.callback(head.register_forward_hook(after).remove)
        yield


@contextmanager
def recomputing(
    model: torch.nn.Module, wanted: bool, *, again: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Where wanted, forward passes in the block keep one activation per layer and backward recomputes the rest.

    The same gradients for a third more arithmetic and a tenth of the memory. again: what recomputing must be wrapped
    in to be the same, as it happens when the block has long been left.
    """
    if not (wanted and torch.is_grad_enabled()):
        yield
        return
    how = {"use_reentrant": False, "context_fn": lambda: (nullcontext(), again())}
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=how)  # type: ignore[operator]
    try:
        yield
    finally:
        model.gradient_checkpointing_disable()  # type: ignore[operator]


def share_no_pools() -> None:
    """From now on take large blocks from the system, and give each back as soon as it is freed; for good.

    glibc puts small objects that live into the holes that large ones leave, and aligned blocks never fit where one of
    equal size was freed: its pools hold nearly twice of what is kept. Without pools a process holds what it needs, and
    pays for every page anew: a training step takes half as much again (docs/log.md). Does nothing where the C library
    is another one.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


def release_memory() -> None:
    """Hand memory that was freed back to the system.

    glibc keeps what activations of changing shapes leave behind: 0.9 GB after a few steps of a 135M model,
    flat from then on, but in the way of whatever is loaded next.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # absent where the C library is not glibc
        if trim is not None:
            trim(0)


def _output_head(model: torch.nn.Module) -> Any:
    head = model.get_output_embeddings()  # type: ignore[operator]
    if head is None:
        raise ModelError("this base model has no output head: it is not a causal language model.")
    return head


def _text_config(model: torch.nn.Module) -> Any:
    return model.config.get_text_config()  # type: ignore[union-attr, operator]


def _attention(config: Any) -> str:
    """The attention implementation that is right for the family. Raises ModelError for what we cannot serve."""
    text = config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ())
    unknown = kinds - {"full_attention", "sliding_attention"}
    if unknown:
        raise ModelError(
            f"base models with layers of the kind {', '.join(sorted(unknown))} are not supported.",
            hint="choose one whose layers all attend (Llama, Qwen, Mistral, Gemma, Phi, SmolLM).",
        )
    # Soft-capped attention scores exist in the explicit form only.
    return "eager" if getattr(text, "attn_logit_softcapping", None) else "sdpa"


def _masks(model: torch.nn.Module, allowed: torch.Tensor, at: torch.Tensor, keys_at: torch.Tensor) -> Any:
    """(b, 1, q, k) masks in the shape that the family takes: one, or one per kind of layer."""
    text = _text_config(model)
    window = getattr(text, "sliding_window", None)
    if not getattr(text, "use_sliding_window", True):
        window = None
    full = _mask(model, allowed)
    if not window:
        return full
    # Counted in positions, not in cache slots: padding takes slots and no room in the window.
    near = (at[:, :, None] - keys_at[:, None, :] < window) | (at < 0)[:, :, None]
    sliding = _mask(model, allowed & near)
    kinds = set(getattr(text, "layer_types", None) or ("sliding_attention",))
    if kinds == {"sliding_attention"} and not getattr(text, "layer_types", None):
        return sliding
    return {kind: sliding if kind == "sliding_attention" else full for kind in kinds}


def _mask(model: torch.nn.Module, allowed: torch.Tensor) -> torch.Tensor:
    if getattr(model.config, "_attn_implementation", "sdpa") != "eager":
        return allowed[:, None]
    dtype = _output_head(model).weight.dtype
    return torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)[:, None]
