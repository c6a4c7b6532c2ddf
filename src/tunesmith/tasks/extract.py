"""Fields and spans from a text, as JSON that obeys a schema."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.predictions import Predictions
from tunesmith.tasks import Averaged, Message, Prompt, task, turns
from tunesmith.tasks.classify import humanise
from tunesmith.tasks.schema import describe, read_schema
from tunesmith.tasks.values import Shape, dump, fault, same

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Fields that a report shows one by one: the most frequent.
_MOST_FIELDS = 12
Units = Counter[tuple[str, str]]


class Extract(Averaged):
    """A JSON value for a text. Leads with the fields it gets right, counted over all rows (micro F1).

    A field is a plain value at its place, or a whole object of a list (a span: its type and its text). Values are
    compared without case, outer punctuation and runs of spaces; lists without order. Null and absent are the same.
    """

    name = "extract"
    leads = "field_f1"
    output = "json"
    lower: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()

    def detect(self, targets: Sequence[str], inputs: Sequence[str]) -> float:
        """The share of targets that are JSON objects or lists of them."""
        filled = [t for t in targets if t and t.strip()]
        return sum(_holds_fields(t) for t in filled) / len(filled) if len(filled) >= 2 else 0.0

    def prompt(self, labels: Sequence[str], *, inputs: Sequence[str], target: str) -> Prompt:
        """Worded from the columns' names; what the answer must look like is added from the schema."""
        given = " and ".join(humanise(name) for name in inputs) or "text"
        what = humanise(target) or "fields"
        return Prompt(
            f"Read the {given} and extract the {what} as JSON. Copy values as they are written; "
            "give null, or an empty list, for what is not there."
        )

    def render(self, text: str, prompt: Prompt) -> list[Message]:
        first, *rest = turns(text, prompt)
        if not prompt.schema:
            return [first, *rest]
        form = f"{first['content']}\nForm: {describe(_shape(prompt.schema))}"
        return [{"role": first["role"], "content": form}, *rest]

    def parse(self, answer: str, prompt: Prompt) -> str | None:
        """The answer as compact JSON; None if it is none, or not what the schema asks for."""
        try:
            value = json.loads(answer)
        except (json.JSONDecodeError, RecursionError):
            return None
        if not isinstance(value, (dict, list)) or (prompt.schema and fault(value, _shape(prompt.schema))):
            return None
        return dump(value)

    def row_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, NDArray[np.float64]]:
        """row_f1: F1 of a row's fields, 1 where there are none and none were given. exact: whether the whole answer is
        the reference, letter by letter. valid: whether there is an answer at all (none is given that is not valid).
        """
        counts = _counts(predictions, references)
        rows = list(zip(predictions.values, references, strict=True))
        return {
            "row_f1": _f1(counts[:, 0], counts[:, 1], counts[:, 2]) * np.array([v is not None for v, _ in rows]),
            "exact": np.array([v is not None and same(_value(v), _value(r)) for v, r in rows], dtype=np.float64),
            "valid": np.array([v is not None for v, _ in rows], dtype=np.float64),
        }

    def corpus_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, Callable[[NDArray[np.int64]], float]]:
        """field_f1, field_precision and field_recall over all rows together, and the F1 of each common field."""
        counts = _counts(predictions, references)
        scores: dict[str, Callable[[NDArray[np.int64]], float]] = {
            "field_f1": lambda at: _micro(counts[at]),
            "field_precision": lambda at: _share(counts[at, 0].sum(), counts[at, 0].sum() + counts[at, 1].sum()),
            "field_recall": lambda at: _share(counts[at, 0].sum(), counts[at, 0].sum() + counts[at, 2].sum()),
        }
        for name in _common_fields(tuple(references)):
            scores[f"f1 of {name}"] = _of_one_field(predictions, references, name)
        return scores


def units(value: Any) -> Units:
    """The fields of an answer as they are counted: (name, normalised value), each as often as it occurs.

    A field of an object is named by its path. An object in a list is one field: if one of its values is a plain text
    called like a kind (type, label, …), that is added to the name, so that spans are told apart by type.
    """
    found: Units = Counter()
    _add(value, "", found)
    return found


def _add(value: Any, name: str, found: Units) -> None:
    if value is None or value == "":
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _add(inner, f"{name}.{key}" if name else str(key), found)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, Mapping):
                filled = {key: _normal(inner) for key, inner in sorted(item.items()) if inner not in (None, "", [])}
                kind = next((str(item[k]) for k in item if _is_kind(str(k)) and isinstance(item[k], str)), "")
                found[(f"{name}[{kind}]" if kind else name or "items", dump(filled))] += 1
            else:
                _add(item, name or "items", found)
    else:
        found[(name, _normal(value))] += 1


def _is_kind(name: str) -> bool:
    return name.casefold().replace("_", " ").split()[-1:] in (["type"], ["label"], ["kind"], ["category"], ["tag"])


def _normal(value: Any) -> str:
    if isinstance(value, str):
        plain = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
        return plain.strip(".,;:!?\"'()[]{}<>«»“”‘’ ") or plain
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (Mapping, list)):
        return dump(sorted((name, text, n) for (name, text), n in units(value).items()))
    return dump(value)


@lru_cache(maxsize=20_000)
def _units(text: str) -> Units:
    return units(_value(text))


@lru_cache(maxsize=20_000)
def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text


@lru_cache(maxsize=8)
def _shape(schema: str) -> Shape:
    return read_schema(schema)


def _counts(predictions: Predictions, references: Sequence[str]) -> NDArray[np.float64]:
    """(n, 3) fields that were right, given but wrong, and missed."""
    rows = zip(predictions.values, references, strict=True)
    return np.array([_tally(value, reference) for value, reference in rows], dtype=np.float64).reshape(-1, 3)


@lru_cache(maxsize=50_000)
def _tally(value: str | None, reference: str) -> tuple[int, int, int]:
    said, truth = _units(value) if value is not None else Counter(), _units(reference)
    right = sum((said & truth).values())
    return right, sum(said.values()) - right, sum(truth.values()) - right


def _counts_of(predictions: Predictions, references: Sequence[str], name: str) -> NDArray[np.float64]:
    rows = []
    for value, reference in zip(predictions.values, references, strict=True):
        said = (
            Counter({key: n for key, n in _units(value).items() if key[0] == name}) if value is not None else Counter()
        )
        truth = Counter({key: n for key, n in _units(reference).items() if key[0] == name})
        right = sum((said & truth).values())
        rows.append((right, sum(said.values()) - right, sum(truth.values()) - right))
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _of_one_field(
    predictions: Predictions, references: Sequence[str], name: str
) -> Callable[[NDArray[np.int64]], float]:
    """The F1 of one field over some rows; counted when first asked for."""
    counts = cache(lambda: _counts_of(predictions, references, name))
    return lambda at: _micro(counts()[at])


@lru_cache(maxsize=64)
def _common_fields(references: tuple[str, ...]) -> list[str]:
    counts: Counter[str] = Counter()
    for reference in references:
        for (name, _), n in _units(reference).items():
            counts[name] += n
    return sorted(name for name, _ in counts.most_common(_MOST_FIELDS) if name)


def _f1(right: Any, wrong: Any, missed: Any) -> Any:
    """2 right / (2 right + wrong + missed); 1 where there is nothing to find and nothing was given."""
    all_ = 2 * right + wrong + missed
    return np.where(all_ > 0, 2 * right / np.maximum(all_, 1), 1.0)


def _micro(counts: NDArray[np.float64]) -> float:
    return float(_f1(*counts.sum(axis=0)))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 1.0


def _holds_fields(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return isinstance(value, dict) or (isinstance(value, list) and all(isinstance(one, (dict, list)) for one in value))


task("extract")(Extract())
