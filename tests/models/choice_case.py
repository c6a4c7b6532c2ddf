"""Small models of several families, prompts and labels, and what plain transformers answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tunesmith.core.context import Limits
from tunesmith.models.lm import LanguageModel
from tunesmith.testing.sentences import SENTENCES

LABELS = ("refund", "refund late", "shipping", "account", "account access", "other", "card not working", "card lost")
FAMILIES = ("llama", "qwen3", "mistral", "gemma2", "gemma3", "phi3")


def prompts_of(lm: LanguageModel, n: int = 7) -> tuple[list[list[int]], list[int]]:
    system = "Choose a label: " + ", ".join(LABELS)
    ids = [
        lm.template.prompt_ids([{"role": "system", "content": system}, {"role": "user", "content": s}])
        for s in SENTENCES[:n]
    ]
    shared = lm.template.prompt_ids([{"role": "system", "content": system}, {"role": "user", "content": ""}])
    return ids, shared


def labels_of(lm: LanguageModel) -> list[list[int]]:
    return [lm.template.answer_ids(label) for label in LABELS]


def by_hand(lm: LanguageModel, prompt: list[int], answer: list[int]) -> float:
    """log P(answer | prompt) from one plain forward pass over the two of them."""
    with torch.inference_mode():
        logits = lm.model(input_ids=torch.tensor([prompt + answer])).logits[0]
    log_p = torch.log_softmax(logits.double(), dim=1)
    return float(sum(log_p[len(prompt) - 1 + j, word] for j, word in enumerate(answer)))


def by_transformers(lm: LanguageModel, prompt: list[int], n: int) -> list[int]:
    out = lm.model.generate(  # type: ignore[operator]
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=n,
        do_sample=False,
        eos_token_id=list(lm.stops),
        pad_token_id=0,
    )
    return [int(word) for word in out[0, len(prompt) :]]


def choice_by_transformers(lm: LanguageModel, prompt: list[int], labels: Sequence[Sequence[int]]) -> int:
    """Its greedy generate with only those next tokens allowed that some label goes on with."""

    def allowed(_: int, ids: torch.Tensor) -> list[int]:
        written = ids[len(prompt) :].tolist()
        n = len(written)
        return sorted({label[n] for label in labels if len(label) > n and list(label[:n]) == written})

    out = lm.model.generate(  # type: ignore[operator]
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=max(map(len, labels)),
        do_sample=False,
        eos_token_id=sorted({label[-1] for label in labels}),
        pad_token_id=0,
        prefix_allowed_tokens_fn=allowed,
    )
    return [list(label) for label in labels].index(out[0, len(prompt) :].tolist())


def family(name: str, lm: LanguageModel, folder: Path) -> LanguageModel:
    """A random two-layer model of a family with the tokenizer of `lm`, with windows short enough to matter."""
    import transformers as t

    size: dict[str, Any] = {
        "vocab_size": 768,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    slides = {"sliding_window": 12, "layer_types": ["sliding_attention", "full_attention"], "head_dim": 8}
    kinds: dict[str, Any] = {
        "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**size)),
        "qwen3": lambda: t.Qwen3ForCausalLM(t.Qwen3Config(**size, head_dim=8)),
        "mistral": lambda: t.MistralForCausalLM(t.MistralConfig(**size, sliding_window=12)),
        "gemma2": lambda: t.Gemma2ForCausalLM(t.Gemma2Config(**size, **slides, attn_logit_softcapping=5.0)),
        "gemma3": lambda: t.Gemma3ForCausalLM(t.Gemma3TextConfig(**size, **slides)),
        "phi3": lambda: t.Phi3ForCausalLM(t.Phi3Config(**size)),
    }
    torch.manual_seed(0)
    kinds[name]().save_pretrained(folder)
    lm.template.tokenizer.save_pretrained(folder)
    return LanguageModel.load(folder, Limits())
