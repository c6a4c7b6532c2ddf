"""The story of one row: file and line, every change with its reason, the split it ended in, what the models said."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, RunError, did_you_mean
from tunesmith.core.findings import Finding, load_findings
from tunesmith.core.run import check_format
from tunesmith.data.comparison import where_of
from tunesmith.data.curate import as_read

_VERDICTS = {"accept": "accepted", "reject": "rejected", "edit": "written"}


@dataclass(frozen=True)
class Answer:
    """What one system said of the row on the test."""

    system: str
    value: str | None
    confidence: float | None


@dataclass(frozen=True)
class Story:
    """One row from file to verdict.

    where: file and line (or row). read: the text as it was read. target: as *ingest* left it (that of a test row is
    None until the run was evaluated); target_read: its spelling in the file, where that is another.
    now: (text, target) after curation, None if the row was dropped.
    """

    id: int
    where: str
    hash: str
    split: str
    read: str
    target_read: str | None
    target: str | None
    findings: tuple[Finding, ...]
    now: tuple[str, str | None] | None
    changes: tuple[str, ...] = ()
    group: tuple[int, ...] = ()
    answers: tuple[Answer, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The story in sentences, for a terminal; control characters are made visible."""
        from tunesmith.evaluation.drawing import clean

        told = [f"row {self.id}   {self.where}   content {self.hash}"]
        told.append(f"read     {_quoted(self.read)}")
        if self.target_read is not None:
            told.append(f"         target {self.target_read!r}, which is read as {self.target!r}")
        elif self.target is None and self.split == "test":
            told.append("         target sealed until the run is evaluated")
        elif self.target is not None:
            told.append(f"         target {self.target!r}")
        if self.group:
            told.append(f"         kept on one side of the split with row {', '.join(map(str, self.group[:8]))}")
        done = {"drop": "dropped", "fix": "mended", "flag": "flagged", "keep": "kept"}
        for f in self.findings:
            by = f" ({_VERDICTS[f.review]} by a reviewer)" if f.review else ""
            told.append(f"{f.step:<8} {done[f.action]}{by}: {f.reason}")
            if f.action == "fix" and f.was is not None:
                told.append(f"         {f.field}: {_quoted(f.was)} → {_quoted(f.fix or '')}")
            elif f.fix is not None:
                told.append(f"         suggested {f.field}: {_quoted(f.fix)}")
        if self.split == "none":
            told.append("split    none: it has no text or no target and took no part")
        elif self.now is None:
            told.append(f"split    {self.split}, dropped before it was used")
        else:
            changed = f", changed by {', '.join(self.changes)}" if self.changes else ", as it was read"
            told.append(f"split    {self.split}{changed}")
            if self.now[0] != self.read:
                told.append(f"now      {_quoted(self.now[0])}")
            if self.now[1] != self.target and self.now[1] is not None:
                told.append(f"         target {self.now[1]!r}")
        for answer in self.answers:
            sure = "" if answer.confidence is None else f"  {answer.confidence:.3f} sure"
            right = "right" if answer.value == self.target else "wrong"
            told.append(f"model    {answer.system}: {_quoted(answer.value or '')}{sure}  {right}")
        return [clean(line) for line in told]


def trace(folder: Path, row: str) -> Story:
    """The Story of a row of a run. row: its id, or "file:line" ("file:row" where the file has no lines).

    Raises RunError if the run has not been curated, ConfigError for a row that it does not have.
    """
    before, after, findings = load_curation(folder)
    at = _position(before, row)
    facts = {name: before.table[name][at].as_py() for name in before.table.column_names}
    number = int(facts["id"])
    kept = after.table["id"].to_pylist()
    now, changes = None, tuple(facts["changes"])
    if number in kept:
        place = kept.index(number)
        now = (str(after.table["text"][place].as_py()), after.table["target"][place].as_py())
        changes = tuple(after.table["changes"][place].as_py())
    same = before.table["group"].to_numpy() == facts["group"]
    target, answers = _answers(folder, number)
    return Story(
        id=number, where=where_of(facts), hash=facts["hash"], split=facts["split"],
        read=facts["text"],
        target_read=facts.get("original.target"), target=facts["target"] if target is None else target,
        findings=tuple(f for f in findings if f.id == number), now=now, changes=changes,
        group=tuple(int(i) for i in before.table["id"].to_numpy()[same] if i != number), answers=answers,
    )  # fmt: skip


def load_curation(folder: Path) -> tuple[Dataset, Dataset, list[Finding]]:
    """(as read, as curated, findings) of a run; RunError if there is none or it has not got that far.

    As read: rows, splits and targets as *ingest* left them, texts as they were read, which is where *curate* begins.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run.", hint="tunesmith runs  lists the runs here.")
    check_format(folder)
    for name in ("01-ingest", "02-curate"):
        if not (folder / name / "stage.json").exists():
            raise RunError(f"{folder}: {name} is missing or not finished.", hint=f"tunesmith curate {folder}")
    findings = load_findings(folder / "02-curate" / "findings.parquet")
    return as_read(Dataset.load(folder / "01-ingest")), Dataset.load(folder / "02-curate"), findings


def _position(data: Dataset, row: str) -> int:
    table = data.table
    if row.isdigit():
        found = [at for at, number in enumerate(table["id"].to_pylist()) if number == int(row)]
        if not found:
            raise ConfigError(f"there is no row {row}; rows go from 0 to {table.num_rows - 1}.")
        return found[0]
    name, colon, number = row.rpartition(":")
    if not colon or not number.isdigit():
        raise ConfigError(f"'{row}' names no row.", hint="give its number, or file:line such as tickets.csv:12.")
    files = table["file"].to_pylist()
    lines = table["line"].to_pylist() if "line" in table.column_names else [None] * len(files)
    places = [row if line is None else line for line, row in zip(lines, table["row"].to_pylist(), strict=True)]
    inside = [at for at, file in enumerate(files) if file == name and places[at] <= int(number)]
    if name not in files:
        raise ConfigError(f"no row came from '{name}'.", hint=did_you_mean(name, files))
    if not inside:
        raise ConfigError(f"{name} has no row on line {number}; its first begins on {min(places)}.")
    # A record may run over several lines: the last one that begins at or before the line asked for.
    best = max(inside, key=lambda at: places[at])
    if places[best] != int(number) and best == max(at for at in range(len(files)) if files[at] == name):
        raise ConfigError(f"{name} has no row on line {number}; its last begins on {places[best]}.")
    return best


def _answers(folder: Path, number: int) -> tuple[str | None, tuple[Answer, ...]]:
    """(the target, what each system said), once *evaluate* has opened the seal and the row is of the test."""
    import pyarrow.parquet as pq

    path = folder / "08-evaluate" / "predictions.parquet"
    if not path.exists() or not (path.parent / "stage.json").exists():
        return None, ()
    table = pq.read_table(path)
    ids = table["id"].to_pylist()
    if number not in ids:
        return None, ()
    row = {name: table[name][ids.index(number)].as_py() for name in table.column_names}
    systems = [n for n in row if n not in ("id", "target") and not n.endswith(".confidence")]
    return row["target"], tuple(
        Answer(n, row[n], row.get(f"{n}.confidence"))
        for n in systems
        if row[n] is not None or row.get(f"{n}.confidence") is not None
    )


def _quoted(words: str, longest: int = 300) -> str:
    line = " ".join(words.split())
    return f"'{line if len(line) <= longest else line[: longest - 1] + '…'}'"
