"""For each check of the documents: a stage with a realistic fault fails by it, before anything is trained."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from lm_case import context_of, tickets

from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import CheckFailed
from tunesmith.data import corpus
from tunesmith.training.domain import DomainOptions, domain
from tunesmith.training.train import ForgetOptions

QUESTION = "May I still log in with my old password after the bank has closed my account for good?"


def failed(folder: Path, documents: list[str]) -> CheckFailed:
    rows = tickets(12)
    table = pa.table(
        {
            "id": pa.array(range(12), pa.int64()), "text": [*rows.texts[:-1], QUESTION], "target": list(rows.targets),
            "split": ["train"] * 8 + ["dev"] * 2 + ["test"] * 2, "weight": pa.array([1.0] * 12, pa.float32()),
            "group": pa.array(range(12), pa.int64()),
        }
    )  # fmt: skip
    data = Dataset(table, "classify", ("billing", "login"), ("text",), "topic")
    path = folder / "documents.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents), encoding="utf-8")
    options = DomainOptions((path,), base="not asked for", tokens=1_000)
    with pytest.raises(CheckFailed) as caught:
        domain(data, options, ForgetOptions(), context_of(folder / "work"))
    assert caught.value.hint, "a failed check says what to do"
    return caught.value


def essays(n: int) -> list[str]:
    draw = random.Random(0)
    words = ["".join(draw.choices("aeioubdgklmnprst", k=draw.randint(3, 9))) for _ in range(3_000)]
    return [" ".join(draw.choices(words, k=60)) for _ in range(n)]


def test_documents_with_test_rows_that_were_overlooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "holding", lambda found, rows: [False] * len(found))
    found = failed(tmp_path, [*essays(30), f"We are asked: {QUESTION} No."])
    assert "documents that hold a dev or test row" in str(found)


def test_near_copies_that_were_put_on_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = corpus.corpus_of

    def mixed(found: object, data: Dataset, **given: object) -> corpus.Corpus:
        made = real(found, data, **given)  # type: ignore[arg-type]
        return replace(made, train=(*made.train, made.held_out[0]))

    monkeypatch.setattr("tunesmith.training.domain.corpus_of", mixed)
    found = failed(tmp_path, essays(40))
    assert "near-duplicates of held-out documents among those learned from" in str(found)
