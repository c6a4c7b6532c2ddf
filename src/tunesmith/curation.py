"""The curate tool: a table in; the cleaned table, every finding and a before/after profile out. Nothing is trained.

It works in a run folder, with the stages that a run has, so that `tunesmith run` can go on from it; reviewers'
decisions are appended to reviews.jsonl, never taken out: undoing is one more decision.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.core.config import dump_options
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, DataError, TunesmithError
from tunesmith.core.events import Listener
from tunesmith.core.files import whole, write_json
from tunesmith.core.findings import Finding, load_findings
from tunesmith.core.run import Run
from tunesmith.data.comparison import compare
from tunesmith.data.curate import as_read, check_options, curate, positions, reviewed
from tunesmith.data.detect import Unsure
from tunesmith.data.ingest import IngestOptions, ingest
from tunesmith.data.writing import write_cleaned
from tunesmith.evaluation.curation_page import write_profile
from tunesmith.evaluation.experiments import kept_evidence
from tunesmith.pipeline import Request
from tunesmith.planning import open_plan, paths_of
from tunesmith.reviewing import accept_or_reject, parse_chosen, places_of, request_for
from tunesmith.tracing import load_curation


@dataclass(frozen=True)
class Curated:
    """What the tool did.

    folder: the run; files: what was written for people; profile: before and after, as JSON; places: where the row of
    each finding comes from ("a.csv line 12").
    """

    folder: Path
    files: tuple[Path, ...]
    profile: Mapping[str, Any]
    findings: tuple[Finding, ...]
    places: tuple[str, ...]
    undone: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder), "files": [str(file) for file in self.files], "undone": self.undone,
            "found": len(self.findings), **self.profile,
            **({} if self.files else {"findings": [asdict(finding) for finding in self.findings]}),
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

    undo: what is first taken back, by rejecting drops and fixes in the reviews: "all", a step, rows, or step:rows.
    dry_run: leave nothing behind. Raises ConfigError for what cannot be asked, DataError for data that cannot be used.
    """
    if dry_run and undo:
        raise ConfigError("--dry-run and --undo exclude each other: to undo is to write a decision down.")
    request = request_for(source, out=out, options=options)
    check_options(request.config.curate)
    undone = _undo(request, undo, by) if undo else 0
    if not dry_run:
        with _leaving_nothing(request.folder):
            return replace(_curated(request, listeners), undone=undone)
    with tempfile.TemporaryDirectory(prefix="tunesmith-dry-") as place:
        made = _curated(replace(request, folder=Path(place) / "run"), listeners)
    return replace(made, folder=request.folder, files=())


def _curated(request: Request, listeners: Iterable[Listener]) -> Curated:
    folder = request.folder
    with Run(folder, seed=request.config.seed, listeners=listeners) as run:
        request.keep()
        config = request.config
        if (folder / "plan.yaml").exists():  # a run with models in it: its stages are keyed by its plan
            plan = open_plan(config, folder, run.emit)
            config, run.limits = plan.config, plan.limits
        before = _ingested(run, config.data)
        after = run.stage(curate, before, reviewed(config.curate, before, paths_of(config.data), run.emit))
        findings = load_findings(folder / "02-curate" / "findings.parquet")
        profile = _profile(folder, paths_of(config.data)[0].name, before, after, findings)
        files = write_cleaned(before, after, config.data, folder)
        files.append(_write_findings(before, findings, folder / "findings.csv"))
        write_json(folder / "profile.json", profile)
        write_profile(profile, folder / "profile.html")
    places = tuple(places_of(before, findings))
    return Curated(folder, (*files, folder / "profile.html", folder / "profile.json"), profile, tuple(findings), places)


def profile_of(folder: Path) -> dict[str, Any]:
    """The before/after profile of a run that was curated, as profile.json has it; nothing is written.

    Raises RunError if the run has not got that far.
    """
    request = request_for(folder)
    _, after, findings = load_curation(folder)
    return _profile(folder, paths_of(request.config.data)[0].name, Dataset.load(folder / "01-ingest"), after, findings)


def _profile(folder: Path, title: str, before: Dataset, after: Dataset, findings: Sequence[Finding]) -> dict[str, Any]:
    kept = kept_evidence(folder, as_read(before), findings)
    return {"title": title, "run": str(folder), **compare(before, after, findings), **kept}


def _ingested(run: Run, options: IngestOptions) -> Dataset:
    """The rows, split where they can be learned from; else all of them as train rows, and why."""
    try:
        return run.stage(ingest, options)
    except Unsure:
        raise
    except DataError as error:
        if options.test is not None or options.dev is not None:
            raise
        try:
            data = run.stage(ingest, replace(options, test_share=0.0, dev_share=0.0))
        except DataError:
            raise error from None
        run.emit("warning", text=f"curated, but there is nothing to learn: {error.message}")
        return data


@contextmanager
def _leaving_nothing(folder: Path) -> Iterator[None]:
    """Takes a new folder away again if no rows could be read into it."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        yield
    except TunesmithError:
        if made and not (folder / "01-ingest" / "stage.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            for place in made[1:]:
                if place.is_dir() and not any(place.iterdir()):
                    place.rmdir()
        raise


def _undo(request: Request, asked: Sequence[str], by: str | None) -> int:
    if not (request.folder / "run.json").exists():
        raise DataError(f"{request.folder}: nothing was curated there, so there is nothing to undo.")
    return accept_or_reject(request.folder, "reject", [parse_chosen(text) for text in asked], by=by, done_only=True)


def _write_findings(data: Dataset, findings: Sequence[Finding], path: Path) -> Path:
    """findings.csv: one row each, with the place it came from; cells that a spreadsheet would run are quoted."""
    at = positions(data, [f.id for f in findings])
    splits, texts = (data.table[name].take(at).to_pylist() for name in ("split", "text"))
    with whole(path) as draft, draft.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["row", "place", "split", "step", "kind", "action", "asked", "review", "reason", "score",
                         "field", "before", "after", "text"])  # fmt: skip
        for f, place, split, text in zip(findings, places_of(data, findings), splits, texts, strict=True):
            cells = [f.id, place, split, f.step, f.kind, f.action, f.asked, f.review, f.reason,
                     f"{f.score:.4g}", f.field, f.was, f.fix, text]  # fmt: skip
            writer.writerow([harmless(cell) for cell in cells])
    return path


def harmless(cell: Any) -> Any:
    """A cell of a csv file that no spreadsheet runs as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


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
