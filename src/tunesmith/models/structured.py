"""Answers that cannot be invalid: which tokens may come next so that the whole obeys a JSON Schema (by llguidance).

What runs into the token limit is completed with what is emptiest, so that it obeys the schema all the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.errors import MissingExtra, ModelError
from tunesmith.tasks.schema import read_schema, to_schema
from tunesmith.tasks.values import complete, dump, fault, fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.models.lm import LanguageModel


class Bound:
    """A schema as one language model's tokens have to spell it.

    Raises MissingExtra without llguidance, ModelError for a tokenizer that it cannot read, DataError for the schema.
    """

    def __init__(self, lm: LanguageModel, schema: str) -> None:
        try:
            from llguidance import LLMatcher
            from llguidance.hf import from_tokenizer
        except ImportError as error:
            raise MissingExtra("decoding bound to a schema", "structured") from error
        self.shape = read_schema(schema)
        self.template = lm.template
        self._vocabulary = lm.vocabulary
        tokenizer: Any = lm.template.tokenizer
        words = max(len(tokenizer), lm.vocabulary)
        try:
            known = from_tokenizer(tokenizer, n_vocab=words, eos_token=list(lm.stops))
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"the tokenizer of {lm.folder.name} cannot be bound to a schema: {error}",
                hint="use a base model with a fast tokenizer (tokenizer.json).",
            ) from error
        form = {**to_schema(self.shape), "x-guidance": {"whitespace_flexible": False}}
        lead = f"{json.dumps(lm.template.lead)} " if lm.template.lead else ""
        grammar = f"start: {lead}answer\nanswer: %json {json.dumps(form)}"
        self._first = LLMatcher(known, grammar)
        if self._first.is_error():
            raise ModelError(f"the schema cannot be bound: {self._first.get_error()}", hint="make the schema simpler.")

    def begin(self) -> Walk:
        """The state of one answer before its first token."""
        return Walk(self._first.deep_copy(), self._vocabulary)

    def read(self, ids: Sequence[int]) -> str:
        """The answer that generated ids stand for: valid whatever they are."""
        text = str(self.template.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()
        try:
            value = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            value = complete(text, self.shape)
        if fault(value, self.shape) is not None:  # halves of characters, and whatever else a decoder may do to a text
            value = fit(value, self.shape)
        return dump(value)


class Walk:
    """One answer on its way through the schema."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher, self._vocabulary = matcher, vocabulary

    def forbidden(self) -> NDArray[np.bool_] | None:
        """(vocabulary,) which tokens may not come next; None if the answer is over."""
        if self._matcher.is_stopped():
            return None
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        free = np.unpackbits(bits, bitorder="little")[: self._vocabulary].astype(bool)
        return None if self._matcher.is_error() or not free.any() else ~free

    def take(self, token: int) -> bool:
        """Go on with a token; whether the answer goes on after it."""
        return bool(self._matcher.consume_token(token)) and not self._matcher.is_stopped()
