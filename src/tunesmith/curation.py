"""The curate tool: a table in; the cleaned table, every finding and a before/after profile out. Nothing is trained.

It works in a run folder, with the stages that a run has, so that `tunesmith run` can go on from it; reviewers'
decisions are appended to reviews.jsonl, never taken out: undoing is one more decision.
"""

from __future__ import annotations

import csv
import getpass
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunesmith.core.config import dump_options
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, DataError, did_you_mean
from tunesmith.core.events import Listener
from tunesmith.core.files import whole, write_json
from tunesmith.core.findings import Finding, Verdict, load_findings
from tunesmith.core.run import Run
from tunesmith.data.comparison import compare, where_of
from tunesmith.data.curate import curate, reviewed
from tunesmith.data.ingest import ingest
from tunesmith.data.reviews import Review, Ruling, append_reviews, reviews_beside
from tunesmith.data.writing import write_cleaned
from tunesmith.evaluation.curation_page import write_profile
from tunesmith.pipeline import Request, prepare
from tunesmith.planning import open_plan, paths_of
from tunesmith.tracing import load_curation

EVERYTHING = "all"


@dataclass(frozen=True)
class Curated:
    """What the tool did. folder: the run; files: what was written for people; profile: before and after, as JSON."""

    folder: Path
    files: tuple[Path, ...]
    profile: Mapping[str, Any]
    findings: tuple[Finding, ...]
    undone: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder), "files": [str(file) for file in self.files], "undone": self.undone,
            "findings": len(self.findings), **self.profile,
        }  # fmt: skip


def curate_table(
    source: str | Path,
    *,
    out: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    undo: Sequence[str] = (),
    by: str | None = None,
    dry_run: bool = False,
    listeners: Iterable[Listener] = (),
) -> Curated:
    """Curate a data file, folder or run; write cleaned data, findings.csv, profile.html and profile.json into the run.

    undo: steps whose drops and fixes are first taken back by rejecting them in the reviews; "all" for every step.
    dry_run: leave nothing behind. Raises ConfigError for what cannot be asked, DataError for data that cannot be used.
    """
    if dry_run and undo:
        raise ConfigError("--dry-run and --undo exclude each other: to undo is to write a decision down.")
    request = request_for(source, out=out, options=options)
    undone = _undo(request, undo, by) if undo else 0
    if not dry_run:
        return replace(_curated(request, listeners), undone=undone)
    with tempfile.TemporaryDirectory(prefix="tunesmith-dry-") as place:
        made = _curated(replace(request, folder=Path(place) / "run"), listeners)
    return replace(made, folder=request.folder, files=())


def decide(
    folder: Path,
    verdict: Verdict,
    rows: Sequence[int] | None,
    *,
    steps: Sequence[str] = (),
    value: str | None = None,
    by: str | None = None,
    where: Callable[[Finding], bool] | None = None,
) -> int:
    """Append a decision on each finding of some rows (None: all rows) and steps (none: all); returns how many.

    value: the new value, for "edit"; a row without a finding can be edited too (its target, or its text where the
    finding is of the text). where: which findings besides; None: all.
    Raises ConfigError for a row without such a finding, or a test row that is not rejected.
    """
    before, _, findings = load_curation(folder)
    _known_steps(steps, findings, before)
    wanted = None if rows is None else set(rows)
    chosen = [
        f for f in findings
        if (wanted is None or f.id in wanted) and (not steps or f.step in steps) and (where is None or where(f))
    ]  # fmt: skip
    ids = before.table["id"].to_pylist()
    place = {number: at for at, number in enumerate(ids)}
    hashes, splits = before.table["hash"].to_pylist(), before.table["split"].to_pylist()
    for row in sorted(wanted or ()):
        if row not in place:
            raise ConfigError(f"there is no row {row}; rows go from {ids[0]} to {ids[-1]}.")
        if verdict != "reject" and splits[place[row]] == "test":
            raise ConfigError(
                f"row {row} is a test row: nothing in it is changed or dropped, so its findings can only be rejected."
            )
        if not any(f.id == row for f in chosen):
            if verdict == "edit" and not steps:
                chosen.append(Finding("review", row, "flag", "edited by a reviewer", field="target"))
                continue
            of = f" of {', '.join(steps)}" if steps else ""
            raise ConfigError(f"row {row} has no finding{of}.", hint=f"tunesmith findings {folder}  lists them.")
    if verdict != "reject":
        chosen = [f for f in chosen if splits[place[f.id]] != "test"]
    rulings = dict.fromkeys(_ruling(f, hashes[place[f.id]], verdict, value) for f in chosen)
    path = reviews_of(request_for(folder))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return append_reviews(path, [Review(ruling, now, by or _user()) for ruling in rulings])


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


def _curated(request: Request, listeners: Iterable[Listener]) -> Curated:
    folder = request.folder
    with Run(folder, seed=request.config.seed, listeners=listeners) as run:
        request.keep()
        config = request.config
        if (folder / "plan.yaml").exists():  # a run with models in it: its stages are keyed by its plan
            plan = open_plan(config, folder, run.emit)
            config, run.limits = plan.config, plan.limits
        before = run.stage(ingest, config.data)
        after = run.stage(curate, before, reviewed(config.curate, before, paths_of(config.data), run.emit))
        findings = load_findings(folder / "02-curate" / "findings.parquet")
        profile = {"title": paths_of(config.data)[0].name, **compare(before, after, findings)}
        files = write_cleaned(before, after, config.data, folder)
        files.append(_write_findings(before, findings, folder / "findings.csv"))
        write_json(folder / "profile.json", profile)
        write_profile(profile, folder / "profile.html")
    return Curated(folder, (*files, folder / "profile.html"), profile, tuple(findings))


def _undo(request: Request, steps: Sequence[str], by: str | None) -> int:
    if not (request.folder / "run.json").exists():
        raise DataError(f"{request.folder}: nothing was curated there, so there is nothing to undo.")
    named = [] if EVERYTHING in steps else [name.replace("-", "_") for name in steps]
    return decide(request.folder, "reject", None, steps=named, by=by, where=lambda f: f.action in ("drop", "fix"))


def _ruling(finding: Finding, row: str, verdict: Verdict, value: str | None) -> Ruling:
    if verdict == "edit":
        return Ruling(row, finding.step, finding.kind, "edit", finding.field, value, "fix")
    if verdict == "reject":
        return Ruling(row, finding.step, finding.kind, "reject", finding.field)
    if finding.fix is not None:
        return Ruling(row, finding.step, finding.kind, "accept", finding.field, finding.fix, "fix")
    return Ruling(row, finding.step, finding.kind, "accept", finding.field, None, "drop")


def _known_steps(steps: Sequence[str], findings: Sequence[Finding], data: Dataset) -> None:
    known = {f.step for f in findings} | set(data.notes.get("curation", {}).get("steps", {}))
    for name in steps:
        if name not in known:
            from tunesmith.data.steps import step

            if name not in step.names():
                raise ConfigError(f"no step is called '{name}'.", hint=did_you_mean(name, known | set(step.names())))


def _write_findings(data: Dataset, findings: Sequence[Finding], path: Path) -> Path:
    """findings.csv: one row each, with the place it came from; cells that a spreadsheet would run are quoted."""
    names = [n for n in ("file", "row", "line", "split", "text") if n in data.table.column_names]
    columns = {name: data.table[name].to_pylist() for name in names}
    place = {number: at for at, number in enumerate(data.table["id"].to_pylist())}
    with whole(path) as draft, draft.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["row", "place", "split", "step", "kind", "action", "asked", "review", "reason", "score",
                         "field", "before", "after", "text"])  # fmt: skip
        for f in findings:
            row = {name: values[place[f.id]] for name, values in columns.items()}
            cells = [f.id, where_of(row), row["split"], f.step, f.kind, f.action, f.asked, f.review, f.reason,
                     f"{f.score:.4g}", f.field, f.was, f.fix, row["text"]]  # fmt: skip
            writer.writerow([_harmless(cell) for cell in cells])
    return path


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"


def parse_rows(text: str) -> list[int] | None:
    """Row numbers of "3,5,10-20"; None for "all". Raises ConfigError."""
    if text.strip() == EVERYTHING:
        return None
    rows: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.strip().isdigit()):
            raise ConfigError(f"'{text}' names no rows.", hint="write 3,5,10-20 or all.")
        rows += range(int(first), int(last or first) + 1)
    return rows


def settings(*, steps: Sequence[str], policies: Sequence[str], reviews: Path | None) -> dict[str, Any]:
    """The config's `curate` table that a command line amounts to."""
    table: dict[str, Any] = {}
    if steps:
        table["steps"] = list(steps)
    for pair in policies:
        name, equals, action = pair.partition("=")
        if not equals:
            raise ConfigError(f"--policy {pair}: expected step=action.", hint="for example --policy duplicates=flag")
        table.setdefault("policy", {})[name.strip()] = action.strip()
    if reviews is not None:
        table["reviews"] = str(reviews)
    return dump_options(table)  # type: ignore[no-any-return]
