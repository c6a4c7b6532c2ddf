"""Examples, and the immutable columnar table of them that stages hand on.

Test *targets* are not in the table. They lie in a file of their own (the seal) which only *evaluate*
opens, through `unseal`; everything else that asks for them gets SealedError.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.core.attached import attach
from tunesmith.core.errors import RunError, SealedError
from tunesmith.core.files import canonical, read_json, sha256_bytes, whole, write_json
from tunesmith.core.library import Library

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

Split = Literal["train", "dev", "test"]

# Between a right answer and what else judges it ("tests"), in references: a comment in the languages that have such.
JUDGED_BY = "\n# --- judged by ---\n"

# Columns of Dataset.table. There may be "tests" (string; null: sealed with the target): what judges an answer besides
# the target, such as tests or a database.
# There may be "rejected" (string; null: absent, or sealed with the target): an answer that
# the target is preferred to, "line" (int64; null where a file has none): the 1-based line of the source file that the
# row begins on, and "original.text" and "original.target" (string; null: as it stands, or sealed): what was read before
# *ingest* mended it. Any further column is named "slice.<something>" and holds short strings.
COLUMNS = {
    "id": "int64",  # 0..n-1, in reading order over all files; never renumbered by later stages
    "text": "string",  # what the model is given: one input column, or several under their names
    "target": "string",  # null: sealed (test) or absent
    "split": "string",  # train, dev, test, or "none" (no target, so no part in anything)
    "weight": "float32",
    "group": "int64",  # Examples with equal numbers must stay on one side of a split
    "file": "string",  # base name of the source file
    "row": "int64",  # 1-based data row in that file
    "hash": "string",  # 16 hex digits of the text and target as they were read: the row wherever it comes again
    "changes": "list<string>",  # steps that changed the Example, in order
}


@dataclass(frozen=True)
class Rows:
    """Some Examples as plain columns: what a System fits on and predicts from. All of length n."""

    ids: NDArray[np.int64]
    texts: tuple[str, ...]
    targets: tuple[str, ...]  # empty when sealed or not asked for
    weights: NDArray[np.float32]
    groups: NDArray[np.int64]
    rejected: tuple[str, ...] = ()  # answers that `targets` are preferred to; empty where the data has none
    tests: tuple[str, ...] = ()  # what judges answers besides the targets; empty where the data has none

    @property
    def references(self) -> tuple[str, ...]:
        """What answers are scored against: the targets, each with its tests below it where there are any."""
        return referred(self.targets, self.tests)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> Rows:
        """Some rows by position, in the order asked."""
        at = np.asarray(rows, dtype=np.int64)
        return Rows(
            self.ids[at],
            tuple(self.texts[int(i)] for i in at),
            tuple(self.targets[int(i)] for i in at) if self.targets else (),
            self.weights[at],
            self.groups[at],
            tuple(self.rejected[int(i)] for i in at) if self.rejected else (),
            tuple(self.tests[int(i)] for i in at) if self.tests else (),
        )

    def __add__(self, other: Rows) -> Rows:
        return Rows(
            np.concatenate([self.ids, other.ids]),
            self.texts + other.texts,
            self.targets + other.targets,
            np.concatenate([self.weights, other.weights]),
            np.concatenate([self.groups, other.groups]),
            self.rejected + other.rejected,
            self.tests + other.tests,
        )


def referred(targets: Sequence[str], tests: Sequence[str]) -> tuple[str, ...]:
    """Targets with their tests below them; as they are where there are none."""
    if not tests:
        return tuple(targets)
    return tuple(f"{target}{JUDGED_BY}{test}" if test else target for target, test in zip(targets, tests, strict=True))


def rows_of(texts: Sequence[str], targets: Sequence[str] = ()) -> Rows:
    """Rows from plain lists (tests, prediction): ids and groups are positions, weights are 1."""
    n = len(texts)
    at = np.arange(n, dtype=np.int64)
    return Rows(at, tuple(texts), tuple(targets), np.ones(n, dtype=np.float32), at.copy())


@dataclass(frozen=True)
class Dataset:
    """Immutable columnar table of Examples with train/dev/test splits and a fingerprint.

    table:  pyarrow Table with COLUMNS (and "slice.*" columns).
    task:   name of the Task. labels: sorted label names, () for text tasks.
    inputs: source columns that `text` was made of; target: source column of the answer.
    schema: JSON Schema that every answer obeys, for tasks whose output is "json"; else "".
    seal:   file with the test targets (columns id, target), or None when there is no test split.
    shelf:  file with the Library that answers are looked for in, or None where the task needs none.
    notes:  what ingest learned and the report shows (language, counts, split inflation, findings).
    """

    table: pa.Table
    task: str
    labels: tuple[str, ...]
    inputs: tuple[str, ...]
    target: str
    seal: Path | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    schema: str = ""
    shelf: Path | None = None

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of texts, targets (sealed ones too, by the seal's hash), splits and labels."""
        about = [self.task, list(self.labels), *([self.schema] if self.schema else [])]
        digest = hashlib.sha256(canonical(about))
        for name in ("text", "target", "split", *(n for n in ("rejected", "tests") if n in self.table.column_names)):
            for value in self.table[name].to_pylist():
                digest.update(b"\0" if value is None else value.encode("utf-8", "surrogatepass"))
                digest.update(b"\x1f")
        if self.seal is not None:
            digest.update(sha256_bytes(self.seal.read_bytes()).encode())
        if self.library is not None:
            digest.update(self.library.fingerprint.encode())
        return digest.hexdigest()[:16]

    @cached_property
    def library(self) -> Library | None:
        """The passages that answers are looked for in; None where the task needs none. RunError if the file is gone."""
        if self.shelf is None:
            return None
        if not self.shelf.exists():
            raise RunError(f"the library is gone: {self.shelf}", hint="delete 01-ingest and run again.")
        return Library.load(self.shelf)

    def count(self, split: Split) -> int:
        """How many Examples the split has."""
        return int(self._at(split).size)

    def rows(self, split: Split, *, blind: bool = False) -> Rows:
        """The Examples of a split in table order.

        blind: without targets. Raises SealedError for test rows unless blind.
        """
        if split == "test" and not blind:
            raise SealedError("test targets are sealed: only evaluate opens them.")
        part = self.table.take(self._at(split))
        return Rows(
            part["id"].to_numpy().astype(np.int64),
            tuple(part["text"].to_pylist()),
            () if blind else tuple(value or "" for value in part["target"].to_pylist()),
            part["weight"].to_numpy().astype(np.float32),
            part["group"].to_numpy().astype(np.int64),
            *(
                tuple(value or "" for value in part[name].to_pylist())
                if name in part.column_names and not blind
                else ()
                for name in ("rejected", "tests")
            ),
        )

    def slices(self, split: Split) -> dict[str, tuple[str, ...]]:
        """The slice columns of a split, by name without the prefix."""
        part = self.table.take(self._at(split))
        return {
            name.removeprefix("slice."): tuple(v or "" for v in part[name].to_pylist())
            for name in part.column_names
            if name.startswith("slice.")
        }

    def unseal(self) -> tuple[str, ...]:
        """The test references in table order. Only *evaluate* calls this (a test holds that)."""
        if self.seal is None or not self.seal.exists():
            raise RunError(f"the sealed test targets are gone: {self.seal}", hint="delete 01-ingest and run again.")
        import pyarrow.parquet as pq

        table = pq.read_table(self.seal)
        tests = [test or "" for test in table["tests"].to_pylist()] if "tests" in table.column_names else []
        by_id = dict(zip(table["id"].to_pylist(), referred(table["target"].to_pylist(), tests), strict=True))
        return tuple(by_id[i] for i in self.table.take(self._at("test"))["id"].to_pylist())

    def with_table(self, table: pa.Table, **notes: Any) -> Dataset:
        """The same Dataset with another table and more notes."""
        return replace(self, table=table, notes={**self.notes, **notes})

    def save(self, folder: Path) -> None:
        """Write dataset.parquet and dataset.json; the seal stays where *ingest* wrote it."""
        import pyarrow.parquet as pq

        with whole(folder / "dataset.parquet") as draft:
            pq.write_table(self.table, draft)
        run = folder.parent
        seal = None if self.seal is None else self.seal.relative_to(run).as_posix()  # a run folder can be moved
        shelf = None if self.shelf is None else self.shelf.relative_to(run).as_posix()
        write_json(
            folder / "dataset.json",
            {
                "task": self.task,
                "labels": list(self.labels),
                "inputs": list(self.inputs),
                "target": self.target,
                "seal": seal,
                **({} if shelf is None else {"shelf": shelf}),
                "notes": dict(self.notes),
                "fingerprint": self.fingerprint,
                **({"schema": self.schema} if self.schema else {}),
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Dataset:
        import pyarrow.parquet as pq

        about = read_json(folder / "dataset.json")
        seal = None if about["seal"] is None else folder.parent / about["seal"]
        if seal is not None:
            for name in about["notes"].get("attached", {}).values():
                attach(seal.parent / name)
        return cls(
            pq.read_table(folder / "dataset.parquet"),
            about["task"],
            tuple(about["labels"]),
            tuple(about["inputs"]),
            about["target"],
            seal,
            about["notes"],
            about.get("schema", ""),
            folder.parent / about["shelf"] if about.get("shelf") else None,
        )

    def _at(self, split: Split) -> NDArray[np.int64]:
        values = self.table["split"].to_numpy(zero_copy_only=False)
        return np.flatnonzero(values == split)
