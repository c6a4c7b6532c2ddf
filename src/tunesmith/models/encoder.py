"""A frozen sentence encoder: texts to vectors of length one.

Any text is read whole: what exceeds the window is read in several windows whose vectors are averaged. A vector
does not depend on what else is embedded in the same call, beyond the last bits of fp32: windows of equal length
are read together, so nothing is padded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from tunesmith.core.context import Limits
from tunesmith.core.errors import ModelError
from tunesmith.models.layout import describe
from tunesmith.models.quiet import silent

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

Pooling = Literal["mean", "cls", "max", "last"]
# Some words of a text: which text, and their characters as (from, to).
Span = tuple[int, Sequence[tuple[int, int]]]

# Tokens read at once. Fewer leave the cores idle between calls, more fall out of the cache (measured, docs/log.md).
TOKENS_PER_BATCH = 2048
_TEXTS_PER_CALL = 4096  # of the tokenizer
_NO_LIMIT = 1_000_000  # tokenizers without a limit of their own claim 1e30
_POOLINGS: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}


@dataclass(frozen=True)
class Windows:
    """Texts cut into what the encoder can read at once, in order, nothing left out.

    ids:    one list of token ids per window, special tokens included.
    owner:  (windows,) int64, the position of the text each belongs to; every text has at least one.
    weight: (windows,) float64, its share of the text's tokens; sums to 1 over each text.
    """

    ids: list[list[int]]
    owner: NDArray[np.int64]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


class Encoder:
    """A sentence encoder on a transformers model.

    module:    the transformers model, in eval mode, no gradients. window: tokens it reads at once, special ones
    included. width: length of a vector. prefix: what the model's makers put before every text, often "".
    """

    def __init__(
        self,
        module: torch.nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        *,
        window: int,
        width: int,
        pooling: Pooling,
        prefix: str = "",
    ) -> None:
        self.module = module
        self.tokenizer = tokenizer
        self.window = window
        self.width = width
        self.pooling = pooling
        self.prefix = prefix
        self._head, self._tail = _marks(tokenizer)
        self._room = window - len(self._head) - len(self._tail)
        if self._room < 1:
            raise ModelError(f"the encoder's window of {window} tokens leaves no room for text.")

    @classmethod
    def load(cls, folder: Path, limits: Limits) -> Encoder:
        """The encoder in a transformers folder, in fp32 on `limits.device`.

        Pooling, window and prefix are what the folder's sentence-transformers files say (mean, the model's own
        window and none without them). A folder that was exported to ONNX is read by onnxruntime.
        Raises ModelError if the folder asks for something else than these.
        """
        if (folder / "model.onnx").is_file() and (folder / "encoder.json").is_file():
            from tunesmith.models.onnx_encoder import OnnxEncoder

            return OnnxEncoder.load(folder, limits)
        import torch
        from transformers import AutoModel, AutoTokenizer

        describe(folder)
        _check_modules(folder)
        with silent():
            try:
                tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
                module, loaded = AutoModel.from_pretrained(
                    folder,
                    dtype=torch.float32,
                    local_files_only=True,
                    use_safetensors=True,
                    trust_remote_code=False,
                    output_loading_info=True,
                )
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                raise ModelError(
                    f"the encoder in {folder} cannot be loaded: {error}", hint="copy or download the folder again."
                ) from error
        # What is missing would be made up at random; BERT's pooler is not used here and often left out.
        unread = [str(key) for key in (*loaded["missing_keys"], *loaded["mismatched_keys"])]
        absent = sorted(key for key in unread if "pooler" not in key)
        if absent:
            raise ModelError(
                f"the encoder in {folder} lacks {len(absent)} of its weights, such as {absent[0]}.",
                hint="its config.json and its weights do not belong together: copy or download the folder again.",
            )
        module = module.to(limits.device).eval().requires_grad_(False)
        about = _read(folder / "sentence_bert_config.json")
        limits_of_window = (about.get("max_seq_length"), tokenizer.model_max_length, _positions(module.config))
        return cls(
            module,
            tokenizer,
            window=min(int(n) for n in limits_of_window if n is not None and 0 < n < _NO_LIMIT),
            width=int(module.config.hidden_size),
            pooling=_pooling(folder),
            prefix=_prefix(folder),
        )

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def marks(self) -> tuple[list[int], list[int]]:
        """The special tokens before and after what is read at once."""
        return self._head, self._tail

    def with_module(self, module: torch.nn.Module) -> Encoder:
        """The same encoder around another module (this one with an adapter on)."""
        return Encoder(
            module, self.tokenizer, window=self.window, width=self.width, pooling=self.pooling, prefix=self.prefix
        )

    def tokenize(self, texts: Sequence[str]) -> Windows:
        """Every text as one or more windows; a long text is cut into equal parts that do not overlap."""
        ids: list[list[int]] = []
        owner: list[int] = []
        weight: list[float] = []
        for at, tokens in enumerate(self._tokens(texts)):
            for start, end in self._cuts(len(tokens)):
                ids.append([*self._head, *tokens[start:end], *self._tail])
                owner.append(at)
                weight.append((end - start) / len(tokens) if tokens else 1.0)
        return Windows(ids, np.array(owner, dtype=np.int64), np.array(weight, dtype=np.float64))

    def embed(self, texts: Sequence[str], tick: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """One unit vector per text, in order: (n, width) float32; equal texts are read once.

        An empty text gets the vector of the special tokens alone (zeros if the model has none).
        tick: told how many more of the n texts are done.
        """
        distinct = list(dict.fromkeys(texts))
        place = {text: i for i, text in enumerate(distinct)}
        rows = np.array([place[text] for text in texts], dtype=np.int64)
        copies = np.bincount(rows, minlength=len(distinct))
        windows = self.tokenize(distinct)
        left = np.bincount(windows.owner, minlength=len(distinct))
        sums = np.zeros((len(distinct), self.width), dtype=np.float64)
        parts = np.zeros((len(windows), self.width), dtype=np.float32)
        for batch in batches([len(ids) for ids in windows.ids], tokens=TOKENS_PER_BATCH):
            parts[batch] = self.read([windows.ids[i] for i in batch])
            if tick is not None:
                owners = windows.owner[batch]
                np.subtract.at(left, owners, 1)
                tick(int(copies[[i for i in set(owners.tolist()) if left[i] == 0]].sum()))
        # Summed in the order of the text, not of the batches: the same bits whatever was read together.
        np.add.at(sums, windows.owner, parts * windows.weight[:, None])
        return _unit(sums)[rows].astype(np.float32)

    def in_place(self, texts: Sequence[str], spans: Sequence[Span]) -> NDArray[np.float32]:
        """What words mean where they stand: (len(spans), width) float32 unit vectors.

        Of each span the mean state of its tokens, two thirds of the layers up: above, states are bent to the sentence;
        below, to the word alone. Zeros for a span without a token. Raises ModelError for an encoder that cannot tell
        which characters a token is read from.
        """
        import torch

        if self.module is None or not getattr(self.tokenizer, "is_fast", False):
            raise ModelError("this encoder does not tell what words mean in place.", hint="use a transformers folder.")
        ids: list[list[int]] = []
        offsets: list[NDArray[np.int64]] = []
        owner: list[int] = []
        for at, (tokens, where) in enumerate(self._placed(texts)):
            for start, end in self._cuts(len(tokens)):
                ids.append([*self._head, *tokens[start:end], *self._tail])
                offsets.append(where[start:end])
                owner.append(at)
        asked: dict[int, list[int]] = {}
        for number, (at, _) in enumerate(spans):
            asked.setdefault(at, []).append(number)
        sums = np.zeros((len(spans), self.width), dtype=np.float64)
        config: Any = self.module.config
        depth = round(2 * int(config.num_hidden_layers) / 3)
        wanted = [i for i, at in enumerate(owner) if at in asked]
        for batch in batches([len(ids[i]) for i in wanted], tokens=TOKENS_PER_BATCH):
            some = [wanted[i] for i in batch]
            tokens_of = torch.tensor([ids[i] for i in some], device=self.device)
            with torch.inference_mode():
                read = self.module(
                    input_ids=tokens_of, attention_mask=torch.ones_like(tokens_of), output_hidden_states=True
                )
            states = read.hidden_states[depth].float().cpu().numpy()  # (windows, time, width)
            for window, state in zip(some, states, strict=True):
                state = state[len(self._head) :]
                first, last = offsets[window][:, 0], offsets[window][:, 1]
                for number in asked[owner[window]]:
                    ranges = spans[number][1]
                    inside = np.zeros(len(first), dtype=bool)
                    for start, end in ranges:
                        inside |= (first < end) & (last > start) & (last > first)
                    sums[number] += state[: len(inside)][inside].sum(axis=0)
        return _unit(sums).astype(np.float32)

    def read(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(windows, width) unit vectors of some windows of one length, without gradients."""
        import torch

        with torch.inference_mode():
            return cast("NDArray[np.float32]", self.forward(ids).float().cpu().numpy())

    def forward(self, ids: Sequence[Sequence[int]], *, packed: bool = False) -> torch.Tensor:
        """(windows, width) unit vectors of some windows, with gradients where the module has them.

        Unequal lengths are padded; pads are masked and take no part in the pooling.
        packed: one after the other in one row instead, without padding; for families that give the same then.
        """
        import torch

        longest = max(len(row) for row in ids)
        if longest == 0:
            return torch.zeros(len(ids), self.width, device=self.device)
        if packed:
            return torch.nn.functional.normalize(self._pooled_of_packed(ids), dim=-1)
        pad = self.tokenizer.pad_token_id or 0
        tokens = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in ids], device=self.device)
        lengths = torch.tensor([len(row) for row in ids], device=self.device)
        mask = (torch.arange(longest, device=self.device)[None, :] < lengths[:, None]).long()  # (windows, time)
        hidden = self.module(input_ids=tokens, attention_mask=mask).last_hidden_state  # (windows, time, width)
        return torch.nn.functional.normalize(self.pool(hidden, mask), dim=-1)

    def _pooled_of_packed(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        import torch

        from tunesmith.models.tree_attention import read_texts

        hidden = read_texts(self.module, ids, first=_first_position(self.module.config))
        lengths = [len(row) for row in ids]
        padded = torch.nn.utils.rnn.pad_sequence(list(torch.split(hidden, lengths)), batch_first=True)
        ends = torch.tensor(lengths, device=hidden.device)
        mask = (torch.arange(padded.shape[1], device=hidden.device) < ends[:, None]).long()
        return self.pool(padded, mask)

    def pool(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(windows, time, width) and (windows, time) of 0 and 1 -> (windows, width), not normalised."""
        if self.pooling == "cls":
            return hidden[:, 0]
        if self.pooling == "last":
            last = mask.sum(dim=1).clamp(min=1) - 1
            return hidden[_arange(hidden), last]
        weights = mask[:, :, None].to(hidden.dtype)
        if self.pooling == "max":
            return hidden.masked_fill(weights == 0, float("-inf")).amax(dim=1)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)

    def _cuts(self, tokens: int) -> Iterable[tuple[int, int]]:
        """From and to of each window of a text of so many tokens: as few as can be, equally long, at least one."""
        parts = max(1, -(-tokens // self._room))
        return pairwise(tokens * k // parts for k in range(parts + 1))

    def _placed(self, texts: Sequence[str]) -> Iterable[tuple[list[int], NDArray[np.int64]]]:
        """Tokens of each text with (tokens, 2) characters from and to which each is read; the prefix lies before 0."""
        for start in range(0, len(texts), _TEXTS_PER_CALL):
            some = [self.prefix + text for text in texts[start : start + _TEXTS_PER_CALL]]
            read = self.tokenizer(some, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            for ids, where in zip(read["input_ids"], read["offset_mapping"], strict=True):
                yield ids, np.array(where, dtype=np.int64).reshape(-1, 2) - len(self.prefix)

    def _tokens(self, texts: Sequence[str]) -> Iterable[list[int]]:
        for start in range(0, len(texts), _TEXTS_PER_CALL):
            some = [self.prefix + text for text in texts[start : start + _TEXTS_PER_CALL]]
            read = self.tokenizer(
                some,
                add_special_tokens=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
            yield from cast("list[list[int]]", read["input_ids"])


def batches(lengths: Sequence[int], *, tokens: int) -> list[list[int]]:
    """Positions grouped so that all of a group have equal length, at most `tokens` together; longest first.

    The order depends on the lengths alone. Longest first: memory peaks, and fails, at the start.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    found: list[list[int]] = []
    for i in order:
        last = found[-1] if found else None
        if last and lengths[last[0]] == lengths[i] and (len(last) + 1) * lengths[i] <= tokens:
            last.append(i)
        else:
            found.append([i])
    return found


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, np.maximum(lengths, 1e-12))


def _arange(hidden: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.arange(hidden.shape[0], device=hidden.device)


def _marks(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after a text."""
    bare = cast("list[int]", tokenizer("a", add_special_tokens=False)["input_ids"])
    full = cast("list[int]", tokenizer("a", add_special_tokens=True)["input_ids"])
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return full[:start], full[start + len(bare) :]


def _positions(config: Any) -> int | None:
    """Tokens the model has positions for."""
    size = getattr(config, "max_position_embeddings", None)
    return None if size is None else int(size) - _first_position(config)


def _first_position(config: Any) -> int:
    """The position of a text's first token: RoBERTa and its kin keep the first few of the table for padding."""
    shifted = getattr(config, "model_type", "") in {"roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl"}
    return int(config.pad_token_id) + 1 if shifted else 0


def _pooling(folder: Path) -> Pooling:
    about = _read(folder / "1_Pooling" / "config.json")
    chosen = [name for key, name in _POOLINGS.items() if about.get(key)]
    mode = about.get("pooling_mode")
    if isinstance(mode, str):  # newer sentence-transformers write one word
        chosen = [{"lasttoken": "last"}.get(mode, mode)]  # type: ignore[list-item]
    others = [key for key, on in about.items() if key.startswith("pooling_mode_") and on and key not in _POOLINGS]
    if len(chosen) > 1 or others or any(name not in _POOLINGS.values() for name in chosen):
        raise ModelError(
            f"{folder} pools by {', '.join([*chosen, *others])}; supported is one of mean, cls, max and last token."
        )
    return chosen[0] if chosen else "mean"


def _prefix(folder: Path) -> str:
    about = _read(folder / "config_sentence_transformers.json")
    prompts, name = about.get("prompts") or {}, about.get("default_prompt_name")
    return str(prompts.get(name, "")) if name else ""


def _check_modules(folder: Path) -> None:
    """Refuses an encoder that has more parts than a transformer, pooling and normalisation."""
    path = folder / "modules.json"
    if not path.is_file():
        return
    for part in json.loads(path.read_text(encoding="utf-8")):
        kind = str(part.get("type", "")).rpartition(".")[2]
        if kind not in ("Transformer", "Pooling", "Normalize"):
            raise ModelError(
                f"{folder} has a part '{kind}' after its transformer, which is not supported.",
                hint="choose another encoder; see:  tunesmith list models",
            )


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {}
