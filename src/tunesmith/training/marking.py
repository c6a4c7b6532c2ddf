"""Answers as marks in their texts, and back: what taggers learn and say. What is put together is valid by construction.

Layout    which places of a schema can be quoted from a text (a tag each), and which are chosen from few values
Mark      characters of a text that carry a tag
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tunesmith.tasks.quotes import place_of
from tunesmith.tasks.values import Shape, dump, fit, same

# Letters, digits, or one sign: "CS550" is two tokens, so that both of its parts can be quoted.
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
# A place whose values mostly stand in the text is quoted; one that does not, but holds few values, is chosen from them.
_QUOTED, _FEW = 0.5, 50


@dataclass(frozen=True)
class Tag:
    """A place that is quoted. path: names down to it; key: of the text in the objects of a list, "" outside of such.

    type_key, type: the field that tells kinds of such objects apart, and the kind that this tag is for.
    many: whether the place takes several.
    """

    path: tuple[str, ...]
    key: str = ""
    type_key: str = ""
    type: str = ""
    many: bool = False

    @property
    def name(self) -> str:
        """In words: spans[PERSON].text."""
        return ".".join(self.path) + (f"[{self.type}]" if self.many else "") + (f".{self.key}" if self.key else "")


@dataclass(frozen=True)
class Choice:
    """A place that takes one of few values; they are JSON values, None among them where it may be null.

    option: for a list of chosen values, whether this one is in it: the values are then False and True.
    """

    path: tuple[str, ...]
    values: tuple[Any, ...]
    option: Any = None


@dataclass(frozen=True)
class Mark:
    """Characters start to end (exclusive) of a text. score: to decide between marks for one place; larger is surer."""

    start: int
    end: int
    tag: int
    score: float = 1.0


@dataclass(frozen=True)
class Layout:
    """What of a shape can be marked in a text, and what can be chosen. Everything else is as empty as is allowed."""

    shape: Shape
    tags: tuple[Tag, ...]
    choices: tuple[Choice, ...]

    @classmethod
    def of(cls, shape: Shape, values: Sequence[Any], texts: Sequence[str]) -> Layout:
        """The layout for answers like these. values: train answers, read from JSON; texts: what they are answers to."""
        tags: list[Tag] = []
        choices: list[Choice] = []
        for path, inner in _places(shape, ()):
            held = [(found, text) for v, text in zip(values, texts, strict=True) for found in [_at(v, path)]]
            if inner.items is not None:
                tags += _tags_of_list(path, inner, [found for found, _ in held])
                choices += _options(path, inner)
            elif inner.choices or inner.kind == "boolean":
                allowed = inner.choices or (False, True)
                choices.append(Choice(path, (*allowed, *([None] if inner.nullable else []))))
            else:
                filled = [(found, text) for found, text in held if found not in (None, "")]
                quoted = sum(place_of(_said(found), text, []) is not None for found, text in filled)
                counts = Counter(dump(found) for found, _ in held)
                if filled and quoted < _QUOTED * len(filled) and len(counts) <= _FEW:
                    choices.append(Choice(path, tuple({dump(f): f for f, _ in held}[key] for key in sorted(counts))))
                else:
                    tags.append(Tag(path))
        return cls(shape, tuple(tags), tuple(choices))

    def marks(self, value: Any, text: str) -> list[Mark]:
        """Where the quoted values of an answer stand; values that do not stand in the text are left out."""
        taken: list[tuple[int, int]] = []
        found = []
        for tag, said in self._quoted(value):
            at = place_of(said, text, taken)
            if at is not None and all(at[1] <= a or b <= at[0] for a, b in taken):
                taken.append(at)
                found.append(Mark(*at, tag))
        return sorted(found, key=lambda mark: mark.start)

    def chosen(self, value: Any) -> list[int]:
        """Of every choice, the position of the value that the answer has there; -1 if it has none of them."""
        codes = []
        for choice in self.choices:
            held = _at(value, choice.path)
            if choice.option is not None:
                held = isinstance(held, list) and any(same(one, choice.option) for one in held)
            codes.append(next((i for i, one in enumerate(choice.values) if same(one, held)), -1))
        return codes

    def build(self, text: str, marks: Iterable[Mark], chosen: Sequence[int]) -> str:
        """The answer as JSON, which obeys the shape whatever the marks and choices are."""
        root: dict[str, Any] = {"": {} if self.shape.kind == "object" else []}
        best: dict[int, Mark] = {}
        for mark in marks:
            if not self.tags[mark.tag].many and (mark.tag not in best or mark.score > best[mark.tag].score):
                best[mark.tag] = mark
        kept = [m for m in marks if self.tags[m.tag].many] + list(best.values())
        for mark in sorted(kept, key=lambda m: m.start):
            self._put(root, self.tags[mark.tag], text[mark.start : mark.end])
        for choice, code in zip(self.choices, chosen, strict=True):
            if choice.option is None and code >= 0:
                _set(root, choice.path, choice.values[code])
            elif choice.option is not None and code == 1:
                _set(root, choice.path, [*(_at(root[""], choice.path) or []), choice.option])
        return dump(fit(root[""], self.shape))

    def _put(self, root: dict[str, Any], tag: Tag, said: str) -> None:
        if not tag.many:
            _set(root, tag.path, said)
            return
        held = _at(root[""], tag.path)
        items = list(held) if isinstance(held, list) else []
        if not tag.key:
            items.append(said)
        elif tag.type_key or not items or tag.key in items[-1]:
            items.append({tag.key: said, **({tag.type_key: tag.type} if tag.type_key else {})})
        else:  # the next field of the object that was begun
            items[-1] = {**items[-1], tag.key: said}
        _set(root, tag.path, items)

    def _quoted(self, value: Any) -> Iterable[tuple[int, str]]:
        """(tag, text) of every value that could be quoted, in the order of the answer."""
        places: dict[tuple[str, ...], list[int]] = {}
        for i, tag in enumerate(self.tags):
            places.setdefault(tag.path, []).append(i)
        for path, own in places.items():
            held = _at(value, path)
            if not self.tags[own[0]].many:
                if held not in (None, "") and not isinstance(held, (Mapping, list)):
                    yield own[0], _said(held)
                continue
            for item in held if isinstance(held, list) else ():
                for i in own:
                    tag = self.tags[i]
                    inner = item.get(tag.key) if tag.key and isinstance(item, Mapping) else item
                    right = not tag.type_key or (isinstance(item, Mapping) and item.get(tag.type_key) == tag.type)
                    if right and inner not in (None, "") and not isinstance(inner, (Mapping, list)):
                        yield i, _said(inner)

    def to_dict(self) -> dict[str, Any]:
        """Tags and choices as JSON; the shape is the prompt's."""
        return {"tags": [asdict(tag) for tag in self.tags], "choices": [asdict(choice) for choice in self.choices]}

    @classmethod
    def from_dict(cls, shape: Shape, about: Mapping[str, Any]) -> Layout:
        """The inverse of `to_dict`."""
        tags = tuple(Tag(**{**tag, "path": tuple(tag["path"])}) for tag in about["tags"])
        choices = tuple(Choice(tuple(c["path"]), tuple(c["values"]), c["option"]) for c in about["choices"])
        return cls(shape, tags, choices)


def tokens_of(text: str) -> list[tuple[int, int]]:
    """(start, end) of the text's tokens: runs of letters, runs of digits, single signs."""
    return [match.span() for match in _TOKEN.finditer(text)]


def _places(shape: Shape, path: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], Shape]]:
    """Every plain place and every list, with its path; what is in lists is reached through the list."""
    if shape.kind != "object":
        yield path, shape
        return
    for name, inner in shape.fields:
        yield from _places(inner, (*path, name))


def _tags_of_list(path: tuple[str, ...], shape: Shape, lists: Sequence[Any]) -> list[Tag]:
    items = shape.items
    assert items is not None
    if items.kind not in ("object", "array", "boolean") and not items.choices:
        return [Tag(path, many=True)]
    if items.kind != "object":
        return []
    plain = [n for n, i in items.fields if i.kind in ("string", "integer", "number") and not i.choices]
    kinds = [n for n, i in items.fields if i.choices and i.kind == "string"]
    held = [item for held in lists if isinstance(held, list) for item in held if isinstance(item, Mapping)]
    if len(plain) == 1 and len(kinds) == 1:
        seen = {item.get(kinds[0]) for item in held}
        return [Tag(path, plain[0], kinds[0], str(k), True) for k in dict(items.fields)[kinds[0]].choices if k in seen]
    if len(plain) == 2 and not kinds:  # a kind of too many values, or of too few rows, to be a closed set
        kind = min(plain, key=lambda name: len({item.get(name) for item in held}))
        other = next(name for name in plain if name != kind)
        seen = {item.get(kind) for item in held}
        if kind.casefold().replace("_", " ").split()[-1:] in (["type"], ["label"], ["kind"], ["category"], ["tag"]):
            return [Tag(path, other, kind, one, True) for one in sorted(s for s in seen if isinstance(s, str))]
    return [Tag(path, name, many=True) for name in plain]


def _options(path: tuple[str, ...], shape: Shape) -> list[Choice]:
    assert shape.items is not None
    return [Choice(path, (False, True), option) for option in shape.items.choices]


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _set(root: dict[str, Any], path: Sequence[str], value: Any) -> None:
    held, name = root, ""
    for step in path:
        held[name] = held.get(name) if isinstance(held.get(name), dict) else {}
        held, name = held[name], step
    held[name] = value


def _said(value: Any) -> str:
    return value if isinstance(value, str) else dump(value)
