"""`tunesmith curate`, `findings` and `trace` as they are typed: what they print, write, undo and refuse."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunesmith import cli

ALL_TRAIN = ("--set", "data.test_share=0", "--set", "data.dev_share=0")
Typed = Callable[..., tuple[int, str, str]]


def text(at: int) -> str:
    draw = np.random.default_rng(at)
    return " ".join("".join(draw.choice(list("abcdefghijklmnopqrstuvwxyz"), size=6)) for _ in range(10))


def table() -> list[dict[str, str]]:
    """40 rows that resemble no other, three that repeat an earlier one, two that need mending."""
    rows = [{"text": f"{('cards', 'cash')[at % 2]} {text(at)}", "label": ("cards", "cash")[at % 2]} for at in range(40)]
    rows += [dict(rows[at]) for at in (0, 1, 2)]
    rows[10]["text"] += " caf\u00c3\u00a9 &amp; bar"
    rows[11]["text"] += " bell\x07"
    return rows


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Runs a command line; gives its exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tunesmith", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data.csv, curated into `run`."""
    from tunesmith.curation import curate_table

    folder = tmp_path_factory.mktemp("curated")
    curate_table(write(folder / "data.csv", table()), out=folder / "run", options={"test_share": 0.2, "dev_share": 0.2})
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder to work in; the run's data is the copy's."""
    copy = tmp_path / "work"
    shutil.copytree(made, copy)
    for file in ("config.yaml", "run.json"):
        told = (copy / "run" / file).read_text(encoding="utf-8")
        (copy / "run" / file).write_text(told.replace(str(made), str(copy)), encoding="utf-8")
    monkeypatch.chdir(copy)
    return copy


def dropped(place: Path) -> list[int]:
    return sorted(int(row["row"]) for row in read(place / "run" / "findings.csv") if row["action"] == "drop")


def test_the_run_holds_cleaned_data_findings_and_profile(place: Path) -> None:
    cleaned = read(place / "run" / "cleaned.csv")
    gone = dropped(place)
    assert len(cleaned) == 43 - len(gone)
    assert {0, 1, 2, 40, 41, 42} >= set(gone) != set()
    assert any(row["text"].endswith(" café & bar") for row in cleaned)
    assert any(row["text"].endswith(" bell") for row in cleaned)
    profile = json.loads((place / "run" / "profile.json").read_text(encoding="utf-8"))
    assert profile["rows"] == [43, 43 - len(gone)]
    assert "--undo repair</code>" in (place / "run" / "profile.html").read_text(encoding="utf-8")


def test_what_is_loaded_of_a_run_begins_with_the_texts_as_they_were_read(place: Path) -> None:
    from tunesmith.tracing import load_curation

    before, after, findings = load_curation(place / "run")
    assert before.table["text"][10].as_py() == table()[10]["text"]
    fixed = {f.id: f for f in findings if f.action == "fix"}
    assert fixed[10].was == before.table["text"][10].as_py()
    assert fixed[10].fix in after.table["text"].to_pylist()


def test_a_dry_run_says_all_and_writes_nothing(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data.csv", table())
    code, out, _ = typed("curate", "data.csv", "--dry-run")
    assert code == 0
    assert "repair           2 mended" in out
    assert "data.csv line 12" in out
    assert "nothing was written" in out
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]
    code, out, _ = typed("curate", "data.csv", "--dry-run", "--json")
    told = json.loads(out)
    assert sum(f["step"] == "repair" and f["action"] == "fix" for f in told["findings"]) == 2
    assert told["files"] == []
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_undo_by_row_by_step_and_of_all(typed: Typed, place: Path) -> None:
    gone = dropped(place)
    code, out, _ = typed("curate", "run", "--undo", str(gone[0]))
    assert code == 0
    assert "1 decisions written" in out
    assert gone[0] not in dropped(place)
    assert typed("curate", "run", "--undo", "repair:10")[0] == 0
    assert read(place / "run" / "cleaned.csv")[10]["text"] == table()[10]["text"]
    assert typed("curate", "run", "--undo")[0] == 0
    assert dropped(place) == []
    assert (place / "run" / "cleaned.csv").read_text(encoding="utf-8") == (place / "data.csv").read_text(
        encoding="utf-8"
    )
    code, out, _ = typed("curate", "run", "--undo")
    assert code == 0
    assert "nothing to take back" in out


def test_an_undone_step_can_be_accepted_again(typed: Typed, place: Path) -> None:
    gone = dropped(place)
    typed("curate", "run", "--undo", "duplicates")
    code, out, _ = typed("findings", "run", "--step", "duplicates", "--accept", "all", "--json")
    assert code == 0
    assert json.loads(out)["written"] >= len(gone)
    typed("curate", "run")
    assert set(dropped(place)) >= set(gone)


def test_decisions_hold_for_the_same_rows_in_another_order_with_new_ones(typed: Typed, place: Path) -> None:
    typed("findings", "run", "--reject", "10", "--by", "anna")
    typed("findings", "run", "--edit", f"{_train_row(place)}=coins")
    row = table()[_train_row(place)]
    rows = [{"text": f"cash {text(900)}", "label": "cash"}, *reversed(table())]
    write(place / "more.csv", rows)
    assert typed("curate", "more.csv", "--out", "again", *ALL_TRAIN)[0] == 0
    cleaned = read(place / "again" / "cleaned.csv")
    assert [c["text"] for c in cleaned if "&amp;" in c["text"]] == [table()[10]["text"]]
    assert [c["label"] for c in cleaned if c["text"] == row["text"]] == ["coins"]
    lines = (place / "reviews.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["by"] == "anna"


def test_a_damaged_line_of_reviews_is_told_and_left(typed: Typed, place: Path) -> None:
    (place / "reviews.jsonl").write_bytes(b'{"row": "ab", "st\n')
    typed("findings", "run", "--reject", "10")
    code, _, err = typed("curate", "run")
    assert code == 0
    assert "reviews.jsonl line 1 cannot be read" in err
    assert (place / "reviews.jsonl").read_bytes().startswith(b'{"row": "ab", "st\n{"row": "')
    assert "&amp;" in read(place / "run" / "cleaned.csv")[10]["text"]


def test_an_edit_replaces_the_target_and_never_the_text(typed: Typed, place: Path) -> None:
    row = _train_row(place)
    assert typed("findings", "run", "--edit", f"{row}=coins")[0] == 0
    assert typed("findings", "run", "--edit", f"{row}=a text of a person &amp; more", "--field", "text")[0] == 0
    typed("curate", "run")
    found = [c for c in read(place / "run" / "cleaned.csv") if c["label"] == "coins"]
    assert [c["text"] for c in found] == ["a text of a person &amp; more"], "no step mends what a person wrote"


def test_trace_tells_the_story_of_a_row(typed: Typed, place: Path) -> None:
    code, out, _ = typed("trace", "run", "data.csv:12")
    assert code == 0
    assert "row 10   data.csv line 12" in out
    assert "repair   mended: wrong encoding (mojibake), HTML entities" in out
    assert "changed by repair" in out
    code, out, _ = typed("trace", "run", dropped(place)[0], "--json")
    story = json.loads(out)
    assert story["now"] is None
    assert story["findings"][0]["reason"].startswith("repeats row")


def test_findings_as_json_carry_their_place(typed: Typed, place: Path) -> None:
    code, out, _ = typed("findings", "run", "--step", "repair", "--action", "fix", "--json")
    assert code == 0
    assert [(f["id"], f["place"]) for f in json.loads(out)] == [(10, "data.csv line 12"), (11, "data.csv line 13")]


@pytest.mark.parametrize(
    ("words", "what", "remedy"),
    [
        (["curate", "nope.csv"], "nope.csv: no such file", "data.csv"),
        (["curate", "data.csv", "--policy", "duplicates=flog"], "got 'flog'", "Did you mean 'flag'?"),
        (["curate", "data.csv", "--policy", "dublicates=flag"], "no step is called so", "Did you mean 'duplicates'?"),
        (["curate", "data.csv", "--policy", "duplicates"], "expected step=action", "for example"),
        (["curate", "data.csv", "--step", "duplicats"], "no step is called 'duplicats'", "Did you mean 'duplicates'?"),
        (["curate", "data.csv", "--undo", "--dry-run"], "exclude each other", ""),
        (["curate", "data.csv", "--out", "fresh", "--undo"], "nothing was curated there", ""),
        (["curate", "run", "--undo", "duplicats"], "no step is called 'duplicats'", "Did you mean 'duplicates'?"),
        (["curate", "run", "--undo", "5"], "row 5 was neither dropped nor changed", "tunesmith findings run"),
        (["findings", "nope"], "nope: no such run", "tunesmith runs"),
        (["findings", "run", "--step", "repare"], "no step is called 'repare'", "Did you mean 'repair'?"),
        (["findings", "run", "--reject", "3-x"], "'3-x' names no rows", "3,5,10-20 or all"),
        (["findings", "run", "--reject", "99"], "there is no row 99", ""),
        (["findings", "run", "--reject", "5"], "row 5 has no finding", "lists them"),
        (["findings", "run", "--edit", "cash"], "expected ROW=VALUE", "for example"),
        (["findings", "run", "--edit", "1=cash", "--field", "label"], "--field label", "target"),
        (["findings", "run", "--action", "dorp"], "--action dorp", "Did you mean 'drop'?"),
        (["trace", "run", "abc"], "'abc' names no row", "tickets.csv:12"),
        (["trace", "run", "99"], "there is no row 99", ""),
        (["trace", "run", "date.csv:3"], "no row came from 'date.csv'", "Did you mean 'data.csv'?"),
        (["trace", "run", "data.csv:999"], "has no row on line 999", ""),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(
    typed: Typed, place: Path, words: list[str], what: str, remedy: str
) -> None:
    before = sorted(path.name for path in place.iterdir())
    code, _, err = typed(*words)
    assert code == 2
    assert what in err
    assert remedy in err
    assert "Traceback" not in err
    assert sorted(path.name for path in place.iterdir()) == before


@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 20, b"text,label\n"])
def test_data_that_cannot_be_read_leaves_nothing_behind(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_bytes(content)
    code, _, err = typed("curate", "bad.csv")
    assert code == 2
    assert err.startswith("tunesmith: bad.csv ")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([{"text": text(at)} for at in range(20)], id="no target"),
        pytest.param([{"text": text(at), "label": "a"} for at in range(20)], id="one class"),
        pytest.param([{"text": text(at), "label": ""} for at in range(20)], id="no labels"),
        pytest.param([{"text": text(1), "label": "a"}], id="one row"),
        pytest.param([{"text": text(1), "label": "ab"[at % 2]} for at in range(20)], id="one text"),
        pytest.param([{"text": text(at), "label": "ab"[at % 2]} for at in range(6)], id="few rows"),
    ],
)
def test_rows_that_nothing_can_be_learned_from_are_curated(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data.csv", rows)
    code, _, err = typed("curate", "data.csv", "--out", "run")
    assert code == 0
    assert "there is nothing to learn" in err
    kept = read(tmp_path / "run" / "cleaned.csv")
    assert kept[0] == rows[0]
    assert len(kept) == len({tuple(row.items()) for row in rows})


def test_strange_rows_pass_through_every_step(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.data.steps import step

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tunesmith.models.resolve.local", lambda spec: None)
    strange = [
        "",
        " ",
        "\x01\x02",
        "=cmd|'/c calc'!A0",
        'a\nb, "c"',
        "\u202eabc",
        "4" * 300,
        "e" + "\u0301" * 300,
        "?!",
    ]
    rows = [{"text": f"{text(at)} cash", "label": ("cards", "cash")[at % 2]} for at in range(60)]
    rows += [{"text": cell, "label": ("cards", "cash")[at % 2]} for at, cell in enumerate(strange)]
    write(tmp_path / "data.csv", rows)
    words = [word for name in step.names() for word in ("--step", name)]
    code, out, err = typed("curate", "data.csv", "--out", "run", "--target", "label", "--input", "text", *words)
    assert code == 0, err
    told = json.loads((tmp_path / "run" / "profile.json").read_text(encoding="utf-8"))
    assert told["left_out"] == 3
    assert "3 without text or target take no part" in out
    for name in told["not_run"]:
        assert f"{name:<16} not run: " in out
    assert not (tmp_path / "run" / "cleaned.csv").read_text(encoding="utf-8").count("\x01")


def _train_row(place: Path) -> int:
    """A train row that no other repeats."""
    import pyarrow.parquet as pq

    made = pq.read_table(place / "run" / "01-ingest" / "dataset.parquet")
    splits = made["split"].to_pylist()
    return next(at for at in range(20, 40) if splits[at] == "train")
