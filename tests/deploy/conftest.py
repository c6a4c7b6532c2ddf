"""A finished run on a small table, for exports to be made of."""

import random

import pytest

import tunesmith as ts
from tunesmith.exporting import shipped
from tunesmith.testing import tiny_encoder

WORDS = {
    "billing": ["invoice", "charged", "refund", "payment", "price"],
    "delivery": ["parcel", "courier", "late", "address", "arrive"],
    "account": ["password", "login", "email", "locked", "profile"],
}


def tickets(n=150, seed=0):
    draw = random.Random(seed)
    rows = []
    for number in range(n):
        kind = draw.choice(list(WORDS))
        words = draw.choices(WORDS[kind], k=4) + draw.choices(["the", "my", "please", "why", "again", "it"], k=6)
        draw.shuffle(words)
        rows.append({"ticket": f"T-{number:05d}", "message": " ".join(words), "kind": kind})
    return rows


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """tfidf and frozen on a tiny encoder."""
    return _run(tmp_path_factory, ["majority", "tfidf", "frozen"], "60s")


@pytest.fixture(scope="session")
def finished_tuned(tmp_path_factory):
    """The tiny encoder tuned; for slow tests."""
    return _run(tmp_path_factory, ["majority", "encoder"], "10m")


def _run(tmp_path_factory, rungs, budget):
    encoder = tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")
    model = {"encoder": f"folder:{encoder}", "lm": "none", "only": rungs}
    out = tmp_path_factory.mktemp("runs") / "tickets"
    run = ts.run(tickets(), out=out, target="kind", inputs=["message"], budget=budget, threads=1, model=model)
    return run.folder


@pytest.fixture
def tfidf(finished):
    return shipped(finished, system="tfidf")


@pytest.fixture
def frozen(finished):
    return shipped(finished, system="frozen")


@pytest.fixture
def tuned(finished_tuned):
    return shipped(finished_tuned, system="encoder")
