"""Encoder and heads as ONNX graphs, for onnxruntime on any machine and from any language; 8-bit where asked for."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.checks import Check, require
from tunesmith.core.errors import ModelError
from tunesmith.core.files import write_json
from tunesmith.deploy.exporters import EXACT, Bounds, Made, exporter
from tunesmith.deploy.exporters._parts import base_folder, copy_fitted
from tunesmith.deploy.runtime import BASE
from tunesmith.deploy.shipped import Shipped
from tunesmith.models.onnx_encoder import ABOUT, MODEL, WORDS
from tunesmith.training.experts import VectorExpert
from tunesmith.training.heads import KernelHead
from tunesmith.training.linear import load_arrays

if TYPE_CHECKING:
    import torch

    from tunesmith.models.encoder import Encoder

# Systems that read texts through an encoder's vectors alone.
_ON_VECTORS = ("frozen", "fusion", "encoder", "contrastive", "frozen_tags", "fusion_tags", "encoder_tags")
_OPSET = 17
_EIGHT_BITS = Bounds(logits=0.35, agreement=0.93, score=0.02, by_mean=True)
_HEADS = "heads"
_USAGE = """From other languages: `model.onnx` in {where} takes `input_ids` and `attention_mask` (int64) and gives unit
`vectors`; `tokenizer.json` beside it is read by the `tokenizers` library. `heads/NAME.onnx` takes `vectors` and gives
`log_probabilities` in the order of `labels` in `export.json`. A text longer than the window of `encoder.json` is read
in equal parts whose vectors are averaged and scaled to length 1. How opinions are weighed where there are several, and
the calibration, are numbers in `fitted/*.json`."""


class Onnx:
    """Encoder and heads as ONNX, float32 or int8, for onnxruntime; for systems on an encoder's vectors."""

    name = "onnx"
    quantisations = ("none", "int8")
    extra = ("onnx", ("onnx", "onnxruntime"))

    def why_not(self, model: Shipped) -> tuple[str, str] | None:
        if model.rung.needs == "nothing":
            return f"the system {model.name} has no network.", "use --to bundle: it needs numpy and scipy alone."
        if model.rung.needs == "lm":
            return "language models are not exported to ONNX.", "use --to ctranslate2 or --to gguf."
        if model.name not in _ON_VECTORS:
            return f"the system {model.name} does more with its encoder than read vectors.", "use --to bundle."
        return None

    def write(self, model: Shipped, draft: Path, quantisation: str) -> Made:
        from tunesmith.models.encoder import Encoder
        from tunesmith.training.adapters import load_adapter

        assert model.job.encoder is not None
        place = copy_fitted(model, draft, adapter=False)
        written = []
        if model.reads_frozen:
            written.append(draft / BASE / "encoder")
            write_graph(Encoder.load(base_folder(model), model.ctx.limits), written[-1], quantisation)
        if model.adapter is not None:
            written.append(place / "adapter")
            write_graph(load_adapter(model.adapter, model.job.encoder, model.ctx), written[-1], quantisation)
        for name, expert in _heads(place):
            write_head(expert, draft / _HEADS / f"{name}.onnx")
        where = " and ".join(f"`{path.relative_to(draft).as_posix()}/`" for path in written)
        return Made(
            "onnx",
            _EIGHT_BITS if quantisation == "int8" else EXACT,
            without=("torch", "transformers", "peft", "accelerate", "sklearn"),
            usage=_USAGE.format(where=where),
        )


def write_graph(encoder: Encoder, place: Path, quantisation: str) -> None:
    """The encoder as model.onnx, with its tokenizer and what else reading texts takes.

    Raises ModelError for an encoder without a fast tokenizer.
    """
    import torch

    from tunesmith.models.quiet import silent

    words = getattr(encoder.tokenizer, "backend_tokenizer", None)
    if words is None:
        raise ModelError(
            "the tokenizer of this encoder cannot be written as tokenizer.json.",
            hint="use --to bundle, or an encoder with a fast tokenizer.",
        )
    place.mkdir(parents=True)
    words.save(str(place / WORDS))
    write_json(
        place / ABOUT,
        {"window": encoder.window, "width": encoder.width, "pooling": encoder.pooling, "prefix": encoder.prefix,
         "pad": encoder.tokenizer.pad_token_id or 0},
    )  # fmt: skip
    draft = place / ("float.onnx" if quantisation == "int8" else MODEL)
    ids = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 4]])
    both = {0: "texts", 1: "tokens"}
    with torch.inference_mode(), silent(), _hushed():
        torch.onnx.export(
            _graph_of(encoder), (ids, torch.ones_like(ids)), str(draft), dynamo=False, opset_version=_OPSET,
            input_names=["input_ids", "attention_mask"], output_names=["vectors"],
            dynamic_axes={"input_ids": both, "attention_mask": both, "vectors": {0: "texts"}},
        )  # fmt: skip
    if quantisation == "int8":
        from onnxruntime.quantization import QuantType, quantize_dynamic

        # Of the 8 bits 7 are used: without VNNI, sums of products of whole bytes overflow, and the answers of an export
        # would depend on whose machine it runs on.
        with _hushed():
            quantize_dynamic(
                str(draft), str(place / MODEL), weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
            )
        draft.unlink()


def write_head(expert: VectorExpert, path: Path) -> None:
    """vectors (n, width) -> log_probabilities (n, k) as a graph; raises CheckFailed if it gives other numbers."""
    import onnxruntime
    import torch

    width = expert.head.centres.shape[1] if isinstance(expert.head, KernelHead) else expert.head.weight.shape[1]
    draw = np.random.default_rng(0).normal(size=(8, width)).astype(np.float32)
    draw /= np.linalg.norm(draw, axis=1, keepdims=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(), _hushed():
        torch.onnx.export(
            _head_of(expert), (torch.tensor(draw),), str(path), dynamo=False, opset_version=_OPSET,
            input_names=["vectors"], output_names=["log_probabilities"],
            dynamic_axes={"vectors": {0: "texts"}, "log_probabilities": {0: "texts"}},
        )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    gap = float(np.abs(session.run(None, {"vectors": draw})[0] - expert.log_probabilities(draw)).max())
    require(
        Check(f"head {path.stem} in the graph = beside it", gap, "<= 0.001", gap <= 1e-3,
              "use --to bundle and report it: the head is too sharp for float32.")
    )  # fmt: skip


@contextmanager
def _hushed() -> Iterator[None]:
    """Silences the tracer: what it traced is compared with the original afterwards."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(before)


def _heads(fitted: Path) -> Iterator[tuple[str, VectorExpert]]:
    """The heads on vectors among the arrays of a fitted system, by file."""
    for file in sorted(fitted.glob("*.safetensors")):
        arrays = load_arrays(file)
        on_vectors = "centres" in arrays or ("weight" in arrays and not any(n.startswith("buckets") for n in arrays))
        if on_vectors and "temperature" in arrays:
            yield file.stem, VectorExpert.from_arrays(arrays)


def _graph_of(encoder: Encoder) -> torch.nn.Module:
    import torch

    class Vectors(torch.nn.Module):
        """Token ids to unit vectors, pooling included."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = encoder.module

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden = self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return torch.nn.functional.normalize(encoder.pool(hidden, attention_mask), dim=-1)

    return Vectors().eval()


def _head_of(expert: VectorExpert) -> torch.nn.Module:
    import torch

    head: Any = expert.head
    arrays = {name: torch.tensor(np.asarray(array, dtype=np.float32)) for name, array in head.arrays().items()}

    class Head(torch.nn.Module):
        """Unit vectors to log-probabilities of the labels."""

        def forward(self, vectors: torch.Tensor) -> torch.Tensor:
            if isinstance(head, KernelHead):
                near = torch.exp((vectors @ arrays["centres"].T - 1.0) * (2.0 / float(head.scale)))
                logits = near @ arrays["alpha"] + arrays["prior"]
            else:
                logits = vectors @ arrays["weight"].T + arrays["bias"]
            return torch.log_softmax(logits / expert.temperature, dim=-1)

    return Head().eval()


exporter("onnx")(Onnx())
