"""Stage *curate*: runs the steps over a Dataset, does what policy and reviewers say, and writes down every Finding.

Nothing is deleted: the rows as they came stay in the ingest artifact, what was done to which row and why stands in
findings.parquet with the value before each fix, and `restore` puts rows back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset, Split
from tunesmith.core.errors import ConfigError, DataError, MissingExtra, did_you_mean
from tunesmith.core.events import Emit
from tunesmith.core.files import sha256_path
from tunesmith.core.findings import Field, Finding, save_findings
from tunesmith.data.personal.find import kinds_of
from tunesmith.data.personal.report import summary as personal_summary
from tunesmith.data.reviews import Ruling, read_reviews, reviews_beside
from tunesmith.data.steps import CannotRun, findings_of, step, step_options
from tunesmith.data.tags import label_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PARTS: tuple[Split, ...] = ("train", "dev", "test")
_COLUMNS: tuple[Field, ...] = ("text", "target")
Policy = Literal["drop", "fix", "flag", "off"]


@dataclass(frozen=True)
class CurateOptions:
    """What *curate* may be told."""

    steps: tuple[str, ...] | dict[str, dict[str, Any] | None] = field(
        default=("repair", "personal", "leaks", "conflicts", "duplicates", "length", "labels"),
        metadata={"help": "curation steps to run, in order; as a table, each with its options"},
    )
    policy: dict[str, Policy] = field(
        default_factory=dict,
        metadata={"help": "per step: drop, fix or flag what it finds, or off; else as the step thinks right"},
    )
    reviews: Path | None = field(
        default=None,
        metadata={"help": "file with people's decisions; reviews.jsonl beside the data if not given", "key": False},
    )
    reviewed: tuple[Ruling, ...] = field(
        default=(), metadata={"help": "the decisions that concern these rows; filled in from the file of reviews"}
    )
    contents: dict[str, str] = field(
        default_factory=dict, metadata={"help": "sha256 of the files that steps read; filled in from those files"}
    )


def uses(options: object) -> list[str]:
    """Modules of the steps that the stage's result depends on."""
    return [step.module(name) for name in options.steps] if isinstance(options, CurateOptions) else []


def reviewed(options: CurateOptions, data: Dataset, paths: Sequence[Path], emit: Emit) -> CurateOptions:
    """The options with what lies in other files: the decisions that hold for rows of `data`, and the sha256 of what
    steps read. Damaged lines of decisions are told as warnings. Raises DataError for a file that is not there.
    """
    path = options.reviews or reviews_beside(paths)
    reviews = read_reviews(path)
    for number, what in reviews.damaged:
        emit("warning", text=f"{path.name} line {number} cannot be read and is passed over ({what})")
    hashes = set(data.table["hash"].to_pylist())
    holding = tuple(r for r in reviews.holding() if r.row in hashes)
    return replace(options, reviewed=holding, contents=_contents(options))


def _contents(options: CurateOptions) -> dict[str, str]:
    """sha256 by path of every file or folder that an option of a step names: a changed file is a changed option."""
    _, settings = check_options(options)
    values = [value for given in settings.values() for value in given.values()]
    paths = [path for value in values for path in (value if isinstance(value, tuple) else (value,))]
    found = {}
    for path in dict.fromkeys(path for path in paths if isinstance(path, Path)):
        if not path.exists():
            raise DataError(f"{path}: no such file or folder.", hint="curate.steps names it; check the path.")
        found[str(path)] = sha256_path(path)
    return found


def curate(data: Dataset, options: CurateOptions, ctx: Context) -> Dataset:
    """The Dataset after the steps; findings.parquet in ctx.workdir says what was done to which row and why.

    Raises DataError if the steps would leave a split empty or one class, ConfigError for an unknown step or option.
    """
    policy, settings = check_options(options)
    if "leaks" in settings and data.notes.get("keep_leaks"):
        settings["leaks"] = {"keep": True, **settings["leaks"]}
    found: list[Finding] = []
    skipped: dict[str, str] = {}
    before, data = data, as_read(data)
    named = {ruling.step for ruling in options.reviewed} - set(settings)
    for name in sorted(n for n in named if policy.get(n) != "off"):  # reviewed once, not run this time
        data, findings = _done(data, name, [], "", options.reviewed)
        found += findings
    for name, given in settings.items():
        if policy.get(name) == "off":
            skipped[name] = "switched off"
            continue
        try:
            findings = findings_of(name, data, given)
        except (CannotRun, MissingExtra) as error:
            skipped[name] = error.message
            ctx.emit("warning", text=f"the step {name} was not run: {error.message}")
            findings = []
        data, findings = _done(data, name, findings, policy.get(name, ""), options.reviewed)
        found += findings
        ctx.emit("curate.step", step=name, **dict(Counter(f.action for f in findings)))
    save_findings(found, ctx.workdir / "findings.parquet")
    _require_rows(before, data, found)
    return data.with_table(
        data.table,
        curation=_summary(before, data, found, skipped),
        **({"personal": _personal(found, settings)} if "personal" in set(settings) - set(skipped) else {}),
        test_flags=_test_flags(data, found),
        lineage=_lineage(before, data, found),
    )


def clean(
    data: Dataset,
    steps: Sequence[str],
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    policy: Mapping[str, Policy] | None = None,
) -> tuple[Dataset, list[Finding]]:
    """(Dataset after the steps, their Findings). No test row is dropped or relabelled, whatever a step asks for.

    Raises CannotRun where a step cannot run.
    """
    found: list[Finding] = []
    for name in steps:
        findings = findings_of(name, data, (settings or {}).get(name))
        data, findings = _done(data, name, findings, (policy or {}).get(name, ""), ())
        found += findings
    return data, found


def restore(data: Dataset, original: Dataset, ids: Iterable[int]) -> Dataset:
    """`data` with some rows as they stood in `original`: dropped ones in their old place, changed ones unchanged.

    original: the Dataset before curation (the ingest artifact). Raises DataError for an id that it does not have.
    """
    import pyarrow as pa

    wanted = sorted(set(ids))
    known = original.table["id"].to_numpy()
    missing = np.setdiff1d(wanted, known)
    if len(missing):
        raise DataError(f"there is no row {int(missing[0])}: ids go from {known.min()} to {known.max()}.")
    kept = data.table.filter(pa.array(~np.isin(data.table["id"].to_numpy(), wanted)))
    back = original.table.filter(pa.array(np.isin(known, wanted))).select(kept.column_names)
    return replace(data, table=pa.concat_tables([kept, back]).sort_by("id"))


# -- what is asked ----------------------------------------------------------------------------------------------


def check_options(options: CurateOptions) -> tuple[dict[str, Policy], dict[str, dict[str, Any]]]:
    """(policy by step, options by step in order); ConfigError with the nearest name for what is unknown."""
    policy: dict[str, Policy] = {}
    for key, action in options.policy.items():
        name = key.replace("-", "_")
        if name not in step.names():
            raise ConfigError(f"curate.policy.{key}: no step is called so.", hint=did_you_mean(name, step.names()))
        if action not in get_args(Policy):
            raise ConfigError(
                f"curate.policy.{key}: expected one of {', '.join(map(repr, get_args(Policy)))}, got '{action}'.",
                hint=did_you_mean(str(action), get_args(Policy)),
            )
        policy[name] = action
    tables = options.steps if isinstance(options.steps, dict) else dict.fromkeys(options.steps)
    # A policy for a step that is not listed asks for it, at the end.
    asked = [*tables, *(name for name, action in policy.items() if name not in tables and action != "off")]
    settings = {name: step_options(name, tables.get(name), where=f"curate.steps.{name}") for name in asked}
    return policy, settings


def as_read(data: Dataset) -> Dataset:
    """The Dataset with its texts as they were read: what *ingest* mended, to split by, is `repair`'s to do or leave."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = data.table
    if "original.text" not in table.column_names or table["original.text"].null_count == table.num_rows:
        return data
    texts = pc.coalesce(table["original.text"], table["text"])
    unchanged = pa.ListArray.from_arrays(pa.array(np.zeros(table.num_rows + 1, np.int32)), pa.array([], pa.string()))
    table = table.set_column(table.column_names.index("text"), "text", texts)
    return replace(data, table=table.set_column(table.column_names.index("changes"), "changes", unchanged))


# -- what is done -----------------------------------------------------------------------------------------------


def _done(
    data: Dataset, name: str, findings: Sequence[Finding], policy: Policy | Literal[""], rulings: Sequence[Ruling]
) -> tuple[Dataset, list[Finding]]:
    """(Dataset with what policy and reviewers want done, the Findings with what was done)."""
    findings = [_by_policy(finding, policy) for finding in findings]
    if rulings:
        findings = _reviewed(data, name, findings, rulings)
    if not findings:
        return data, []
    at = positions(data, [finding.id for finding in findings])
    sealed = (data.table["split"].to_numpy(zero_copy_only=False) == "test")[at].tolist()
    values = {c: _values(data, c, at, findings) for c in _COLUMNS}
    done = []
    fixed: set[tuple[int, str]] = set()
    for place, (finding, is_test) in enumerate(zip(findings, sealed, strict=True)):
        made = finding
        if finding.action == "drop" and is_test:
            made = replace(finding, action="flag")
        elif finding.action == "fix":
            was = values[finding.field][place] if finding.fix is not None else None
            unsealed = finding.field == "text" or not (is_test or was is None)
            # Of several new values for one field the first is taken: each was made from the same old one.
            if finding.fix is None or not unsealed or (finding.id, finding.field) in fixed:
                made = replace(finding, action="flag")
            elif was == finding.fix and finding.asked is None:
                continue  # a decision that is already true of the row
            else:
                fixed.add((finding.id, finding.field))
                made = replace(finding, was=was)
        done.append(made)
    return _applied(data, name, done), done


def positions(data: Dataset, ids: Sequence[int]) -> NDArray[np.int64]:
    """(len(ids),) where the rows with these ids stand in the table. Raises DataError for an id that is not there."""
    known = data.table["id"].to_numpy()
    wanted = np.asarray(ids, dtype=np.int64)
    at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    strange = wanted[known[at] != wanted] if len(known) else wanted
    if len(strange):
        raise DataError(f"there is no row {int(strange[0])}: it was dropped or never there.")
    return at.astype(np.int64)


def _values(data: Dataset, column: Field, at: NDArray[np.int64], findings: Sequence[Finding]) -> list[str | None]:
    """The values of a column beside each finding, if some finding would replace one."""
    needed = any(f.action == "fix" and f.field == column for f in findings)
    return list(data.table[column].take(at).to_pylist()) if needed else []


def _reviewed(data: Dataset, name: str, findings: Sequence[Finding], rulings: Sequence[Ruling]) -> list[Finding]:
    """The findings as people decided on them, and those that they made themselves.

    A value that somebody wrote by hand is not changed by a step, whichever step the decision was made on.
    """
    at = positions(data, [finding.id for finding in findings])
    splits = data.table["split"].to_numpy(zero_copy_only=False)
    hashes = data.table["hash"]
    own = {(r.row, r.kind): r for r in rulings if r.step == name}
    written = {(r.row, r.field) for r in rulings if r.verdict == "edit"}
    met = set()
    decided = []
    for finding, row, split in zip(findings, hashes.take(at).to_pylist(), splits[at].tolist(), strict=True):
        key = (row, finding.kind)
        if key in own:
            met.add(key)
            decided.append(_by_review(finding, own[key], sealed=split == "test"))
        elif finding.action == "fix" and split != "test" and (row, finding.field) in written:
            decided.append(replace(finding, action="keep", review="edit"))
        else:
            decided.append(finding)
    alone: dict[str, list[Ruling]] = {}
    for key, ruling in own.items():
        if key not in met and _holds_alone(ruling):
            alone.setdefault(key[0], []).append(ruling)
    if alone:
        rows = zip(data.table["id"].to_pylist(), hashes.to_pylist(), splits.tolist(), strict=True)
        decided += [
            _unprompted(ruling, id) for id, row, split in rows if split != "test" for ruling in alone.get(row, ())
        ]
    return decided


def _by_policy(finding: Finding, policy: Policy | Literal[""]) -> Finding:
    asked = finding.asked or finding.action
    action = finding.action
    if policy == "fix":
        action = "fix" if finding.fix is not None else "flag"
    elif policy in ("drop", "flag"):
        action = policy
    return replace(finding, action=action, asked=asked)


def _by_review(finding: Finding, ruling: Ruling, *, sealed: bool) -> Finding:
    """The Finding as a person decided; of test rows nothing can be accepted or edited."""
    if ruling.verdict == "reject":
        return replace(finding, action="keep", review="reject")
    if sealed:
        return finding
    if ruling.verdict == "edit":
        return replace(finding, action="fix", fix=ruling.value, field=ruling.field, review="edit")
    if ruling.does == "drop":
        return replace(finding, action="drop", review="accept")
    if ruling.does == "fix":
        # A label was accepted as it stood; a text is mended as the step mends it now, in what other steps made of it.
        value = ruling.value if finding.field == "target" and ruling.value is not None else finding.fix
        return replace(finding, action="fix" if value is not None else "flag", fix=value, review="accept")
    return replace(finding, action="flag", review="accept")


def _holds_alone(ruling: Ruling) -> bool:
    """Whether a decision holds where the step finds nothing this time: an edit, or an accepted target."""
    accepted = ruling.verdict == "accept" and ruling.does == "fix" and ruling.field == "target"
    return ruling.value is not None and (ruling.verdict == "edit" or accepted)


def _unprompted(ruling: Ruling, id: int) -> Finding:
    reason = "a reviewer's decision on this row, made before"
    return Finding(
        ruling.step, id, "fix", reason, fix=ruling.value, kind=ruling.kind, field=ruling.field, review=ruling.verdict
    )


def _applied(data: Dataset, name: str, findings: Sequence[Finding]) -> Dataset:
    """The Dataset with drops and fixes done."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table, labels = data.table, data.labels
    n = table.num_rows
    changed = np.zeros(n, dtype=bool)
    for column in _COLUMNS:
        fixes = {f.id: f.fix for f in findings if f.action == "fix" and f.field == column}
        if not fixes:
            continue
        ids = sorted(fixes)
        here = np.zeros(n, dtype=bool)
        here[positions(data, ids)] = True
        new = pa.array([fixes[id] for id in ids], pa.string())
        old = table[column].combine_chunks()
        table = table.set_column(table.column_names.index(column), column, pc.replace_with_mask(old, here, new))
        changed |= here
        if column == "target" and labels:
            given = [value for value in fixes.values() if value is not None]
            labels = tuple(sorted({*labels, *(label_counts(given) if data.task == "tag" else given)}))
    if changed.any():
        at = table.column_names.index("changes")
        table = table.set_column(at, "changes", _with_change(table["changes"].combine_chunks(), changed, name))
    dropped = {f.id for f in findings if f.action == "drop"}
    if dropped:
        gone = np.zeros(n, dtype=bool)
        gone[positions(data, sorted(dropped))] = True
        table = table.filter(pa.array(~gone))
    return data if table is data.table else replace(data, table=table, labels=labels)


def _with_change(changes: Any, changed: NDArray[np.bool_], name: str) -> Any:
    """The lists of changes with `name` at the end of those of the rows that changed."""
    import pyarrow as pa

    ends = np.cumsum(changes.value_lengths().to_numpy())
    values = np.insert(changes.flatten().to_numpy(zero_copy_only=False), ends[changed], name)
    offsets = np.concatenate([[0], ends + np.cumsum(changed)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.astype(object), pa.string()))


def _require_rows(before: Dataset, after: Dataset, found: Sequence[Finding]) -> None:
    most = Counter(f.step for f in found if f.action == "drop").most_common(1)
    culprit = most[0][0] if most else ""
    hint = "see findings.parquet; --keep-leaks keeps rows that copy test rows."
    if culprit and culprit != "leaks":
        hint = f"see findings.parquet; --policy {culprit}=flag only flags them."
    for part in _PARTS:
        if before.count(part) and not after.count(part):
            raise DataError(
                f"curation would leave no {part} rows: all {before.count(part):,} were dropped, most by {culprit}.",
                hint=hint,
            )
    if before.task == "classify":
        classes = [len({*data.rows("train").targets}) for data in (before, after)]
        if classes[1] < 2 <= classes[0]:
            raise DataError("curation would leave train rows of one class only.", hint=hint)


# -- what is told -----------------------------------------------------------------------------------------------


def _summary(before: Dataset, after: Dataset, found: Sequence[Finding], skipped: Mapping[str, str]) -> dict[str, Any]:
    steps: dict[str, dict[str, int]] = {}
    for finding in found:
        counts = steps.setdefault(finding.step, {})
        counts[finding.action] = counts.get(finding.action, 0) + 1
    told = {
        "steps": steps,
        "before": {part: before.count(part) for part in _PARTS},
        "after": {part: after.count(part) for part in _PARTS},
        "leaks_dropped": steps.get("leaks", {}).get("drop", 0),
        "leaks_kept": steps.get("leaks", {}).get("flag", 0),
    }
    verdicts = Counter(str(f.review) for f in found if f.review is not None)
    return {
        **told,
        **({"steps_not_run": dict(skipped)} if skipped else {}),
        **({"decided_by_reviewers": dict(verdicts)} if verdicts else {}),
    }


def _personal(found: Sequence[Finding], settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    kinds = settings["personal"].get("kinds")
    return personal_summary(
        (f for f in found if f.step == "personal"), kinds=None if kinds is None else kinds_of(kinds)
    )


def _test_flags(data: Dataset, found: Sequence[Finding]) -> dict[str, list[int]]:
    """step -> ids of the test rows that it flagged: the score is shown with and without them.

    Personal data is no doubt about a row, so rows flagged for it stay in.
    """
    tested = set(data.rows("test", blind=True).ids.tolist())
    flags: dict[str, set[int]] = {}
    for finding in found:
        if finding.action == "flag" and finding.id in tested and finding.step != "personal":
            flags.setdefault(finding.step, set()).add(finding.id)
    return {name: sorted(ids) for name, ids in flags.items()}


def _lineage(before: Dataset, after: Dataset, found: Sequence[Finding]) -> list[dict[str, Any]]:
    """How many rows went into and out of each stage and step, and what it did, in order."""
    notes = before.notes
    files = ", ".join(f"{name} ({rows:,} rows)" for name, rows in notes.get("files", {}).items())
    used = int(notes.get("rows_used", before.table.num_rows))
    story = [{"stage": "ingest", "rows_in": int(notes.get("rows", used)), "rows_out": used, "what": f"read {files}"}]
    left = used
    words = {"drop": "dropped", "fix": "mended", "flag": "flagged", "keep": "kept as reviewed"}
    for name in dict.fromkeys(finding.step for finding in found):
        done = Counter(f.action for f in found if f.step == name)
        dropped = len({f.id for f in found if f.step == name and f.action == "drop"})
        what = ", ".join(f"{words[action]} {count:,}" for action, count in sorted(done.items()))
        story.append({"stage": f"curate: {name}", "rows_in": left, "rows_out": left - dropped, "what": what})
        left -= dropped
    parts = ", ".join(f"{after.count(part):,} {part}" for part in _PARTS)
    return [*story, {"stage": "split", "rows_in": left, "rows_out": sum(map(after.count, _PARTS)), "what": parts}]
