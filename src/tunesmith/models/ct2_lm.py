"""A language model that was converted for CTranslate2: answers without torch, with weights of 8 bits or 32.

The folder holds ctranslate2/ (what the converter wrote), the tokenizer, and ctranslate2.json with what a
transformers model would say of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.context import Limits
from tunesmith.core.errors import MissingExtra, ModelError
from tunesmith.core.files import read_json
from tunesmith.models.loading import CT2
from tunesmith.models.template import Template
from tunesmith.models.written import Generated, before_loop

if TYPE_CHECKING:
    from numpy.typing import NDArray

ABOUT = "ctranslate2.json"
# Logits at once: every position of every row is a whole vocabulary.
_LOGITS_BYTES = 128 << 20
# Labels of which a beginning has less than this share of the best label's probability are not read to their end.
_LEFT_OUT = float(np.log(1e-9))


@dataclass(eq=False)
class Ct2LanguageModel:
    """What prompted and tuned systems ask of models.lm.LanguageModel. stops: tokens that end an answer."""

    generator: Any
    template: Template
    folder: Path
    context: int
    vocabulary: int
    stops: tuple[int, ...]

    @classmethod
    def load(cls, folder: Path, limits: Limits) -> Ct2LanguageModel:
        """The model in an exported folder. Raises MissingExtra without CTranslate2, ModelError if it is damaged."""
        try:
            import ctranslate2
        except ImportError as error:
            raise MissingExtra("a language model in the CTranslate2 format", "ctranslate2") from error
        from transformers import AutoTokenizer

        about = read_json(folder / ABOUT)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            generator = ctranslate2.Generator(
                str(folder / CT2), device="cpu", compute_type=about["compute"], intra_threads=limits.threads,
                inter_threads=1,
            )  # fmt: skip
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"the language model in {folder} cannot be read: {error}", hint="copy it again."
            ) from error
        stops = tuple(int(stop) for stop in about["stops"])
        return cls(generator, Template.of(tokenizer), folder, int(about["context"]), int(about["vocabulary"]), stops)

    def let_go(self) -> None:
        """Give up the weights; the template stays."""
        self.generator = None

    def first_logits(self, prompts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, vocabulary) logits of the token that follows each prompt."""
        found = [self._logits([prompt])[0, len(prompt) - 1] for prompt in prompts]
        return np.stack(found) if found else np.zeros((0, self.vocabulary), dtype=np.float32)

    def label_log_probs(
        self,
        prompts: Sequence[Sequence[int]],
        labels: Sequence[Sequence[int]],
        *,
        prefix: Sequence[int] = (),
        exact: bool = True,
    ) -> NDArray[np.float64]:
        """(n, k) log P(label's tokens | prompt), the token that ends the answer included; see models.labels.

        Labels that begin with less than a billionth of the best one's probability get that beginning's as their bound.
        """
        return np.array([self._label_log_probs(prompt, labels) for prompt in prompts]).reshape(-1, len(labels))

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        prefix: Sequence[int] = (),
        rows: int = 16,
        break_loops: bool = False,
        bound: object | None = None,
        ended: Callable[[], object] = lambda: None,
    ) -> list[Generated]:
        """The greedy continuation of each prompt, in order; see models.decode. Nothing can be bound to a schema."""
        if bound is not None:
            raise ModelError("answers cannot be bound to a schema in the CTranslate2 format.", hint="export as merged.")
        words = self.template.tokenizer.convert_ids_to_tokens
        made = self.generator.generate_batch(
            [words(list(prompt)) for prompt in prompts], max_length=max_new_tokens, sampling_topk=1, beam_size=1,
            end_token=list(self.stops), include_prompt_in_result=False, max_batch_size=rows,
        )  # fmt: skip
        answers = []
        for one in made:
            ids = [int(i) for i in one.sequences_ids[0]]
            kept = _before_first_loop(ids) if break_loops else None
            answers.append(Generated(ids[:kept], kept is not None or len(ids) < max_new_tokens))
            ended()
        return answers

    def _label_log_probs(self, prompt: Sequence[int], labels: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """(k,) for one prompt. Shared beginnings are read once; the likely ones are followed to their end."""
        done = np.full(len(labels), -np.inf)
        bound = np.zeros(len(labels))  # of each label: log-probability of the part of it that was read
        # (what was read of the labels, which labels begin so)
        open_: list[tuple[tuple[int, ...], list[int]]] = [((), list(range(len(labels))))]
        while open_:
            best = max(done.max(initial=-np.inf), -np.inf)
            live = [(read, those) for read, those in open_ if bound[those[0]] >= best + _LEFT_OUT]
            if not live:
                break
            # Where one label is left its whole rest is read at once.
            rests = [labels[those[0]][:-1] if len(those) == 1 else read for read, those in live]
            tables = self._next_log_probs(prompt, rests, [len(read) for read, _ in live])
            open_ = []
            for (read, those), table in zip(live, tables, strict=True):
                if len(those) == 1:
                    (label,) = those
                    words = labels[label][len(read) :]
                    done[label] = bound[label] = bound[label] + sum(table[j, w] for j, w in enumerate(words))
                    continue
                nexts: dict[int, list[int]] = {}
                for label in those:
                    nexts.setdefault(labels[label][len(read)], []).append(label)
                for word, some in nexts.items():
                    bound[some] += table[0, word]
                    if len(some) == 1 and len(labels[some[0]]) == len(read) + 1:
                        done[some[0]] = bound[some[0]]
                    else:
                        open_.append(((*read, word), some))
        return np.where(np.isfinite(done), done, bound)

    def _next_log_probs(
        self, prompt: Sequence[int], rests: Sequence[Sequence[int]], starts: Sequence[int]
    ) -> list[NDArray[np.float64]]:
        """Per rest: (tokens from its start on, vocabulary) log-probabilities of what follows each of them."""
        longest = len(prompt) + max(len(rest) for rest in rests)
        at_once = max(1, _LOGITS_BYTES // (4 * self.vocabulary * longest))
        found = []
        for at in range(0, len(rests), at_once):
            part = list(rests[at : at + at_once])
            logits = self._logits([[*prompt, *rest] for rest in part])
            for row, (rest, start) in enumerate(zip(part, starts[at : at + at_once], strict=True)):
                first, last = len(prompt) - 1 + start, len(prompt) + len(rest)
                found.append(_log_softmax(logits[row, first:last].astype(np.float64)))
        return found

    def _logits(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(rows, longest, vocabulary) logits; what stands beyond a row's end means nothing."""
        return np.asarray(self.generator.forward_batch([list(row) for row in ids]), dtype=np.float32)


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float64)


def _before_first_loop(ids: Sequence[int]) -> int | None:
    """How many ids would have been kept if the first loop had ended the answer; None if there is none."""
    ends = (before_loop(ids[:n]) for n in range(1, len(ids) + 1))
    return next((kept for kept in ends if kept is not None), None)
