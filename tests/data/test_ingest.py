"""What ingest promises: sealed targets, splits without leaks, honest notes, and one answer per question."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import shared_data

from tunesmith.core.context import Context
from tunesmith.core.dataset import COLUMNS, Dataset
from tunesmith.core.errors import DataError, SealedError
from tunesmith.data.detect import Unsure
from tunesmith.data.duplicates import group_texts
from tunesmith.data.ingest import IngestOptions, ingest, profile

TOPICS = {
    "cards": ["my card", "the new card", "a lost card", "this card"],
    "cash": ["some cash", "the cash machine", "cash from abroad", "my cash"],
    "login": ["my password", "the login page", "a new device", "the app"],
}


def _words(text: str) -> list[str]:
    return text.split()


def rows(n: int = 240, seed: int = 0) -> list[dict[str, str]]:
    """Different short questions about three topics."""
    draw = np.random.default_rng(seed)
    words = _words("please help why does how can when will urgent again today still never twice slowly abroad online")
    found = []
    for at in range(n):
        topic = sorted(TOPICS)[at % 3]
        filler = " ".join(draw.choice(words, size=6, replace=False))
        found.append({"text": f"{filler} {draw.choice(TOPICS[topic])} number {draw.integers(10**6)}", "label": topic})
    return found


def write(path: Path, table: list[dict[str, str]], **options: str) -> Path:
    with path.open("w", newline="", encoding=options.pop("encoding", "utf-8")) as handle:
        writer = csv.DictWriter(handle, list(table[0]), **options)
        writer.writeheader()
        writer.writerows(table)
    return path


def run(tmp_path: Path, table: list[dict[str, str]], **options: object) -> Dataset:
    path = write(tmp_path / "table.csv", table)
    return ingest(IngestOptions(path=path, **options), Context(tmp_path / "01-ingest", seed=0))  # type: ignore[arg-type]


def test_test_targets_are_in_the_seal_and_nowhere_else(tmp_path: Path) -> None:
    data = run(tmp_path, rows())
    assert data.seal == tmp_path / "01-ingest" / "test_targets.parquet"
    with pytest.raises(SealedError):
        data.rows("test")
    for split, target in zip(data.table["split"].to_pylist(), data.table["target"].to_pylist(), strict=True):
        assert (target is None) == (split == "test")
    by_text = {r["text"]: r["label"] for r in rows()}
    assert list(data.unseal()) == [by_text[text] for text in data.rows("test", blind=True).texts]


def test_the_table_has_the_agreed_columns(tmp_path: Path) -> None:
    data = run(tmp_path, rows())
    types = {name: str(data.table.schema.field(name).type) for name in COLUMNS}
    agreed = {
        name: kind.replace("float32", "float").replace("list<string>", "list<item: string>")
        for name, kind in COLUMNS.items()
    }
    assert types == agreed
    assert data.table["id"].to_pylist() == list(range(240))
    assert data.table["row"].to_pylist()[:3] == [1, 2, 3]
    more = ("line", "original.text", "original.target")
    assert all(name in COLUMNS or name in more or name.startswith("slice.") for name in data.table.column_names)


def test_a_dataset_survives_saving_and_loading(tmp_path: Path) -> None:
    data = run(tmp_path, rows())
    data.save(tmp_path / "01-ingest")
    assert Dataset.load(tmp_path / "01-ingest").fingerprint == data.fingerprint


def test_the_same_seed_gives_the_same_split_and_another_seed_another(tmp_path: Path) -> None:
    path = write(tmp_path / "table.csv", rows())
    options = IngestOptions(path=path)
    prints = [ingest(options, Context(tmp_path / str(at), seed=seed)).fingerprint for at, seed in enumerate((1, 1, 2))]
    assert prints[0] == prints[1] != prints[2]


def test_duplicates_and_near_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    base = rows(150)
    copies = [{**r, "text": r["text"].upper() + "!"} for r in base[:40]]
    near = [{**r, "text": r["text"] + " ok"} for r in base[40:80]]
    data = run(tmp_path, base + copies + near)
    splits = data.table["split"].to_pylist()
    for first, second in [(at, 150 + at) for at in range(80)]:
        assert splits[first] == splits[second]
    assert data.notes["split"]["exact_duplicates"] == 40
    assert data.notes["split"]["near_duplicates"] == 40
    assert data.notes["split"]["leaks"] == 0


def test_equal_values_of_the_group_column_stay_together(tmp_path: Path) -> None:
    table = [{**r, "patient": f"p{at // 5}"} for at, r in enumerate(rows())]
    data = run(tmp_path, table, group="patient", target="label")
    sides: dict[str, set[str]] = {}
    for row, split in zip(table, data.table["split"].to_pylist(), strict=True):
        sides.setdefault(row["patient"], set()).add(split)
    assert all(len(side) == 1 for side in sides.values())
    assert {s for side in sides.values() for s in side} == {"train", "dev", "test"}


def test_with_a_time_column_the_latest_rows_are_the_test(tmp_path: Path) -> None:
    table = [{**r, "when": f"2024-{1 + at % 12:02d}-{1 + at % 28:02d}"} for at, r in enumerate(rows())]
    data = run(tmp_path, table, time="when", target="label")
    when = np.array([r["when"] for r in table], dtype="datetime64[D]")
    splits = np.array(data.table["split"].to_pylist())
    assert when[splits == "train"].max() <= when[splits == "dev"].min()
    assert when[splits == "dev"].max() <= when[splits == "test"].min()


def test_a_time_column_without_order_names_the_row(tmp_path: Path) -> None:
    table = [{**r, "when": "soon" if at == 7 else "2024-01-01"} for at, r in enumerate(rows())]
    with pytest.raises(DataError, match=r"row 8, column 'when': 'soon'"):
        run(tmp_path, table, time="when", target="label")


def test_every_label_is_in_train_and_spread_over_the_parts(tmp_path: Path) -> None:
    rare = [{"text": "quite another matter about a garden shed", "label": "garden"}]
    data = run(tmp_path, rows() + rare)
    train = data.rows("train").targets
    assert set(train) == {"cards", "cash", "login", "garden"} == set(data.labels)
    assert "garden" not in data.rows("dev").targets
    dev = data.rows("dev").targets
    assert min(dev.count(label) for label in TOPICS) >= 0.8 * max(dev.count(label) for label in TOPICS)


def test_a_ready_made_test_file_is_used_as_it_is(tmp_path: Path) -> None:
    test = write(tmp_path / "held.csv", rows(60, seed=9))
    data = run(tmp_path, rows(), test=test)
    assert data.count("test") == 60
    assert set(data.rows("test", blind=True).texts) == {r["text"] for r in rows(60, seed=9)}


def test_a_split_column_is_recognised_and_used(tmp_path: Path) -> None:
    table = [{**r, "split": "test" if at % 4 == 0 else "train"} for at, r in enumerate(rows())]
    data = run(tmp_path, table)
    assert data.count("test") == 60
    assert "split" not in data.inputs


def test_rows_that_copy_the_test_are_counted(tmp_path: Path) -> None:
    test = write(tmp_path / "held.csv", rows(60, seed=9))
    table = rows() + [{**r, "text": r["text"] + "?"} for r in rows(60, seed=9)[:25]]
    data = run(tmp_path, table, test=test)
    assert data.notes["split"]["leaks"] == 25


def test_kept_copies_of_the_test_are_trained_on_and_never_choose(tmp_path: Path) -> None:
    some = rows()
    own, test = some[:200], some[200:]
    data = run(tmp_path, own + test[:20], test=write(tmp_path / "held.csv", test), keep_leaks=True)
    held = {row["text"] for row in test}
    assert not held & set(data.rows("dev").texts)
    assert len(held & set(data.rows("train").texts)) == 20


def test_inflation_is_found_where_duplicates_carry_the_answer(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    noise = []
    for at in range(100):  # random words, so that only a copy of the row tells its label
        text = " ".join("".join(draw.choice(list("abcdefghij"), size=6)) for _ in range(8))
        noise += [{"text": text + " " + tail, "label": ["a", "b"][at % 2]} for tail in ("x", "y", "z")]
    inflation = run(tmp_path, noise, target="label").notes["split"]["inflation"]
    assert inflation["measured"]
    assert inflation["difference"] > 0.2
    assert inflation["interval"][0] > 0.1


def test_without_duplicates_there_is_nothing_to_flatter(tmp_path: Path) -> None:
    inflation = run(tmp_path, rows()).notes["split"]["inflation"]
    assert not inflation["measured"]
    assert "no duplicates" in inflation["sentence"]


def test_rows_without_a_target_are_counted_and_take_no_part(tmp_path: Path) -> None:
    table = [{**r, "label": "" if at % 10 == 0 else r["label"]} for at, r in enumerate(rows())]
    data = run(tmp_path, table)
    assert data.notes["rows_without_target"] == 24
    assert data.table["split"].to_pylist().count("none") == 24
    assert any("24 rows have no target" in warning for warning in data.notes["warnings"])


def test_labels_that_differ_in_case_and_spaces_are_one(tmp_path: Path) -> None:
    table = rows()
    table[0]["label"] = " CARDS "
    data = run(tmp_path, table)
    assert data.labels == ("cards", "cash", "login")
    assert data.notes["repairs"]["labels that differed in case only"] == 1


def test_entities_are_mended_before_the_split_and_recorded(tmp_path: Path) -> None:
    table = rows()
    table[0]["text"] = "AT&amp;T can&#39;t find my card, Ã©tÃ©"
    data = run(tmp_path, table)
    assert data.table["text"][0].as_py() == "AT&T can't find my card, été"
    assert data.table["changes"][0].as_py() == ["repair"]
    assert data.table["original.text"].to_pylist()[:2] == [table[0]["text"], None]
    assert data.notes["repairs"]["HTML entities"] == 1


def test_several_text_columns_are_shown_under_their_names(tmp_path: Path) -> None:
    table = [
        {"subject": " ".join(r["text"].split()[:4]) + " please", "body": r["text"], "category": r["label"]}
        for r in rows()
    ]
    data = run(tmp_path, table)
    assert data.inputs == ("subject", "body")
    first = table[0]
    assert data.table["text"][0].as_py() == f"subject: {first['subject']}\nbody: {first['body']}"


def test_the_profile_leaves_nothing_open_and_ingest_obeys_it(tmp_path: Path) -> None:
    path = write(tmp_path / "table.csv", rows())
    options = profile(IngestOptions(path=path)).options
    assert "auto" not in (
        options.target,
        options.inputs,
        options.task,
        options.split,
        options.test_share,
        options.dev_share,
    )
    first = ingest(IngestOptions(path=path), Context(tmp_path / "a"))
    second = ingest(options, Context(tmp_path / "b"))
    assert first.fingerprint == second.fingerprint


def test_unsure_asks_one_question_and_shows_the_command(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    table = [{"x": r["text"], "p": r["label"], "q": r["label"] if draw.random() < 0.6 else "cash"} for r in rows()]
    with pytest.raises(Unsure) as caught:
        profile(IngestOptions(path=write(tmp_path / "table.csv", table)))
    assert caught.value.option == "target"
    assert {"p", "q"} <= set(caught.value.choices)
    assert caught.value.question.endswith("?")
    assert "tunesmith run table.csv --target" in (caught.value.hint or "")


@pytest.mark.parametrize("value", ["3.5", "0.25"])
def test_a_numeric_target_is_refused_with_the_remedy(tmp_path: Path, value: str) -> None:
    table = [{"text": r["text"], "score": f"{at / 7:.3f}" if at else value} for at, r in enumerate(rows())]
    with pytest.raises(DataError, match="holds measurements") as caught:
        run(tmp_path, table, target="score")
    assert "low, medium, high" in (caught.value.hint or "")


def test_a_rating_of_few_whole_numbers_is_a_class(tmp_path: Path) -> None:
    table = [{"text": r["text"], "rating": str(1 + sorted(TOPICS).index(r["label"]))} for r in rows()]
    data = run(tmp_path, table)
    assert data.task == "classify"
    assert data.labels == ("1", "2", "3")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: [{**r, "label": "same"} for r in t], "one value only"),
        (lambda t: t[:1], "1 of 1 rows"),
        (lambda t: [{**r, "label": ""} for r in t], "is empty"),
    ],
)
def test_tables_that_cannot_be_learned_say_why(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError) as caught:
        run(tmp_path, change(rows()), target="label", inputs=("text",), task="classify")
    assert message in str(caught.value) or "one value" in str(caught.value)
    assert caught.value.hint


def test_an_unknown_column_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'lable'") as caught:
        run(tmp_path, rows(), target="lable")
    assert caught.value.hint == "Did you mean 'label'?"


def test_detection_does_not_look_at_test_rows(tmp_path: Path) -> None:
    """A column that tells the answer in test rows alone stays an input: nothing was seen of them."""
    table = [{**r, "note": f"this case was filed under {r['label']} yesterday"} for r in rows(60, seed=9)]
    train = [
        {**r, "note": f"nothing to say of {r['text'].split()[0]} or of any other thing {at}"}
        for at, r in enumerate(rows())
    ]
    test = write(tmp_path / "held.csv", table)
    data = run(tmp_path, train, test=test, target="label")
    assert "note" not in data.notes["ignored"] or "gives the answer away" not in data.notes["ignored"]["note"]


def test_real_intents_with_their_official_test(tmp_path: Path) -> None:
    folder = shared_data("banking77")
    data = ingest(IngestOptions(path=folder / "train.csv", test=folder / "test.csv"), Context(tmp_path / "w"))
    assert (data.task, data.inputs, data.target, len(data.labels)) == ("classify", ("text",), "category", 77)
    assert data.count("test") == 3080
    assert data.count("train") + data.count("dev") == 10003


def test_the_true_label_beside_a_noisy_one_gives_the_answer_away(tmp_path: Path) -> None:
    folder = shared_data("noisyag_news")
    data = ingest(IngestOptions(path=folder / "samples10000valMed.csv", target="label"), Context(tmp_path / "w"))
    assert data.inputs == ("text",)
    assert "gives the answer away" in data.notes["ignored"]["gt"]


def test_real_dialogues_to_notes(tmp_path: Path) -> None:
    path = shared_data("mts_dialog") / "MTS-Dialog-TrainingSet.csv"
    options = IngestOptions(path=path, target="section_text", inputs=("dialogue",), task="rewrite")
    data = ingest(options, Context(tmp_path / "w"))
    assert (data.task, data.labels, data.inputs) == ("rewrite", (), ("dialogue",))
    assert data.count("train") + data.count("dev") + data.count("test") == 1201
    parts = {part: set(data.rows(part, blind=True).texts) for part in ("train", "dev", "test")}  # type: ignore[arg-type]
    assert not parts["train"] & parts["test"]


def test_exact_groups_do_not_cross_the_split_on_real_messages(tmp_path: Path) -> None:
    source = shared_data("sms_spam") / "sms_spam.jsonl"
    messages = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    data = run(tmp_path, [{"text": m["text"], "label": m["label"]} for m in messages])
    near = group_texts(data.table["text"].to_pylist()).near.tolist()
    sides = set(zip(near, data.table["split"].to_pylist(), strict=True))
    assert len(sides) == len(set(near)), "a group of near duplicates lies on two sides"
