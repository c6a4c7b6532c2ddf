"""The user's documents as passages with ids: what answers are looked for in, quoted from and checked against.

A passage's text is never changed after it was read: a quote is a part of it, byte for byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from tunesmith.core.errors import DataError, did_you_mean
from tunesmith.core.files import whole

# A sentence ends behind its sign and what closes it, and at the end of a line.
_SENTENCE = re.compile(r"(?<=[.!?;:])[\"')\]]*\s+(?=\S)|\n+")

Reference = tuple[str, str]
"""Which passage is meant: (document id, passage id)."""


@dataclass(frozen=True)
class Passage:
    """A piece of a document. title: of the document or its heading, "" if unknown; place: order in the document.

    start: character of the document's text that the passage begins on; None where only passages are known.
    """

    document: str
    passage: str
    text: str
    title: str = ""
    place: int = 0
    start: int | None = None

    @property
    def reference(self) -> Reference:
        return self.document, self.passage

    def __str__(self) -> str:
        return f"{self.document} § {self.passage}"


@dataclass(frozen=True)
class Library:
    """Passages in the order of documents and of places in them; no reference occurs twice.

    warnings: what was found and mended while reading, as sentences.
    """

    passages: tuple[Passage, ...]
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        assert len(self.at) == len(self.passages), "a reference occurs twice"

    def __len__(self) -> int:
        return len(self.passages)

    def __iter__(self) -> Iterator[Passage]:
        return iter(self.passages)

    @cached_property
    def at(self) -> Mapping[Reference, int]:
        """Position of each passage by its reference."""
        return {passage.reference: place for place, passage in enumerate(self.passages)}

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """Ids of the documents, in order."""
        return tuple(dict.fromkeys(passage.document for passage in self.passages))

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """(n,) the passages' texts."""
        return tuple(passage.text for passage in self.passages)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of every id and text."""
        digest = hashlib.sha256()
        for p in self.passages:
            for value in (p.document, p.passage, p.text, p.title, str(p.start)):
                digest.update(value.encode("utf-8", "surrogatepass") + b"\x1f")
        return digest.hexdigest()[:16]

    def __getitem__(self, reference: Reference) -> Passage:
        """The passage; DataError with the nearest id if there is none."""
        found = self.at.get(reference)
        if found is not None:
            return self.passages[found]
        document, passage = reference
        if document not in self.documents:
            raise DataError(
                f"there is no document '{document}' among the {len(self.documents):,} of the library.",
                hint=did_you_mean(document, self.documents),
            )
        near = [p.passage for p in self.passages if p.document == document]
        raise DataError(
            f"document '{document}' has no passage '{passage}' (it has {len(near):,}).",
            hint=did_you_mean(passage, near),
        )

    def save(self, path: Path) -> None:
        """Write as parquet."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {
            "document": pa.array([p.document for p in self.passages], pa.string()),
            "passage": pa.array([p.passage for p in self.passages], pa.string()),
            "text": pa.array(self.texts, pa.string()),
            "title": pa.array([p.title for p in self.passages], pa.string()),
            "place": pa.array([p.place for p in self.passages], pa.int64()),
            "start": pa.array([p.start for p in self.passages], pa.int64()),
        }
        with whole(path) as draft:
            pq.write_table(pa.table(columns), draft, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> Library:
        import pyarrow.parquet as pq

        rows = pq.read_table(path).to_pylist()
        return cls(tuple(Passage(**row) for row in rows))


def neighbours(library: Library) -> tuple[list[int], list[int]]:
    """Position of the passage before and after each in its document; -1 where there is none."""
    before, after = [-1] * len(library), [-1] * len(library)
    for at, (one, other) in enumerate(zip(library.passages, library.passages[1:], strict=False)):
        if one.document == other.document:
            after[at], before[at + 1] = at + 1, at
    return before, after


def in_order(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Passages sorted by document and by id as people number things (2 before 10), with their places counted anew.

    For passages whose order in the document is not known. The order tells nothing of the files that they came from.
    """
    ordered = sorted(passages, key=lambda p: (_natural(p.document), _natural(p.passage), p.text))
    places: dict[str, int] = {}
    made = []
    for passage in ordered:
        place = places.get(passage.document, 0)
        places[passage.document] = place + 1
        made.append(replace(passage, place=place))
    return tuple(made)


def sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of the sentences of a text, in order; line breaks end sentences too."""
    bounds = [0, *(gap.end() for gap in _SENTENCE.finditer(text)), len(text)]
    pieces = [trimmed(text, start, end) for start, end in pairwise(bounds)]
    return [piece for piece in pieces if piece is not None]


def trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """(start, end) of text[start:end] without the space at its ends; None if nothing is left."""
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    right = len(piece.rstrip())
    return (start + left, start + right) if right > left else None


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.findall(r"\d+|[^\W\d]+|[^\w]+|_+", name)
    )
