"""The task `answer` from folder and questions to quotes, through the pipeline as a person uses it."""

from __future__ import annotations

import json

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.library import Library
from tunesmith.data.documents import read_library
from tunesmith.pipeline import open_run, plan, run
from tunesmith.predicting import predict_lines, predict_table
from tunesmith.tasks.citations import CitedAnswer, verify_citations

pytestmark = pytest.mark.slow  # a whole run, with a fresh process that answers again

TOPICS = ("leave", "travel", "laptops", "parking", "visitors", "invoices", "training", "overtime", "safety", "lunch")
WORDS = ("days", "forms", "money", "keys", "dates", "names", "rooms", "hours")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(run, folder of documents, folder): ten documents, eight rules each, a question to each rule."""
    folder = tmp_path_factory.mktemp("answer")
    documents = folder / "documents"
    documents.mkdir()
    rows = []
    for topic in TOPICS:
        rules = [f"Rule on {word}: the {word} for {topic} are set by office {topic}{word}." for word in WORDS]
        padded = [rule + " It holds for everybody in the house and is looked at once a year." * 3 for rule in rules]
        (documents / f"{topic}.txt").write_text("\n\n".join(padded), encoding="utf-8")
    library = read_library([documents])
    for passage in library:
        topic, word = passage.document[:-4], WORDS[passage.place]
        rows.append(
            {"question": f"Who sets the {word} for {topic}?", "document": passage.document, "id": passage.passage}
        )
    rows[3]["question"] = ""
    rows[5]["id"] = "404"
    (folder / "questions.json").write_text(json.dumps(rows))
    done = run(
        folder / "questions.json", out=folder / "run", task="answer", documents=str(documents), threads=1,
        device="cpu", dtype="float32", model={"encoder": "none"}, budget="5m",
    )  # fmt: skip
    return done, documents, folder


def test_the_report_scores_every_rung_and_every_quote_holds(made):
    done, _, _ = made
    report = done.report
    assert {s.name for s in report.systems if s.n} >= {"bm25", "nearest_question"}
    scores = next(s for s in report.systems if s.name == "bm25").scores
    assert scores["recall_at_5"].value > 0.9
    assert {"citation_precision", "answered", "mrr", "recall_at_1"} <= set(scores)
    quotes = [c for c in report.checks if "byte for byte" in c.name]
    assert len(quotes) >= 2
    assert all(c.passed for c in quotes)
    assert (made[2] / "run" / "report.html").stat().st_size > 10_000


def test_what_cannot_be_used_is_told(made):
    warnings = " ".join(made[0].data.notes["warnings"])
    assert "not in the library" in warnings
    assert "no question" in warnings


def test_it_answers_with_quotes_that_stand_in_the_files(made, capsys, tmp_path):
    done, documents, _ = made
    done = open_run(done.folder)
    asked = "Who sets the keys for parking?"
    answers = done.predict([asked, "zzz qqq"])
    fresh = read_library([documents])
    for value in answers.values:
        assert not verify_citations(value, fresh)
    found = CitedAnswer.from_json(answers.values[0])
    assert found.passages[0] == ("parking.txt", "4")
    assert found.answer in (documents / "parking.txt").read_text(encoding="utf-8") or found.abstained
    assert answers.confidence[1] < answers.confidence[0]
    (tmp_path / "new.csv").write_text(f"question\n{asked}\n")
    predict_table(done, tmp_path / "new.csv", tmp_path / "out.csv", as_json=False)
    assert "prediction,document,passage,quote,found,confidence" in (tmp_path / "out.csv").read_text()
    decided = done.decide([asked, "zzz qqq"], accept_at=0.5)
    assert decided.accepted.tolist() == [True, False]
    predict_lines(done, [asked], None, as_json=True)
    assert json.loads(capsys.readouterr().out)["prediction"]["passages"][0] == ["parking.txt", "4"]


def test_gold_passages_of_the_test_are_sealed(made):
    done, _, _ = made
    table = done.data.table.to_pylist()
    assert all(row["target"] is None for row in table if row["split"] == "test")
    assert not {"slice.document", "slice.id"} & set(done.data.table.column_names)


def test_a_changed_document_is_another_run(made, tmp_path):
    _, documents, folder = made
    library = read_library([documents])
    text = (documents / "lunch.txt").read_text(encoding="utf-8")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "lunch.txt").write_text(text.replace("house", "building"), encoding="utf-8")
    assert read_library([tmp_path / "documents"]).fingerprint != Library(library.passages[-8:]).fingerprint
    kept = json.loads((folder / "run" / "01-ingest" / "stage.json").read_text())
    assert "documents" in kept["options"][0]["beside"]


def test_documents_for_another_task_are_refused(made, tmp_path):
    _, documents, folder = made
    with pytest.raises(DataError, match="documents are for the task answer"):
        plan(folder / "questions.json", out=tmp_path / "run", task="classify", documents=str(documents))
    with pytest.raises(DataError, match="no such file or folder"):
        plan(folder / "questions.json", out=tmp_path / "other", task="answer", documents=str(tmp_path / "nowhere"))
