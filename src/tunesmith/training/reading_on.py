"""Documents as windows of tokens: what a model learns from them, and how many bits it needs for them.

A document's tokens are cut into windows that follow each other; each begins with the last token of the one before, so
that every token but the document's first is predicted once, from up to a window of those before it. A tokenizer that
begins texts with a mark of its own has it put first. No end is learned, and no mark of a conversation: what the base
knows of questions and answers is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from tunesmith.core.errors import DataError
from tunesmith.core.events import Emit, progress
from tunesmith.data.corpus import Document
from tunesmith.models.template import Template
from tunesmith.training.batches import Encoded, Packing, TokenBatch, batch_of, row_groups
from tunesmith.training.losses import answer_logits, token_log_probs
from tunesmith.training.memory import Fitting, Kept, MemoryTooSmall, enough_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.models.lm import LanguageModel

# Windows of a held-out document that are read: a book must not cost as much as all the others.
MOST_JUDGED = 8
_SHORTEST = 64
# Logits, and their gradient where there is one, of what is read at once.
_LOGITS = 200 << 20


@dataclass(frozen=True)
class Windows:
    """encoded: the windows, all but the first token of each predicted. owner: the document of each.

    sizes: bytes of what is predicted of each document. window: tokens predicted in one, at most.
    """

    encoded: Encoded
    owner: tuple[int, ...]
    sizes: tuple[int, ...]
    window: int

    @property
    def tokens(self) -> int:
        """Tokens that are predicted."""
        return sum(len(ids) - n for ids, n in zip(self.encoded.ids, self.encoded.n_prompt, strict=True))


def windows(documents: Sequence[Document], template: Template, window: int, *, most: int | None = None) -> Windows:
    """The documents' windows of at most `window` predicted tokens; most: of a document.

    Control tokens typed in a document are broken by a space, as in prompts. Raises DataError where there is nothing.
    """
    rows: list[tuple[int, ...]] = []
    n_prompt, owner, sizes = [], [], []
    begin = beginning(template)
    texts = [template.harmless(document.text) for document in documents]
    encoded = template.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
    for number, (text, ids) in enumerate(zip(texts, encoded, strict=True)):
        line = [*begin, *ids]
        first = max(1, len(begin))  # tokens that are given
        read = 0
        for at in range(first, len(line), window):
            if most is not None and read == most:
                break
            lead = line[: len(begin)] if at == first and begin else line[at - 1 : at]
            rows.append((*lead, *line[at : at + window]))
            n_prompt.append(len(lead))
            owner.append(number)
            read += 1
        end = min(len(line), first + read * window)
        whole = end == len(line)
        given = 0 if begin else _bytes_of(line[:first], template)
        sizes.append(max(0, len(text.encode()) - given) if whole else _bytes_of(line[first:end], template))
    if not rows:
        raise DataError("--domain: the documents hold no text to learn from.", hint="give longer documents.")
    weights = (1.0,) * len(rows)
    tokens = sum(len(row) for row in rows) - sum(n_prompt)
    made = Encoded(tuple(rows), tuple(n_prompt), (0,) * len(rows), weights, tokens)
    return Windows(made, tuple(owner), tuple(sizes), window)


def beginning(template: Template) -> list[int]:
    """What the tokenizer puts before a text of its own accord: most often one mark, or nothing."""
    bare = template.tokenizer("x", add_special_tokens=False)["input_ids"]
    dressed = template.tokenizer("x")["input_ids"]
    at = dressed.index(bare[0]) if bare and bare[0] in dressed else 0
    return list(dressed[:at])


def _bytes_of(ids: Sequence[int], template: Template) -> int:
    """UTF-8 bytes that these tokens stand for."""
    words = template.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return len(str(words).encode())


def judged_window(lm: LanguageModel, window: int) -> int:
    """Tokens of a window in which held-out documents are read: fewer where the vocabulary is large."""
    while window > _SHORTEST and 8 * window * lm.vocabulary > _LOGITS:
        window //= 2
    return window


def fitting_windows(
    lm: LanguageModel,
    documents: Sequence[Document],
    window: int,
    kept: Kept,
    fit: Callable[[Windows], Fitting],
) -> tuple[Windows, Fitting]:
    """The windows, as long as memory allows, and how to train on them.

    Every token is predicted, so a window's logits are as wide as the vocabulary for each of its tokens: windows are
    halved while these alone would fill what activations may. Raises MemoryTooSmall if the shortest do not fit.
    """
    while window > _SHORTEST and window * kept.per_answer > enough_bytes():
        window //= 2
    while True:
        read = windows(documents, lm.template, window)
        try:
            return read, fit(read)
        except MemoryTooSmall:
            if window <= _SHORTEST:
                raise
            window //= 2


def next_token_loss(model: torch.nn.Module, batch: TokenBatch) -> tuple[torch.Tensor, float]:
    """Cross-entropy of the predicted tokens, in nats: (sum, weight)."""
    logits = answer_logits(model, batch)
    weights = batch.weights.to(logits.device)
    return -(token_log_probs(logits, batch.targets.to(logits.device)) * weights).sum(), float(weights.sum())


@torch.no_grad()
def nats(lm: LanguageModel, read: Windows, *, packing: Packing, emit: Emit) -> NDArray[np.float64]:
    """(documents,) what the model needs for the predicted tokens of each document."""
    at_once = max(read.window, _LOGITS // (8 * lm.vocabulary))
    found = np.zeros(len(read.sizes), dtype=np.float64)
    groups = row_groups(read.encoded, range(len(read.encoded)), max_tokens=at_once, packing=packing)
    owner = np.array(read.owner)
    with progress(emit, "documents", len(read.encoded)) as tick:
        for rows, _ in groups:
            batch = batch_of(read.encoded, rows, packing=packing)
            logits = answer_logits(lm.model, batch)
            losses = -token_log_probs(logits, batch.targets.to(logits.device)).double().cpu().numpy()
            np.add.at(found, owner[rows][batch.rows.numpy()], losses)
            tick(len(rows))
    return found
