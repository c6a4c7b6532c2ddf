"""What people decide about findings: which rows a command line means, and the lines of reviews.jsonl it becomes."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, did_you_mean
from tunesmith.core.findings import Action, Field, Finding
from tunesmith.data.comparison import where_of
from tunesmith.data.curate import positions
from tunesmith.data.reviews import Review, Ruling, append_reviews, read_reviews, reviews_beside
from tunesmith.data.steps import step as registry
from tunesmith.pipeline import Request, prepare
from tunesmith.planning import paths_of
from tunesmith.tracing import load_curation

EVERYTHING = "all"
# A range of more rows than this is a slip of the keyboard.
_MOST_ROWS = 10_000_000


def parse_rows(text: str) -> frozenset[int] | None:
    """Row numbers of "3,5,10-20"; None for "all". Raises ConfigError."""
    if text.strip() == EVERYTHING:
        return None
    rows: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        whole = first.isdecimal() and (not dash or (last.isdecimal() and int(first) <= int(last)))
        if not whole or int(last or first) - int(first) > _MOST_ROWS:
            raise ConfigError(f"'{text}' names no rows.", hint="write 3,5,10-20 or all.")
        rows.update(range(int(first), int(last or first) + 1))
    return frozenset(rows)


def parse_chosen(text: str) -> Chosen:
    """Which findings "all", "duplicates", "3,5-9", "duplicates:3,5-9" or "personal_data/email:12" means."""
    head, colon, rows = text.strip().partition(":")
    if not colon and (head[:1].isdecimal() or head == EVERYTHING):
        return Chosen(parse_rows(head))
    name, slash, kind = head.partition("/")
    return Chosen(parse_rows(rows) if colon else None, name.strip().replace("-", "_"), kind if slash else None)


@dataclass(frozen=True)
class Chosen:
    """Which findings a decision is about; None and "" mean all. rows: ids."""

    rows: frozenset[int] | None = None
    step: str = ""
    kind: str | None = None

    def takes(self, finding: Finding) -> bool:
        return (
            (self.rows is None or finding.id in self.rows)
            and (not self.step or finding.step == self.step)
            and (self.kind is None or finding.kind == self.kind)
        )

    def __str__(self) -> str:
        kind = "" if self.kind is None else f" of kind {self.kind}"
        return (f" of {self.step}" if self.step else "") + kind


def accept_or_reject(
    folder: Path, verdict: Literal["accept", "reject"], chosen: Sequence[Chosen], *, by: str | None = None,
    done_only: bool = False,
) -> int:  # fmt: skip
    """Append a decision on each finding chosen; returns how many. done_only: only on what was dropped or fixed.

    Raises ConfigError for a row without such a finding, and for a test row that is not rejected: nothing in it changes.
    """
    rows = _Rows.open(folder)
    picked: dict[int, Finding] = {}
    for choice in chosen:
        rows.require_step(choice.step)
        found = {
            at: f for at, f in enumerate(rows.findings)
            if choice.takes(f) and (not done_only or f.action in ("drop", "fix"))
        }  # fmt: skip
        of = {f.id for f in found.values()}
        for row in sorted(choice.rows or ()):
            rows.require_row(row, changing=verdict == "accept")
            if row not in of:
                what = "was neither dropped nor changed" if done_only else "has no finding"
                raise ConfigError(f"row {row} {what}{choice}.", hint=f"tunesmith findings {folder}  lists them.")
        picked |= found
    kept = [f for f in picked.values() if verdict == "reject" or not rows.is_test(f.id)]
    return rows.write([ruling_on(f, rows.hash_of(f.id), verdict) for f in kept], by)


def edit(folder: Path, row: int, value: str, *, field: Field = "target", step: str = "", by: str | None = None) -> int:
    """Write down the right target (or text) of a row; it holds over what any step would make of it.

    step: whose finding this answers; else the one that would change that field, if there is one.
    Raises ConfigError for a row that is not there, and for a test row.
    """
    rows = _Rows.open(folder)
    rows.require_step(step)
    rows.require_row(row, changing=True)
    found = [f for f in rows.findings if f.id == row and (f.step == step if step else f.fix is not None)]
    answered = next((f for f in found if f.field == field), None)
    name, kind = (answered.step, answered.kind) if answered else (step or "review", field)
    ruling = Ruling(rows.hash_of(row), name, kind, "edit", field, value, "fix")
    return rows.write([ruling], by)


def withdraw(folder: Path, rows: frozenset[int] | None, *, by: str | None = None) -> int:
    """Take back whatever was decided about these rows (None: about any); returns how many decisions that were.

    The lines stay in the file; one more says that they hold no longer. Raises ConfigError for a row that is not there.
    """
    known = _Rows.open(folder)
    for row in sorted(rows or ()):
        known.require_row(row, changing=False)
    wanted = None if rows is None else {known.hash_of(row) for row in rows}
    held = read_reviews(reviews_of(request_for(folder))).holding()
    back = [replace(r, verdict="withdraw", value=None, does="") for r in held if wanted is None or r.row in wanted]
    return known.write(back, by)


def review(
    folder: Path, edits: Sequence[tuple[int, str]] = (), *, accept: str | None = None, reject: str | None = None,
    withdrawn: str | None = None, steps: Sequence[str] = (), kind: str | None = None, field: str = "target",
    by: str | None = None,
) -> int:  # fmt: skip
    """Append what a command line asks for, verdicts on rows ("3,5-9", "all") of some steps, and edits; how many."""
    if field not in get_args(Field):
        raise ConfigError(f"--field {field}: expected 'text' or 'target'.", hint=did_you_mean(field, get_args(Field)))
    if edits and len(steps) > 1:
        raise ConfigError("--edit goes with one --step, or none.")
    written = 0
    for verdict, rows in (("accept", accept), ("reject", reject)):
        if rows is not None:
            chosen = [Chosen(parse_rows(rows), step, kind) for step in steps or ("",)]
            written += accept_or_reject(folder, verdict, chosen, by=by)  # type: ignore[arg-type]
    if withdrawn is not None:
        written += withdraw(folder, parse_rows(withdrawn), by=by)
    for row, value in edits:
        written += edit(folder, row, value, field=field, step=steps[0] if steps else "", by=by)  # type: ignore[arg-type]
    return written


@dataclass(frozen=True)
class Listed:
    """Some findings of a run, and where the row of each comes from."""

    findings: tuple[Finding, ...]
    places: tuple[str, ...]

    @classmethod
    def open(
        cls, folder: Path, *, steps: Sequence[str] = (), kind: str | None = None, action: str | None = None
    ) -> Listed:
        """Those of some steps, kind and action. Raises ConfigError for an unknown step or action."""
        rows = _Rows.open(folder)
        for name in steps:
            rows.require_step(name)
        if action is not None and action not in get_args(Action):
            raise ConfigError(
                f"--action {action}: expected one of {', '.join(get_args(Action))}.",
                hint=did_you_mean(action, get_args(Action)),
            )
        found = [
            f for f in rows.findings
            if (not steps or f.step in steps) and kind in (None, f.kind) and action in (None, f.action)
        ]  # fmt: skip
        return cls(tuple(found), tuple(rows.places(found)))

    def to_json(self) -> list[dict[str, Any]]:
        return [{**asdict(f), "place": place} for f, place in zip(self.findings, self.places, strict=True)]


class _Rows:
    """The rows and findings of a curated run, to decide on."""

    def __init__(self, folder: Path, before: Dataset, findings: Sequence[Finding]) -> None:
        self._folder = folder
        self.findings = findings
        self._data = before
        self._ids = before.table["id"].to_numpy()

    @classmethod
    def open(cls, folder: Path) -> _Rows:
        before, _, findings = load_curation(folder)
        return cls(folder, before, findings)

    def is_test(self, row: int) -> bool:
        return bool(self._data.table["split"][self._at(row)].as_py() == "test")

    def hash_of(self, row: int) -> str:
        return str(self._data.table["hash"][self._at(row)].as_py())

    def places(self, findings: Sequence[Finding]) -> list[str]:
        return places_of(self._data, findings)

    def require_row(self, row: int, *, changing: bool) -> None:
        at = self._at(row)
        if at >= len(self._ids) or self._ids[at] != row:
            raise ConfigError(f"there is no row {row}; rows go from {self._ids[0]} to {self._ids[-1]}.")
        if changing and self.is_test(row):
            raise ConfigError(
                f"row {row} is a test row: nothing in it is changed or dropped, so its findings can only be rejected."
            )

    def require_step(self, name: str) -> None:
        known = {f.step for f in self.findings} | set(registry.names())
        if name and name not in known:
            raise ConfigError(f"no step is called '{name}'.", hint=did_you_mean(name, known))

    def write(self, rulings: Iterable[Ruling], by: str | None) -> int:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        made = [Review(ruling, now, by or user_name()) for ruling in dict.fromkeys(rulings)]
        return append_reviews(reviews_of(request_for(self._folder)), made)

    def _at(self, row: int) -> int:
        return int(np.searchsorted(self._ids, row))


def reviews_of(request: Request) -> Path:
    """The file of decisions about the data of a request."""
    return request.config.curate.reviews or reviews_beside(paths_of(request.config.data))


def request_for(
    source: str | Path, *, out: str | Path | None = None, options: Mapping[str, Any] | None = None
) -> Request:
    """The Request of a curation; a data file's run folder is runs/<name>-<mark>-curated unless `out` names one."""
    request = prepare(source, out=out, options=options or {})
    if out is None and not (Path(source) / "run.json").exists():
        request = replace(request, folder=request.folder.with_name(f"{request.folder.name}-curated"))
    return request


def places_of(data: Dataset, findings: Sequence[Finding]) -> list[str]:
    """Where the row of each finding comes from, in words."""
    names = [name for name in ("file", "row", "line") if name in data.table.column_names]
    rows = data.table.select(names).take(positions(data, [f.id for f in findings]))
    return [where_of(row) for row in rows.to_pylist()]


def ruling_on(finding: Finding, row: str, verdict: Literal["accept", "reject"]) -> Ruling:
    """What a verdict on a finding makes hold. row: content hash of its row."""
    if verdict == "reject":
        return Ruling(row, finding.step, finding.kind, "reject", finding.field)
    if finding.fix is not None:
        return Ruling(row, finding.step, finding.kind, "accept", finding.field, finding.fix, "fix")
    return Ruling(row, finding.step, finding.kind, "accept", finding.field, None, "drop")


def user_name() -> str:
    """Who decides, where nobody is named."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"
