"""The review queue of a run: its findings one at a time, and what was decided about them; all in reviews.jsonl.

A decision is a line of the file that `tunesmith findings` writes and *curate* reads. Undo writes another line: what
held before, or that nothing holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tunesmith.core.errors import ConfigError
from tunesmith.core.findings import Finding
from tunesmith.data.curate import positions
from tunesmith.data.reviews import Review, Ruling, append_reviews, read_reviews
from tunesmith.reviewing import places_of, request_for, reviews_of, ruling_on, user_name
from tunesmith.tracing import load_curation

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Item:
    """One finding with the row it speaks of. is_test: nothing in it may be changed, so it can only be rejected."""

    finding: Finding
    place: str
    text: str
    target: str | None
    row: str
    is_test: bool

    @property
    def key(self) -> Key:
        return (self.row, self.finding.step, self.finding.kind)


@dataclass
class Queue:
    """Items in order: undecided first, those of test rows after others, the surest first. path: the reviews.jsonl."""

    path: Path
    items: list[Item]
    labels: tuple[str, ...]
    held: dict[Key, Ruling]
    at: int = 0
    _done: list[tuple[int, Item, Ruling | None]] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path) -> Queue:
        """The queue of a curated run. Raises RunError if it has not got that far."""
        before, after, findings = load_curation(folder)
        path = reviews_of(request_for(folder))
        held = {(r.row, r.step, r.kind): r for r in read_reviews(path).holding()}
        at = positions(before, [f.id for f in findings])
        names = ("text", "target", "hash", "split")
        columns = {name: before.table[name].take(at).to_pylist() for name in names}
        places = places_of(before, findings)
        items = [
            Item(finding, place, str(text or ""), target, str(row), split == "test")
            for finding, place, text, target, row, split in zip(
                findings, places, *(columns[name] for name in names), strict=True
            )
        ]
        items.sort(key=lambda item: (item.key in held, item.is_test, -item.finding.score, item.finding.id))
        return cls(path, items, tuple(after.labels), held)

    @property
    def item(self) -> Item | None:
        """The one to decide on now."""
        return self.items[self.at] if 0 <= self.at < len(self.items) else None

    @property
    def left(self) -> int:
        """How many nothing was decided about yet."""
        return sum(item.key not in self.held for item in self.items)

    @property
    def can_undo(self) -> bool:
        return bool(self._done)

    def decision(self, item: Item) -> Ruling | None:
        """What holds for it."""
        return self.held.get(item.key)

    def decide(self, verdict: Literal["accept", "reject"], *, by: str | None = None) -> None:
        """Accept or reject the present finding and go on. Raises ConfigError for accepting one of a test row."""
        item = self._present(changing=verdict == "accept")
        self._write(item, ruling_on(item.finding, item.row, verdict), by)

    def correct(self, value: str, *, by: str | None = None) -> None:
        """Write down the right target of the present row and go on. Raises ConfigError for a test row or no value."""
        item = self._present(changing=True)
        if not value.strip():
            raise ConfigError("no answer was given.", hint="write the right one, or reject the finding.")
        if self.labels and value not in self.labels and len(self.labels) > 1:
            known = ", ".join(self.labels[:12])
            raise ConfigError(f"'{value[:80]}' is none of the labels.", hint=f"they are {known}.")
        f = item.finding
        self._write(item, Ruling(item.row, f.step, f.kind, "edit", "target", value, "fix"), by)

    def undo(self, *, by: str | None = None) -> bool:
        """Take the last decision of this session back and return to it; False if there is none."""
        if not self._done:
            return False
        self.at, item, before = self._done.pop()
        f = item.finding
        self._append(item, before or Ruling(item.row, f.step, f.kind, "withdraw", f.field), by)
        if before is None:
            self.held.pop(item.key, None)
        else:
            self.held[item.key] = before
        return True

    def move(self, step: int) -> None:
        """Look at another one without deciding."""
        self.at = max(0, min(len(self.items) - 1, self.at + step))

    def next_open(self) -> None:
        """Go to the next one that nothing was decided about, or past the end."""
        order = [*range(self.at + 1, len(self.items)), *range(self.at)]
        self.at = next((i for i in order if self.items[i].key not in self.held), len(self.items))

    def _present(self, *, changing: bool) -> Item:
        item = self.item
        if item is None:
            raise ConfigError("every finding was decided on.")
        if changing and item.is_test:
            raise ConfigError("this is a test row: nothing in it is changed, so its findings can only be rejected.")
        return item

    def _write(self, item: Item, ruling: Ruling, by: str | None) -> None:
        before = self.held.get(item.key)
        self._append(item, ruling, by)
        self._done.append((self.at, item, before))
        self.held[item.key] = ruling
        self.next_open()

    def _append(self, item: Item, ruling: Ruling, by: str | None) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        append_reviews(self.path, [Review(ruling, now, by or user_name())])
