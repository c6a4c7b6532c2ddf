"""Distillation: the loss is the formula's however rows are packed; a teacher that does not fit is refused by name."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from lm_case import echoes, job_of
from test_tree_attention import wide  # noqa: F401 - float64 stays float64

from tunesmith.core.context import Limits
from tunesmith.core.dataset import Rows
from tunesmith.core.errors import ConfigError, DataError, ModelError
from tunesmith.models.lm import LanguageModel
from tunesmith.models.methods import method
from tunesmith.models.template import Asker
from tunesmith.testing import tiny_lm
from tunesmith.training.batches import Encoded, Packing, encode
from tunesmith.training.distillation import DistillationLoss, TaughtBatches, taught_batches
from tunesmith.training.loop import Recipe, train
from tunesmith.training.losses import mean_loss
from tunesmith.training.prompted import asker_for
from tunesmith.training.teaching import COLUMNS, Teaching, ask_teacher, vocabulary_of

N, TOP = 4, 6
LIMITS = {"max_tokens": 512, "room": 400}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("distillation")
    tiny_lm(found / "teacher", seed=7)
    assert job_of(found, text=True).lm is not None
    return found


@pytest.fixture(scope="module")
def student(folder: Path) -> LanguageModel:
    return LanguageModel.load(folder / "tiny", Limits())


@pytest.fixture(scope="module")
def teacher(folder: Path) -> LanguageModel:
    return LanguageModel.load(folder / "teacher", Limits())


@pytest.fixture(scope="module")
def asker(folder: Path, student: LanguageModel) -> Asker:
    return asker_for(student, job_of(folder, text=True))


@pytest.fixture(scope="module")
def rows() -> Rows:
    return replace(echoes(N), weights=np.array([1.0, 0.5, 2.0, 1.0], dtype=np.float32))


@pytest.fixture(scope="module")
def teaching(teacher: LanguageModel, rows: Rows, asker: Asker) -> Teaching:
    return ask_teacher(teacher, rows, asker, top=TOP, at_once=300, **LIMITS)


def taught(rows: Rows, asker: Asker, teaching: Teaching) -> Encoded:
    return encode(rows, asker, answers=teaching.answers, **LIMITS)


def tuned(folder: Path) -> torch.nn.Module:
    """The student with an adapter that is far from the base, in float64."""
    model = method.get("lora").apply(LanguageModel.load(folder / "tiny", Limits()).model, {}, seed=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for name, tensor in model.named_parameters():
            if "lora_B" in name:
                tensor.data.normal_(0.0, 0.3)
    return model.double()


def plain_loss(
    model: torch.nn.Module, encoded: Encoded, teaching: Teaching, *, share: float, temperature: float
) -> torch.Tensor:
    """The weighted sum over tokens, written out one token at a time; a full list of tokens as Hinton et al. have it."""
    total = torch.zeros((), dtype=torch.float64)
    for row, (ids, start) in enumerate(zip(encoded.ids, encoded.n_prompt, strict=True)):
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        for t, column in enumerate(range(start, len(ids))):
            z = logits[column - 1]
            hard = -torch.log_softmax(z, dim=0)[ids[column]]
            listed = torch.from_numpy(teaching.top_ids[row][t])
            said = torch.from_numpy(teaching.top_log_probs[row][t]).double()
            if len(listed) == len(z):
                q = torch.softmax(said / temperature, dim=0)
                p = torch.softmax(z / temperature, dim=0)[listed]
            else:
                other = torch.ones_like(z, dtype=torch.bool)
                other[listed] = False
                p, q = torch.softmax(z, dim=0), said.exp()
                p = torch.cat([p[listed], p[other].sum()[None]]) ** (1 / temperature)
                q = torch.cat([q, (1 - q.sum())[None]]) ** (1 / temperature)
                p, q = p / p.sum(), q / q.sum()
            soft = (q * (q.log() - p.log())).sum()
            total = total + encoded.weights[row] * ((1 - share) * hard + share * temperature**2 * soft)
    return total


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    named = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(("share", "temperature", "top"), [(0.5, 1.0, TOP), (0.7, 2.5, TOP), (1.0, 2.0, None)])
def test_loss_and_gradients_are_the_formulas_however_rows_are_packed(
    folder: Path, teacher: LanguageModel, rows: Rows, asker: Asker, share: float, temperature: float, top: int | None
) -> None:
    said = ask_teacher(teacher, rows, asker, top=top or teacher.vocabulary, at_once=300, **LIMITS)
    encoded, model = taught(rows, asker, said), tuned(folder)
    expected = plain_loss(model, encoded, said, share=share, temperature=temperature)
    wanted = gradients(model, expected)
    assert max(float(g.abs().max()) for g in wanted.values()) > 1e-2
    loss = DistillationLoss(share, temperature)
    model.train()
    for packing, tokens in itertools.product(get_args(Packing), (10_000, 150, 1)):
        batches = taught_batches(encoded, said, range(N), max_tokens=tokens, packing=packing)
        assert (tokens == 1) <= any(batch.tokens.large for batch in batches)  # recomputed in backward
        parts = [loss(model, batch) for batch in batches]
        total = torch.stack([part for part, _ in parts]).sum()
        torch.testing.assert_close(total, expected, rtol=1e-10, atol=1e-10)
        for name, gradient in gradients(model, total).items():
            torch.testing.assert_close(gradient, wanted[name], rtol=1e-9, atol=1e-10)
    tokens = sum(w * len(a) for w, a in zip(encoded.weights, said.answers, strict=True))
    assert sum(weight for _, weight in parts) == pytest.approx(tokens)


def test_a_teacher_is_asked_about_the_answers_and_gives_its_likeliest_tokens(
    teacher: LanguageModel, rows: Rows, asker: Asker, teaching: Teaching
) -> None:
    encoded = encode(rows, asker, **LIMITS)
    for row in range(N):
        ids, start = encoded.ids[row], encoded.n_prompt[row]
        assert teaching.answers[row] == ids[start:]
        with torch.no_grad():
            logs = torch.log_softmax(teacher.model(input_ids=torch.tensor([ids])).logits[0, start - 1 : -1], dim=-1)
        np.testing.assert_allclose(teaching.top_log_probs[row], logs.topk(TOP).values, atol=1e-5)
        assert np.array_equal(teaching.top_ids[row], logs.topk(TOP).indices)


def test_a_teacher_may_write_the_answers_itself(teacher: LanguageModel, rows: Rows, asker: Asker) -> None:
    said = ask_teacher(teacher, rows, asker, top=3, at_once=300, write=True, max_tokens=412, room=400)
    for row in range(N):
        prompt = asker.ask(rows.texts[row], room=400).ids
        (alone,) = teacher.generate([prompt], max_new_tokens=11, break_loops=True)
        assert list(said.answers[row]) == [*alone.ids, *[asker.template.end_id] * alone.ended]
        # At the first token, what greedy writing took is what the teacher holds for likeliest.
        assert said.top_ids[row][0][0] == said.answers[row][0]
    encoded = encode(rows, asker, answers=said.answers, max_tokens=412, room=400)
    assert encoded.n_end == tuple(int(answer[-1] == asker.template.end_id) for answer in said.answers)


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_what_was_said_is_kept_in_a_file_and_found_by_text(
    tmp_path: Path, student: LanguageModel, rows: Rows, teaching: Teaching, ending: str
) -> None:
    teaching.save(tmp_path / f"teacher{ending}")
    again = Teaching.load(tmp_path / f"teacher{ending}")
    backwards = rows.take(list(range(N))[::-1])
    matched = again.matched(backwards, student)
    assert matched.texts == backwards.texts
    assert matched.answers == teaching.answers[::-1]
    for ours, theirs in zip(matched.top_log_probs, teaching.top_log_probs[::-1], strict=True):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(matched.top_ids[0], teaching.top_ids[-1])


def test_a_teacher_that_does_not_fit_the_student_or_the_rows_is_refused(
    student: LanguageModel, rows: Rows, teaching: Teaching
) -> None:
    with pytest.raises(ModelError, match="tokenizer") as caught:
        replace(teaching, vocabulary="0" * 16).matched(rows, student)
    assert caught.value.hint
    with pytest.raises(DataError, match=r"3 answers, and none for 1 of 4 rows, first row 3"):
        teaching.take([0, 1, 2]).matched(rows, student)
    with pytest.raises(DataError, match=r"answers one text twice \(its rows 0 and 4\)"):
        teaching.take([0, 1, 2, 3, 0]).matched(rows, student)
    beyond = replace(teaching, top_ids=tuple(ids + student.vocabulary for ids in teaching.top_ids))
    with pytest.raises(ModelError, match="the student's head scores"):
        beyond.matched(rows, student)


def test_a_local_teacher_with_another_vocabulary_is_refused(
    folder: Path, student: LanguageModel, rows: Rows, asker: Asker
) -> None:
    other = LanguageModel.load(folder / "teacher", Limits())
    other.template.tokenizer.add_tokens(["<new>"])
    assert vocabulary_of(other.template.tokenizer) != vocabulary_of(student.template.tokenizer)
    with pytest.raises(ModelError, match="is not the student's"):
        ask_teacher(other, rows, asker, top=3, at_once=300, **LIMITS)


def _more(record: dict[str, Any]) -> None:
    record["top_log_probs"][0] = [-0.1] * TOP


def _not_a_number(record: dict[str, Any]) -> None:
    record["top_log_probs"][0][0] = float("nan")


def _short(record: dict[str, Any]) -> None:
    record["top_ids"].pop()


def _ragged(record: dict[str, Any]) -> None:
    record["top_ids"][0].pop()


def _twice(record: dict[str, Any]) -> None:
    record["top_ids"][0][1] = record["top_ids"][0][0]


def _words(record: dict[str, Any]) -> None:
    record["answer_ids"] = ["a"]


def _absent(record: dict[str, Any]) -> None:
    del record["tokenizer"]


def _two_teachers(record: dict[str, Any]) -> None:
    record["tokenizer"] = "f" * 16


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_more, r"row 2, answer token 0: probabilities add up to 5\.4"),
        (_not_a_number, r"row 2, answer token 0: probabilities add up to nan"),
        (_short, r"row 2: \d+ answer tokens, top_ids of shape"),
        (_ragged, r"row 2: .*inhomogeneous"),
        (_twice, r"row 2 lists a token twice"),
        (_words, r"row 2: invalid literal"),
        (_absent, r"row 2: tokenizer missing"),
        (_two_teachers, r"2 tokenizers"),
    ],
)
def test_a_damaged_teachers_file_is_refused_with_its_row(
    tmp_path: Path, teaching: Teaching, spoil: Any, said: str
) -> None:
    path = tmp_path / "teacher.jsonl"
    teaching.save(path)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    spoil(records[2])
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(DataError, match=said) as caught:
        Teaching.load(path)
    assert caught.value.message.startswith("teacher.jsonl")
    assert caught.value.hint


def test_what_is_no_teachers_file_is_refused(tmp_path: Path) -> None:
    for name, content in (("a.csv", "x"), ("b.parquet", "x"), ("c.jsonl", "{"), ("d.jsonl", "\n"), ("e.jsonl", "[1]")):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError) as caught:
            Teaching.load(tmp_path / name)
        assert caught.value.hint
    with pytest.raises(DataError, match="there is no teacher's file"):
        Teaching.load(tmp_path / "absent.jsonl")
    assert COLUMNS == ("text", "tokenizer", "answer_ids", "top_ids", "top_log_probs")


def test_a_student_comes_to_think_like_its_teacher(
    folder: Path, tmp_path: Path, teacher: LanguageModel, rows: Rows, asker: Asker, teaching: Teaching
) -> None:
    model = method.get("lora").apply(LanguageModel.load(folder / "tiny", Limits()).model, {}, seed=1)
    encoded, loss = taught(rows, asker, teaching), DistillationLoss(1.0)
    every = taught_batches(encoded, teaching, range(N), max_tokens=600)
    before = mean_loss(model, every, loss=loss)
    same = LanguageModel(teacher.model, teacher.template, teacher.folder)
    assert mean_loss(same.model, every, loss=loss) == pytest.approx(0.0, abs=1e-5)
    train(
        model, TaughtBatches(encoded, teaching, 2, 0, 600), loss, recipe=Recipe(16, 1e-2), folder=tmp_path,
        emit=lambda *_, **__: None,
    )  # fmt: skip
    assert mean_loss(model, every, loss=loss) < 0.5 * before


@pytest.mark.parametrize("values", [{"share": 1.5}, {"share": -0.1}, {"temperature": 0.0}])
def test_weights_that_make_no_sense_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError) as caught:
        DistillationLoss(**values)
    assert caught.value.hint
