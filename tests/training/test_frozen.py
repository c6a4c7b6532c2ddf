import numpy as np
import pytest

from tunesmith.core.context import Context
from tunesmith.core.dataset import rows_of
from tunesmith.models.spec import ModelSpec
from tunesmith.tasks import task
from tunesmith.testing import tiny_encoder
from tunesmith.training.calibrate import softmax
from tunesmith.training.embeddings import embed
from tunesmith.training.folds import row_folds
from tunesmith.training.systems import Job, system

LABELS = ("card", "money")


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Job:
    spec = ModelSpec("folder", str(tiny_encoder(tmp_path_factory.mktemp("encoder"))), "encoder")
    what = task.get("classify")
    return Job(what, LABELS, what.prompt(LABELS, inputs=("text",), target="topic"), spec)


def rows(n: int):
    texts = [f"the card number {i} is late" if i % 2 else f"please give {i} coins of money back" for i in range(n)]
    return rows_of(texts, [LABELS[(i + 1) % 2] for i in range(n)])


def test_it_learns_from_vectors(job, tmp_path):
    data = rows(80)
    fitted = system.get("frozen").fit(data.take(range(60)), data.take([]), job, Context(tmp_path))
    assert fitted.predict(data.texts[60:], Context(tmp_path)).values == data.targets[60:]
    assert fitted.method in ("linear head", "kernel head")


def test_the_head_sees_the_vectors_of_the_frozen_encoder_and_nothing_else(job, tmp_path):
    data, ctx = rows(40), Context(tmp_path)
    fitted = system.get("frozen").fit(data, data.take([]), job, ctx)
    by_vectors = softmax(fitted.expert.log_probabilities(embed(data.texts, job.encoder, ctx)) + fitted.offset)
    assert np.array_equal(by_vectors, fitted.predict(data.texts, ctx).probabilities)


def test_groups_are_not_torn_apart_when_settings_are_chosen(job, tmp_path, monkeypatch):
    from dataclasses import replace

    from tunesmith.training.systems import frozen

    seen = []

    def spy(some, *, k, seed):
        folds = row_folds(some, k=k, seed=seed)
        seen.append([{int(some.groups[i]) for i in fold} for fold in folds])
        return folds

    monkeypatch.setattr(frozen, "row_folds", spy)
    data = replace(rows(60), groups=np.arange(60) // 4)
    system.get("frozen").fit(data, data.take([]), job, Context(tmp_path))
    groups = [group for fold in seen[0] for group in fold]
    assert len(groups) == len(set(groups)) == 15
