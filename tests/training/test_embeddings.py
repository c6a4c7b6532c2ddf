from dataclasses import replace

import numpy as np
import pytest

from tunesmith.core.context import Context
from tunesmith.core.errors import ModelError
from tunesmith.models.spec import ModelSpec
from tunesmith.testing import tiny_encoder
from tunesmith.training import embeddings
from tunesmith.training.embeddings import borrowed_cpu_s, embed, forget

TEXTS = [f"the card number {i} is late" for i in range(300)]


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> ModelSpec:
    return ModelSpec("folder", str(tiny_encoder(tmp_path_factory.mktemp("encoder"))), "encoder")


@pytest.fixture(autouse=True)
def _fresh():
    forget()
    yield
    forget()


def test_vectors_are_those_of_the_encoder_in_order(spec, tmp_path):
    ctx = Context(tmp_path)
    found = embed(["b text", "a text", "b text"], spec, ctx)
    direct = embeddings.encoder(spec, ctx).embed(["a text", "b text"])
    assert np.allclose(found, direct[[1, 0, 1]], atol=1e-6)
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)


def test_a_second_rung_computes_nothing_and_knows_what_it_borrowed(spec, tmp_path, monkeypatch):
    first = embed(TEXTS, spec, Context(tmp_path / "one"))
    before = borrowed_cpu_s()
    monkeypatch.setattr(embeddings, "_compute", lambda *a: pytest.fail("computed again"))
    again = embed(TEXTS[::-1], spec, Context(tmp_path / "two"))
    assert np.array_equal(again, first[::-1])
    assert borrowed_cpu_s() > before


def test_a_killed_run_reads_its_vectors_back(spec, tmp_path, monkeypatch):
    first = embed(TEXTS, spec, Context(tmp_path))
    forget()
    monkeypatch.setattr(embeddings, "_compute", lambda *a: pytest.fail("computed again"))
    assert np.array_equal(embed(TEXTS, spec, Context(tmp_path)), first)


def test_a_damaged_file_is_made_anew_and_not_believed(spec, tmp_path):
    first = embed(TEXTS, spec, Context(tmp_path))
    forget()
    piece = next((tmp_path / "embeddings").glob("*.npy"))
    content = bytearray(piece.read_bytes())
    content[-8] ^= 0xFF
    piece.write_bytes(bytes(content))
    assert np.array_equal(embed(TEXTS, spec, Context(tmp_path)), first)


def test_another_encoder_does_not_take_these_vectors(spec, tmp_path, tmp_path_factory):
    other = replace(spec, id=str(tiny_encoder(tmp_path_factory.mktemp("other"), seed=1)))
    assert not np.allclose(embed(TEXTS, spec, Context(tmp_path)), embed(TEXTS, other, Context(tmp_path)))


def test_answers_leave_no_vectors_on_disk(spec, tmp_path):
    embed(TEXTS, spec, Context(tmp_path), keep=False)
    assert not (tmp_path / "embeddings").exists()


def test_a_job_without_an_encoder_says_so():
    from tunesmith.tasks import task
    from tunesmith.training.systems import Job

    what = task.get("classify")
    with pytest.raises(ModelError, match="stands on an encoder"):
        embeddings.encoder_spec(Job(what, ("a",), what.prompt(("a",), inputs=("x",), target="y")))
