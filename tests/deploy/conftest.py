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
    encoder = tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")
    model = {"encoder": f"folder:{encoder}", "lm": "none", "only": ["majority", "tfidf", "frozen"]}
    out = tmp_path_factory.mktemp("runs") / "tickets"
    run = ts.run(tickets(), out=out, target="kind", inputs=["message"], budget="60s", threads=1, model=model)
    return run.folder


@pytest.fixture
def tfidf(finished):
    return shipped(finished, system="tfidf")


@pytest.fixture
def frozen(finished):
    return shipped(finished, system="frozen")
