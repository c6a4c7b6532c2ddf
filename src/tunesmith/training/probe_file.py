"""The user's own probe: what a tuned model should still know, in a file of texts or of questions with answers.

    text                                  ordinary text; every word counts
    question, answer                      the words of the answer count
    question, answer, choices             which of the choices the model holds for likeliest (choices: a list, or
                                          separated by |; the answer is one of them)

Any file that tunesmith reads as a table. Half of the rows, drawn by their content, steer a training; the other half
judge it (training/keeping.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.core.errors import DataError
from tunesmith.core.files import canonical, sha256_bytes
from tunesmith.data.reading import read_path
from tunesmith.data.table import LIST_MARK, Table

if TYPE_CHECKING:
    from tunesmith.models.template import Template
    from tunesmith.training.drift import Items

LEAST = 16  # rows of a kind: eight to steer by and eight to judge by
_MOST_TOKENS = 256  # of a row; what is longer is cut at its end
_COLUMNS = {"question": ("question", "prompt", "input"), "answer": ("answer", "target", "output")}


@dataclass(frozen=True)
class ProbeRow:
    """question "" for a text, which then is the answer. choices: () for free answers."""

    question: str
    answer: str
    choices: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Which suite it belongs to, in words for people."""
        return "your choices" if self.choices else "your answers" if self.question else "your texts"


def read_probe(path: Path) -> list[ProbeRow]:
    """The different rows of a probe file. Raises DataError with file and row for what cannot be used."""
    table = read_path(path)
    names = {name.lower(): name for name in table.names}
    question, answer = (next((names[n] for n in known if n in names), None) for known in _COLUMNS.values())
    if question is not None and answer is not None:
        choices = table.values(names["choices"]) if "choices" in names else [None] * len(table)
        cells = zip(table.values(question), table.values(answer), choices, strict=True)
        rows = [_asked(path, table, i, *cell) for i, cell in enumerate(cells)]
    elif "text" in names:
        rows = [ProbeRow("", text.strip()) for text in table.values(names["text"]) if text and text.strip()]
    else:
        raise DataError(
            f"{path.name}: a probe needs a column 'text', or the columns 'question' and 'answer'; it has "
            f"{', '.join(table.names[:10])}.",
            hint="rename the columns. --probe takes texts, or questions with answers (and choices).",
        )
    found = list(dict.fromkeys(rows))
    for kind in sorted({row.kind for row in found}):
        n = sum(row.kind == kind for row in found)
        if n < LEAST:
            raise DataError(
                f"{path.name}: {n} different rows of {kind.removeprefix('your ')}; a probe needs at least {LEAST}.",
                hint="half of them steer the training, the other half judge it: give more rows.",
            )
    if not found:
        raise DataError(f"{path.name}: the probe has no rows with text.", hint="fill the column text.")
    return found


def halves(rows: Sequence[ProbeRow]) -> tuple[list[ProbeRow], list[ProbeRow]]:
    """(steer, judge): two halves of each kind without a row in common, by the rows' content alone."""
    steer: list[ProbeRow] = []
    judge: list[ProbeRow] = []
    for kind in sorted({row.kind for row in rows}):
        mine = sorted((row for row in rows if row.kind == kind), key=_mark)
        steer += mine[::2]
        judge += mine[1::2]
    return steer, judge


def items_of(rows: Sequence[ProbeRow], template: Template, *, context: int) -> list[Items]:
    """The rows as suites of tokens, one per kind, worded by the model's own template."""
    most = min(_MOST_TOKENS, context)
    return [
        _suite(kind, [row for row in rows if row.kind == kind], template, most)
        for kind in sorted({row.kind for row in rows})
    ]


def _suite(kind: str, rows: Sequence[ProbeRow], template: Template, most: int) -> Items:
    from tunesmith.training.batches import Encoded
    from tunesmith.training.drift import Items

    ids: list[tuple[int, ...]] = []
    prompts, item, right = [], [], []
    for i, row in enumerate(rows):
        for answer in row.choices or (row.answer,):
            start, said = _tokens(row.question, answer, template, most)
            if row.choices and answer == row.answer:
                right.append(len(ids))
            ids.append((*start, *said))
            prompts.append(len(start))
            item.append(i)
    n = len(ids)
    encoded = Encoded(tuple(ids), tuple(prompts), (0,) * n, (1.0,) * n)
    return Items(kind, "choices" if right else "words", encoded, tuple(item), tuple(right))


def _tokens(question: str, answer: str, template: Template, most: int) -> tuple[list[int], list[int]]:
    """(what is given, what counts). A question that is too long loses its beginning, an answer its end."""
    if question:
        said = template.answer_ids(answer, end=False)[: most // 2]
        return template.prompt_ids([{"role": "user", "content": question}])[-(most - len(said)) :], said
    first = template.tokenizer.bos_token_id
    start = [int(template.tokenizer.eos_token_id if first is None else first)]
    return start, list(template.tokenizer.encode(template.harmless(answer), add_special_tokens=False))[: most - 1]


def _asked(path: Path, table: Table, i: int, question: str | None, answer: str | None, choices: str | None) -> ProbeRow:
    where = f"{path.name} row {int(table.row[i].as_py())}"
    question, answer = (question or "").strip(), (answer or "").strip()
    if not question or not answer:
        raise DataError(f"{where}: no {'answer' if question else 'question'}.", hint="fill it, or drop the row.")
    listed = _listed(choices or "")
    if listed and (answer not in listed or len(set(listed)) < 2):
        raise DataError(
            f"{where}: the answer {answer[:60]!r} is not one of its {len(set(listed))} choices.",
            hint="write the answer as it stands among at least two choices.",
        )
    return ProbeRow(question, answer, tuple(dict.fromkeys(listed)))


def _listed(cell: str) -> list[str]:
    """A list as the reader gives it, as JSON, or with | between its items."""
    if cell.startswith("["):
        try:
            found = json.loads(cell)
        except (json.JSONDecodeError, RecursionError):
            found = None
        if isinstance(found, list):
            return [str(one).strip() for one in found if str(one).strip()]
    return [part.strip() for part in cell.split(LIST_MARK if LIST_MARK in cell else "|") if part.strip()]


def _mark(row: ProbeRow) -> str:
    return sha256_bytes(canonical([row.question, row.answer, list(row.choices)]))
