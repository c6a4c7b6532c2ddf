"""What a teacher says: its answers, and at each of their tokens the likeliest tokens with their probabilities.

A teacher is asked once; what it said is kept in memory or in a file (parquet or jsonl, by its ending), one row per
Example, and never computed again:

    text           what the Example's model is given; rows are found by it, whatever their order
    tokenizer      16 hex digits of the teacher's vocabulary, see `vocabulary_of`
    answer_ids     token ids of the answer with the token that ends it
    top_ids        per token of the answer, the k likeliest tokens there
    top_log_probs  their natural logarithms of probability at temperature 1, over the whole vocabulary
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.core.dataset import Rows
from tunesmith.core.errors import DataError, ModelError
from tunesmith.core.files import canonical, sha256_bytes, whole
from tunesmith.models.lm import LanguageModel, wide
from tunesmith.models.template import Asker
from tunesmith.training.batches import Encoded, Packing, batch_of, encode, row_groups
from tunesmith.training.losses import answer_logits

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

COLUMNS = ("text", "tokenizer", "answer_ids", "top_ids", "top_log_probs")
# Probabilities rounded to a few digits may add up to a little more than 1.
_ROUNDED = 1e-3


@dataclass(frozen=True, eq=False)
class Teaching:
    """n answers of one teacher. All tuples are of length n; row i has t_i answer tokens.

    vocabulary: 16 hex digits; a student with another one cannot learn from it. texts: of the Examples.
    answers: token ids with the end. top_ids: (t_i, k) int64; top_log_probs: (t_i, k) float32, k the same for all.
    Raises DataError where it contradicts itself: lengths that differ, probabilities that add up to more than 1.
    """

    vocabulary: str
    texts: tuple[str, ...]
    answers: tuple[tuple[int, ...], ...]
    top_ids: tuple[NDArray[np.int64], ...]
    top_log_probs: tuple[NDArray[np.float32], ...]

    def __post_init__(self) -> None:
        parts = (self.texts, self.answers, self.top_ids, self.top_log_probs)
        if len({len(part) for part in parts}) > 1:
            raise DataError(
                f"the teacher's columns have {', '.join(str(len(part)) for part in parts)} rows.",
                hint="every row needs a text, an answer and, for each of its tokens, tokens with log-probabilities.",
            )
        width = self.top_ids[0].shape[-1] if self.top_ids else 0
        for row, (answer, ids, logs) in enumerate(zip(self.answers, self.top_ids, self.top_log_probs, strict=True)):
            _require_sound(row, answer, ids, logs, width)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int]) -> Teaching:
        """Some rows by position, in the order asked."""
        return Teaching(
            self.vocabulary,
            tuple(self.texts[i] for i in rows),
            tuple(self.answers[i] for i in rows),
            tuple(self.top_ids[i] for i in rows),
            tuple(self.top_log_probs[i] for i in rows),
        )

    def matched(self, rows: Rows, student: LanguageModel) -> Teaching:
        """What was said of each of `rows`, in their order.

        Raises ModelError if the teacher's vocabulary is not the student's, DataError if rows are absent or doubled.
        """
        own = vocabulary_of(student.template.tokenizer)
        if self.vocabulary != own:
            raise ModelError(
                f"the teacher's tokenizer ({self.vocabulary}) is not the student's ({own}).",
                hint="distil between models of one family that share their tokenizer, or train on the teacher's "
                "answers as targets (train.objective: supervised).",
            )
        highest = max((int(ids.max(initial=0)) for ids in self.top_ids), default=0)
        highest = max(highest, max((max(answer) for answer in self.answers), default=0))
        if highest >= student.vocabulary:
            raise ModelError(
                f"the teacher names token {highest}; the student's head scores {student.vocabulary:,} tokens.",
                hint="choose a teacher and a student of the same vocabulary.",
            )
        at: dict[str, int] = {}
        for i, text in enumerate(self.texts):
            if text in at:
                raise DataError(
                    f"the teacher answers one text twice (its rows {at[text]} and {i}): {_start(text)}",
                    hint="keep one answer per text.",
                )
            at[text] = i
        absent = [i for i, text in enumerate(rows.texts) if text not in at]
        if absent:
            raise DataError(
                f"the teacher has {len(self):,} answers, and none for {len(absent):,} of {len(rows):,} rows, "
                f"first row {int(rows.ids[absent[0]])}: {_start(rows.texts[absent[0]])}",
                hint="make the teacher's file from the same data, or name a local model as teacher.",
            )
        return self.take([at[text] for text in rows.texts])

    def save(self, path: Path) -> None:
        """Write a parquet or jsonl file, by the ending of `path`."""
        records = (
            dict(zip(COLUMNS, (text, self.vocabulary, list(answer), ids.tolist(), logs.tolist()), strict=True))
            for text, answer, ids, logs in zip(self.texts, self.answers, self.top_ids, self.top_log_probs, strict=True)
        )
        with whole(path) as draft:
            if _is_parquet(path):
                import pyarrow as pa
                import pyarrow.parquet as pq

                tokens = pa.list_(pa.int64())
                kinds = (pa.string(), pa.string(), tokens, pa.list_(tokens), pa.list_(pa.list_(pa.float32())))
                schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
                pq.write_table(pa.Table.from_pylist(list(records), schema=schema), draft)
            else:
                lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
                draft.write_text("".join(lines), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Teaching:
        """Read what `save` or another program wrote. Raises DataError with file and row for anything else."""
        records = list(_records(path))
        if not records:
            raise DataError(f"{path.name}: the teacher's file has no rows.", hint="ask the teacher again.")
        spoken = {str(record["tokenizer"]) for record in records}
        if len(spoken) > 1:
            raise DataError(
                f"{path.name}: answers of teachers with {len(spoken)} tokenizers.", hint="use one file per teacher."
            )
        answers, ids, logs = [], [], []
        for row, record in enumerate(records):
            try:
                answers.append(tuple(int(token) for token in record["answer_ids"]))
                ids.append(np.array(record["top_ids"], dtype=np.int64))
                logs.append(np.array(record["top_log_probs"], dtype=np.float32))
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"{path.name} row {row}: {error}.",
                    hint="answer_ids is a list of token ids; top_ids and top_log_probs hold a list of equal length for "
                    "each of them.",
                ) from error
        texts = tuple(str(record["text"]) for record in records)
        try:
            return cls(spoken.pop(), texts, tuple(answers), tuple(ids), tuple(logs))
        except DataError as error:
            raise DataError(f"{path.name}: {error.message}", hint=error.hint) from error


def ask_teacher(
    teacher: LanguageModel,
    rows: Rows,
    asker: Asker,
    *,
    top: int,
    max_tokens: int,
    room: int,
    at_once: int,
    packing: Packing = "tree",
    write: bool = False,
) -> Teaching:
    """What a local teacher says to the student's very prompts, computed once, without gradients.

    asker: words the prompts, with the student's template. top: k, tokens kept per position, at most the vocabulary.
    write: the teacher writes the answers, greedily; else it is asked about the rows' targets.
    at_once: tokens in a micro-batch. Raises ModelError if the teacher's vocabulary is not the asker's.
    """
    tokenizer = teacher.template.tokenizer
    spoken, own = vocabulary_of(tokenizer), vocabulary_of(asker.template.tokenizer)
    if spoken != own:
        raise ModelError(
            f"the teacher's tokenizer ({spoken}) is not the student's ({own}).",
            hint="choose a larger model of the same family as teacher.",
        )
    answers = _written(teacher, rows, asker, room=room, most=max_tokens - room) if write else None
    encoded = encode(rows, asker, max_tokens=max_tokens, room=room, answers=answers)
    return taught_by(teacher, encoded, rows.texts, top=top, at_once=at_once, packing=packing)


@torch.no_grad()
def taught_by(
    teacher: LanguageModel,
    encoded: Encoded,
    texts: Sequence[str],
    *,
    top: int,
    at_once: int,
    packing: Packing = "tree",
) -> Teaching:
    """What the model as it is says at every supervised token of rows that are encoded already.

    texts: what each row is called. The rest as in `ask_teacher`.
    """
    top_ids: list[NDArray[np.int64]] = [np.zeros((0, top), dtype=np.int64)] * len(encoded)
    top_log_probs: list[NDArray[np.float32]] = [np.zeros((0, top), dtype=np.float32)] * len(encoded)
    for group, _ in row_groups(encoded, range(len(encoded)), max_tokens=at_once, packing=packing):
        batch = batch_of(encoded, group, packing=packing)
        logits = wide(answer_logits(teacher.model, batch))
        found = torch.log_softmax(logits, dim=-1).topk(min(top, logits.shape[-1]), dim=-1)
        ids, logs = found.indices.cpu().numpy(), found.values.float().cpu().numpy()
        owner = batch.rows.numpy()
        for at, row in enumerate(group):
            top_ids[row], top_log_probs[row] = ids[owner == at], logs[owner == at]
    kept = tuple(ids[n:] for ids, n in zip(encoded.ids, encoded.n_prompt, strict=True))
    spoken = vocabulary_of(teacher.template.tokenizer)
    return Teaching(spoken, tuple(texts), kept, tuple(top_ids), tuple(top_log_probs))


def vocabulary_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """16 hex digits of which token each id stands for: equal if two models mean the same by the same ids."""
    return sha256_bytes(canonical(sorted(tokenizer.get_vocab().items())))[:16]


def _written(teacher: LanguageModel, rows: Rows, asker: Asker, *, room: int, most: int) -> list[list[int]]:
    prompts = [asker.ask(text, room=room).ids for text in rows.texts]
    said = teacher.generate(prompts, max_new_tokens=most - 1, prefix=asker.prefix, break_loops=True)
    # An answer that ran into the limit is not over: its end is not taught.
    return [[*answer.ids, asker.template.end_id] if answer.ended else list(answer.ids) for answer in said]


def _require_sound(
    row: int, answer: Sequence[int], ids: NDArray[np.int64], logs: NDArray[np.float32], width: int
) -> None:
    shape = (len(answer), width)
    if not answer or width < 1 or ids.shape != shape or logs.shape != shape:
        raise DataError(
            f"the teacher's row {row}: {len(answer)} answer tokens, top_ids of shape {ids.shape}, top_log_probs of "
            f"shape {logs.shape}; expected {shape} of both.",
            hint="list the same number of tokens with log-probabilities for every token of every answer.",
        )
    if min(answer) < 0 or ids.min() < 0:
        raise DataError(f"the teacher's row {row} has a negative token id.", hint="ids count from 0.")
    mass = np.exp(logs.astype(np.float64)).sum(axis=1)
    wrong = np.flatnonzero(~(mass <= 1.0 + _ROUNDED) | np.isnan(logs).any(axis=1))  # not-a-number is wrong too
    if len(wrong):
        raise DataError(
            f"the teacher's row {row}, answer token {int(wrong[0])}: probabilities add up to {mass[wrong[0]]:.4g}.",
            hint="top_log_probs are natural logarithms of probabilities at temperature 1 over the whole vocabulary.",
        )
    ordered = np.sort(ids, axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise DataError(f"the teacher's row {row} lists a token twice at one position.", hint="list each token once.")


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    if not path.is_file():
        raise DataError(f"there is no teacher's file {path}.", hint="give the path of a parquet or jsonl file.")
    if _is_parquet(path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            found = pq.read_table(path).to_pylist()
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(f"{path.name} cannot be read: {error}", hint="write the teacher's file again.") from error
    else:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        found = [_parsed(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    for row, record in enumerate(found):
        absent = [name for name in COLUMNS if not isinstance(record, dict) or record.get(name) is None]
        if absent:
            raise DataError(
                f"{path.name} row {row}: {', '.join(absent)} missing.", hint=f"a row has {', '.join(COLUMNS)}."
            )
        yield record


def _parsed(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path.name} line {number}: {error}.", hint="write one JSON object per line.") from error


def _is_parquet(path: Path) -> bool:
    if path.suffix not in (".parquet", ".jsonl"):
        raise DataError(f"{path.name}: a teacher's file ends in .parquet or .jsonl.", hint="rename or convert it.")
    return path.suffix == ".parquet"


def _start(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
