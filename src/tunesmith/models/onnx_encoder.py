"""A sentence encoder that was exported as an ONNX graph: onnxruntime and a tokenizer, without torch or transformers.

The folder holds model.onnx (input_ids, attention_mask -> unit vectors), tokenizer.json and encoder.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tunesmith.core.context import Limits
from tunesmith.core.errors import MissingExtra, ModelError
from tunesmith.core.files import read_json
from tunesmith.models.encoder import Encoder

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

MODEL, WORDS, ABOUT = "model.onnx", "tokenizer.json", "encoder.json"


class OnnxEncoder(Encoder):
    """An Encoder whose graph onnxruntime computes. It cannot be trained."""

    def __init__(self, session: Any, words: _Words, about: dict[str, Any]) -> None:
        super().__init__(
            cast("torch.nn.Module", None),
            cast("PreTrainedTokenizerBase", words),
            window=int(about["window"]),
            width=int(about["width"]),
            pooling=about["pooling"],
            prefix=str(about["prefix"]),
        )
        self._session = session

    @classmethod
    def load(cls, folder: Path, limits: Limits) -> OnnxEncoder:
        """The encoder in an exported folder. Raises MissingExtra without onnxruntime, ModelError if it is damaged."""
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra("an encoder in the ONNX format", "onnx") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = limits.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        about = read_json(folder / ABOUT)
        try:
            session = onnxruntime.InferenceSession(str(folder / MODEL), options, providers=["CPUExecutionProvider"])
            words = _Words(Tokenizer.from_file(str(folder / WORDS)), int(about["pad"]))
        except Exception as error:  # onnxruntime and tokenizers have no error of their own to name
            raise ModelError(f"the encoder in {folder} cannot be read: {error}", hint="copy it again.") from error
        return cls(session, words, about)

    def read(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        tokens = np.array(ids, dtype=np.int64)
        if tokens.size == 0:
            return np.zeros((len(ids), self.width), dtype=np.float32)
        fed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        found: NDArray[np.float32] = self._session.run(["vectors"], fed)[0]
        return found


class _Words:
    """A tokenizer as Encoder asks for one."""

    def __init__(self, tokenizer: Any, pad: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer, self.pad_token_id = tokenizer, pad

    def __call__(self, texts: str | list[str], *, add_special_tokens: bool, **_: bool) -> dict[str, Any]:
        if isinstance(texts, str):
            return {"input_ids": self._tokenizer.encode(texts, add_special_tokens=add_special_tokens).ids}
        read = self._tokenizer.encode_batch(texts, add_special_tokens=add_special_tokens)
        return {"input_ids": [one.ids for one in read]}
