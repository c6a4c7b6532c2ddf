"""Which column is the answer, which are the question, and which give it away."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tunesmith.core.errors import DataError
from tunesmith.data.columns import describe_columns
from tunesmith.data.detect import Unsure
from tunesmith.data.giveaway import gives_away
from tunesmith.data.ingest import IngestOptions, profile
from tunesmith.data.labels import clean_labels
from tunesmith.data.mending import mend
from tunesmith.data.probe import out_of_fold
from tunesmith.data.shapes import expand_json, shape_of
from tunesmith.data.table import Table, table_of
from tunesmith.data.words import canonical_name

TOPICS = {"cards": "card plastic chip", "cash": "money machine coins", "login": "password screen device"}


def _words(text: str) -> list[str]:
    return text.split()


def tickets(n: int = 300, seed: int = 0) -> list[dict[str, str]]:
    draw = np.random.default_rng(seed)
    filler = _words("please help why does how can when will urgent again today still never twice slowly abroad")
    found = []
    for at in range(n):
        topic = str(draw.choice(sorted(TOPICS)))
        words = [
            *draw.choice(filler, size=7, replace=False),
            *draw.choice(TOPICS[topic].split(), size=2, replace=False),
        ]
        draw.shuffle(words)
        found.append({"message": " ".join(words) + f" {at}", "topic": topic})
    return found


def found(tmp_path: Path, rows: list[dict[str, str]], **options: str) -> IngestOptions:
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return profile(IngestOptions(path=path, **options)).options  # type: ignore[arg-type]


def test_names_that_say_nothing_do_not_hinder(tmp_path: Path) -> None:
    options = found(tmp_path, [{"q1": r["message"], "q2": r["topic"]} for r in tickets()])
    assert (options.target, options.inputs, options.task) == ("q2", ("q1",), "classify")


def test_what_describes_the_row_is_no_target(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    rows = [
        {"agent": str(draw.choice(["ana", "bo"])), "country": str(draw.choice(["fr", "de"])), **r} for r in tickets()
    ]
    assert found(tmp_path, rows).target == "topic"


def test_a_column_that_no_text_tells_is_asked_about(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    rows = [{"message": r["message"], "blob": str(draw.choice(["p", "q"]))} for r in tickets()]
    with pytest.raises(Unsure, match="is 'blob' the answer to learn"):
        found(tmp_path, rows)


def test_flags_beside_each_other_are_asked_about(tmp_path: Path) -> None:
    rows = [
        {"message": r["message"], "billing": str(int(r["topic"] == "cash")), "login": str(int(r["topic"] == "login"))}
        for r in tickets()
    ]
    with pytest.raises(Unsure) as caught:
        found(tmp_path, rows)
    assert set(caught.value.choices[:2]) == {"billing", "login"}


def test_what_is_written_afterwards_is_no_input(tmp_path: Path) -> None:
    rows = [{**r, "resolution": f"we told them what to do about it, case {at}"} for at, r in enumerate(tickets())]
    assert found(tmp_path, rows).inputs == ("message",)


def test_lists_are_no_classes_but_sets_of_labels(tmp_path: Path) -> None:
    rows = [{"message": r["message"], "tags": ["x", r["topic"]]} for r in tickets()]
    assert found(tmp_path, rows).task == "tag"


def test_a_task_that_does_not_exist_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no task is called 'clasify'") as caught:
        found(tmp_path, tickets(), task="clasify", target="topic")
    assert caught.value.hint == "Did you mean 'classify'?"


LABELS = [("spam", "ham", "eggs")[at % 3] for at in range(300)]


@pytest.mark.parametrize(
    "values",
    [
        [f"code-{label[::-1]}" for label in LABELS],
        [{"spam": "1", "ham": "2", "eggs": "3"}[label] for label in LABELS],
        [f"data/{label}/{at}.txt" for at, label in enumerate(LABELS)],
        [f"https://example.com/{label}/{at * 7}" for at, label in enumerate(LABELS)],
        [f"{label.upper()}-{at:05d}" for at, label in enumerate(LABELS)],
        [f"someone put this into {label} on day {at}" for at, label in enumerate(LABELS)],
        [str(("spam", "ham", "eggs").index(label) * 1000 + at) for at, label in enumerate(LABELS)],
    ],
)
def test_columns_that_give_the_answer_away_are_found(values: list[str]) -> None:
    assert gives_away(values, LABELS)


@pytest.mark.parametrize(
    "values",
    [
        [str(at) for at in range(300)],
        [["low", "high"][at * 7 % 11 % 2] for at in range(300)],
        [f"a sentence about things {at * 31 % 97} and others" for at in range(300)],
        [f"2024-01-{1 + at * 5 % 28:02d}" for at in range(300)],
        # A word that tells the answer within sentences is what there is to learn.
        [
            f"my {label} tasted odd on my {at % 40}th visit to the place"
            for at, label in enumerate(["egg" if x == "eggs" else "meat" for x in LABELS])
        ],
    ],
)
def test_honest_columns_are_not_accused(values: list[str]) -> None:
    assert gives_away(values, LABELS) is None


def test_a_second_annotation_is_an_answer_even_where_it_errs() -> None:
    draw = np.random.default_rng(0)
    noisy = [label if draw.random() < 0.8 else str(draw.choice(["spam", "ham", "eggs"])) for label in LABELS]
    assert "same values" in str(gives_away(noisy, LABELS))


def column_kind(values: list[str], name: str = "x") -> str:
    return describe_columns(table_of({name: values}, file="f"))[name].kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([f"T-{at:04d}" for at in range(60)], "id"),
        ([str(at) for at in range(60)], "id"),
        ([f"2024-01-{1 + at % 28:02d} 10:00:00" for at in range(60)], "date"),
        ([f"https://example.com/{at}" for at in range(60)], "url"),
        ([f"u{at}@example.com" for at in range(60)], "email"),
        ([f"scan{at}.pdf" for at in range(60)], "file"),
        ([f"{at:032x}" for at in range(1, 61)], "hash"),
        ([str(at / 7) for at in range(1, 61)], "number"),
        ([str(at % 5) for at in range(60)], "integer"),
        (["yes", "no"] * 30, "category"),
        ([f"a whole sentence about number {at}" for at in range(60)], "text"),
        (["same"] * 60, "constant"),
        ([""] * 60, "empty"),
        (["train", "test", "train"] * 20, "split"),
        ([f"我想知道我的卡什么时候到{at}" for at in range(60)], "text"),
    ],
)
def test_kinds_of_columns(values: list[str], kind: str) -> None:
    assert column_kind(values) == kind


@pytest.mark.parametrize("name", ["Created At", "createdAt", "created-at", "CREATED_AT"])
def test_spellings_of_one_name(name: str) -> None:
    assert canonical_name(name) == "created_at"


def test_labels_get_one_spelling_and_whole_numbers_lose_their_point() -> None:
    assert clean_labels(["1.0", "2", None, "1"]).values == ("1", "2", None, "1")
    assert clean_labels(["Spam", "spam ", "spam"]).values == ("spam",) * 3


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("AT&amp;T &quot;no&quot;", 'AT&T "no"'),
        ("S amp;P said  quot;yes quot; to Lee #39;s plan", 'S&P said  "yes" to Lee\'s plan'),
        ("Ã©tÃ© â€” cafÃ©", "été — café"),
        ("zero\u200bwidth\x07", "zerowidth"),
    ],
)
def test_damage_is_mended(broken: str, whole: str) -> None:
    assert mend([broken]).texts == [whole]


@pytest.mark.parametrize("text", ["plain", "été", "a; b & c", '<p class="x">a &amp; b</p>', "Ânimo já", "x < y; z"])
def test_what_is_whole_is_left_alone(text: str) -> None:
    assert mend([text]) == mend([text])
    assert mend([text]).texts == [text]
    assert mend([text]).changed == ()


def shaped(rows: list[dict[str, object]], tmp_path: Path) -> Table:
    from tunesmith.data.readers import Reading
    from tunesmith.data.reading import read_path

    path = tmp_path / "s.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return expand_json(read_path(path, Reading()))


@pytest.mark.parametrize(
    ("row", "name", "prompt", "answer"),
    [
        ({"prompt": "q", "completion": "a"}, "prompt/completion", "q", "a"),
        (
            {"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]},
            "prompt/completion",
            "q",
            "a",
        ),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "preference", "q", "a"),
        ({"prompt": "q", "chosen": "a"}, "prompt/completion", "q", "a"),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, "messages", "q", "a"),
        (
            {
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "content": "a"},
                ]
            },
            "messages",
            "system: s\nuser: q",
            "a",
        ),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, "sharegpt", "q", "a"),
        (
            {"messages": '[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]'},
            "messages",
            "q",
            "a",
        ),
        ({"text": "### Instruction:\nq\n### Response:\na"}, "text only", "### Instruction:\nq", "a"),
    ],
)
def test_shapes_of_the_ecosystem(row: dict[str, object], name: str, prompt: str, answer: str, tmp_path: Path) -> None:
    shape = shape_of(shaped([row, row], tmp_path))
    assert shape is not None
    assert shape.name == name
    assert shape.table.values(shape.inputs[0])[0] == prompt
    assert shape.table.values(shape.target)[0] == answer


def test_held_out_answers_equal_fitting_fold_by_fold() -> None:
    """The closed form against ridge regression refitted for every fold."""
    from scipy.sparse import csr_matrix

    draw = np.random.default_rng(0)
    X = csr_matrix(draw.random((60, 15)) * (draw.random((60, 15)) < 0.5))
    codes = draw.integers(0, 3, size=60)
    folds = draw.integers(0, 4, size=60)
    right = np.zeros(60)
    K = np.asarray((X @ X.T).todense()) + 1.0
    Y = np.eye(3)[codes]
    for fold in range(4):
        fit, held = folds != fold, folds == fold
        weights = np.linalg.solve(K[np.ix_(fit, fit)] + np.eye(fit.sum()), Y[fit])
        right[held] = (K[np.ix_(held, fit)] @ weights).argmax(axis=1) == codes[held]
    assert out_of_fold(X, codes, [folds])[0].tolist() == right.tolist()
