"""What every task must keep, found by itself: a new file in tasks/ is tested without an edit here."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tunesmith.core.predictions import Predictions
from tunesmith.tasks import task
from tunesmith.tasks.citations import CitedAnswer, gold_of, references_of
from tunesmith.tasks.label_sets import dump_set

TASKS = task.names()
LABELS = ("negative", "neutral", "positive")
SOURCES = ["The soup was cold.", "It came on 3 May.", "We liked Anna's cake, 12 pieces!", "", "no fever"] * 6


@pytest.fixture(params=TASKS)
def made(request):
    return task.get(request.param)


def _references(made) -> list[str]:
    if made.output == "citations":
        return [gold_of([("law", str(i))]) for i in range(len(SOURCES))]
    if made.output == "label":
        return [LABELS[i % 3] for i in range(len(SOURCES))]
    if made.output == "labels":
        return [dump_set(LABELS[j] for j in range(3) if i % 7 & 1 << j) for i in range(len(SOURCES))]
    if made.output == "json":
        return [
            json.dumps({"said": text, "n": [i % 3]}, separators=(",", ":")) for i, text in enumerate(reversed(SOURCES))
        ]
    return list(reversed(SOURCES))


def _right(made, reference: str) -> str:
    """The answer that the reference wants."""
    if made.output != "citations":
        return reference
    return CitedAnswer("", (), references_of(reference), abstained=True).to_json()


def _predictions(made, references, *, right: float) -> Predictions:
    rng = np.random.default_rng(0)
    order = rng.permutation(len(references))
    keep = rng.random(len(references)) < right
    values = [r if k else references[order[i]] for i, (r, k) in enumerate(zip(references, keep, strict=True))]
    if made.output != "label":
        return Predictions(tuple(_right(made, value) for value in values))
    p = np.full((len(values), 3), 0.1)
    p[np.arange(len(values)), [LABELS.index(v) for v in values]] = 0.8
    return Predictions(tuple(values), p)


def test_the_tasks_are_found():
    assert {"classify", "tag", "rewrite"} <= set(TASKS)


def test_it_names_itself_like_its_file(made):
    assert task.get(made.name) is made
    assert made.output in ("label", "labels", "text", "json", "citations")


def test_a_perfect_answer_leads_with_1_and_no_answer_with_0(made):
    references = _references(made)
    perfect = made.score(Predictions(tuple(_right(made, r) for r in references)), references, SOURCES, LABELS)
    nothing = made.score(Predictions((None,) * len(references)), references, SOURCES, LABELS)
    assert perfect[made.leads] == pytest.approx(1.0)
    assert nothing[made.leads] < 0.5


def test_the_leading_metric_rises_with_right_answers_and_stays_between_0_and_1(made):
    references = _references(made)
    scores = [
        made.score(_predictions(made, references, right=share), references, SOURCES, LABELS)[made.leads]
        for share in (0.0, 0.5, 1.0)
    ]
    assert 0 <= scores[0] < scores[1] < scores[2] <= 1


def test_score_is_the_means_of_rows_and_the_corpus_scores(made):
    references = _references(made)
    predictions = _predictions(made, references, right=0.6)
    given = (predictions, references, SOURCES, LABELS)
    rows, corpus = made.row_scores(*given), made.corpus_scores(*given)
    everything = np.arange(len(references))
    expected = {name: values.mean() for name, values in rows.items()} | {n: f(everything) for n, f in corpus.items()}
    assert dict(made.score(*given)) == pytest.approx(expected)
    assert all(values.shape == (len(references),) for values in rows.values())
    assert not set(rows) & set(corpus)
    assert set(made.guards) <= set(rows)


def test_corpus_scores_of_some_rows_are_the_scores_of_those_rows(made):
    references = _references(made)
    predictions = _predictions(made, references, right=0.6)
    some = np.array([0, 3, 4, 7, 8, 11, 14, 17, 20, 29])
    whole = made.corpus_scores(predictions, references, SOURCES, LABELS)
    part = made.score(predictions.take(some), [references[i] for i in some], [SOURCES[i] for i in some], LABELS)
    for name, statistic in whole.items():
        if name not in ("style_distance",):  # its features are those of all references
            assert statistic(some) == pytest.approx(part[name])


def test_rendering_ends_with_the_person_and_shots_are_answered(made):
    prompt = made.prompt(LABELS if made.output in ("label", "labels") else (), inputs=("text",), target="rating")
    shown = type(prompt)(prompt.instruction, prompt.labels, (("given", "answer"),))
    for p in (prompt, shown):
        roles = [message["role"] for message in made.render("some text", p)]
        assert roles[-1] == "user"
        assert roles.count("assistant") == len(p.shots)
        assert "some text" in made.render("some text", p)[-1]["content"]


def test_its_own_answers_are_read_back(made):
    references = [_right(made, r) for r in _references(made) if r]
    prompt = made.prompt(LABELS if made.output in ("label", "labels") else (), inputs=("text",), target="rating")
    assert all(made.parse(r, prompt) == r.strip() for r in references)
    assert made.parse("", prompt) is None


def test_detection_is_a_share(made):
    for targets in ([], ["a"], list(LABELS) * 20, SOURCES, ["1", "2"] * 9):
        assert 0.0 <= made.detect(targets, SOURCES) <= 1.0
