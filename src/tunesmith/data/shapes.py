"""The shapes that fine-tuning data sets come in, by their usual column names, mapped to inputs and a target.

    prompt/completion     prompt, completion
    preference            prompt, chosen, rejected        or chosen and rejected as whole conversations
    messages              a list of {role, content}       the last assistant turn is the target
    sharegpt              conversations: {from, value}    likewise
    alpaca                instruction, input, output
    questions per query   sentences: {text, ...}, sql     a row per sentence, the first query as its target
    text only             text with "### Response:" or the like in it

The names are those of the TRL documentation ("Dataset formats and types").
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tunesmith.data.readers._flatten import columns_of
from tunesmith.data.table import LIST_MARK, Table

_TURNS = (("messages", "role", "content"), ("conversations", "from", "value"), ("conversations", "role", "content"),
          ("conversation", "role", "content"), ("conversation", "from", "value"))  # fmt: skip
_ASSISTANT = frozenset({"assistant", "gpt", "bot", "model", "chatgpt", "bard", "ai"})
_USER = frozenset({"user", "human", "customer", "prompter"})
QUERIES = "questions per query"
_SENTENCES = "sentences."
_MARKER = re.compile(r"#{2,3} ?(?:Assistant|Response|Output|Answer|Bot|Completion):?[ \t]*\n?")


@dataclass(frozen=True)
class Shape:
    """A known shape: its name, the table with plain columns, and the columns' parts."""

    name: str
    table: Table
    inputs: tuple[str, ...]
    target: str
    rejected: str | None = None  # column with the answer that `target` is preferred to


def shape_of(table: Table) -> Shape | None:
    """The shape of the table, or None if it is of no known one."""
    names = set(table.names)
    for column, role, content in _TURNS:
        if {f"{column}.{role}", f"{column}.{content}"} <= names:
            name = "sharegpt" if role == "from" else "messages"
            return _of_turns(table, name, f"{column}.{role}", f"{column}.{content}")
    answer = "completion" if "completion" in names or "completion.content" in names else "chosen"
    compared = answer == "chosen" and bool({"rejected", "rejected.content"} & names)
    name, rejected = ("preference", "rejected") if compared else ("prompt/completion", None)
    if {"prompt.content", f"{answer}.content"} <= names:
        for column in ("prompt", answer, *((rejected,) if rejected and "rejected.content" in names else ())):
            table = _joined_turns(table, column)
        return Shape(name, table, ("prompt",), answer, rejected)
    if {"prompt", answer} <= names:
        return Shape(name, table, ("prompt",), answer, rejected)
    if {"chosen.role", "chosen.content"} <= names:
        if {"rejected.role", "rejected.content"} <= names:
            return _of_two_conversations(table)
        return _of_turns(table, "messages", "chosen.role", "chosen.content")
    if {"instruction", "output"} <= names:
        inputs = tuple(n for n in ("system", "instruction", "input") if n in names and _is_filled(table, n))
        return Shape("alpaca", table, inputs, "output")
    if {f"{_SENTENCES}text", "sql"} <= names:
        return _of_questions(table)
    if len(names) == 1:
        return _of_text(table)
    return None


def expand_json(table: Table) -> Table:
    """The table with columns that hold JSON objects as text replaced by their flattened columns."""
    import pyarrow as pa

    data = table.data
    for name in table.names:
        head = [value for value in data[name].slice(0, 50).to_pylist() if value]
        if not head or not all(value[:1] in "[{" and value.rstrip()[-1:] in "]}" and '"' in value for value in head):
            continue
        rows = [{name: _loaded(value)} for value in data[name].to_pylist()]
        if not any(isinstance(row[name], (dict, list)) for row in rows):
            continue
        columns = columns_of(rows, name)
        at = data.column_names.index(name)
        data = data.remove_column(at)
        for key, values in columns.items():
            data = data.append_column(key, pa.chunked_array([pa.array(values, pa.string())]))
    return table if data is table.data else table.with_columns(data)


def _loaded(value: str | None) -> Any:
    if value is None:
        return None
    try:
        return json.loads(value)
    except (json.JSONDecodeError, RecursionError):
        return value


def _of_turns(table: Table, name: str, role: str, content: str) -> Shape:
    """Everything before the last assistant turn is the prompt, that turn is the completion."""
    import pyarrow as pa

    prompts: list[str | None] = []
    completions: list[str | None] = []
    for roles, contents in zip(table.values(role), table.values(content), strict=True):
        turns = list(zip((roles or "").lower().split(LIST_MARK), (contents or "").split(LIST_MARK), strict=False))
        last = max((at for at, (who, _) in enumerate(turns) if who in _ASSISTANT), default=None)
        before = turns if last is None else turns[:last]
        prompts.append(_written(before) or None)
        completions.append(None if last is None else turns[last][1] or None)
    data = pa.table(
        {
            "prompt": pa.chunked_array([pa.array(prompts, pa.string())]),
            "completion": pa.chunked_array([pa.array(completions, pa.string())]),
            **{n: table.data[n] for n in table.names if n not in (role, content, "prompt", "completion")},
        }
    )
    return Shape(name, table.with_columns(data), ("prompt",), "completion")


def _of_questions(table: Table) -> Shape:
    """Queries with the questions that ask for them, as text-to-SQL data is kept: a row per question.

    Columns of the questions go with them where every question has a value; of several queries the first is the target.
    """
    import pyarrow as pa

    texts = [(value or "").split(LIST_MARK) for value in table.values(f"{_SENTENCES}text")]
    at = [row for row, asked in enumerate(texts) for _ in asked]
    columns = {"question": [text for asked in texts for text in asked]}
    for name in table.names:
        cells = [(value or "").split(LIST_MARK) for value in table.values(name)]
        if name.startswith(_SENTENCES) and list(map(len, cells)) == list(map(len, texts)):
            columns.setdefault(name.removeprefix(_SENTENCES), [cell for row in cells for cell in row])
    columns.pop("text", None)
    repeated = table.take(at)
    queries = [(value or "").split(LIST_MARK)[0] or None for value in repeated.values("sql")]
    others = {n: repeated.data[n] for n in table.names if n not in ("sql", *columns) and not n.startswith(_SENTENCES)}
    made = {name: pa.array([value or None for value in values], pa.string()) for name, values in columns.items()}
    data = pa.table({**made, "sql": pa.array(queries, pa.string()), **others})
    return Shape(QUERIES, repeated.with_columns(data), ("question",), "sql")


def _of_two_conversations(table: Table) -> Shape:
    """Whole conversations, chosen and rejected, that differ in their last assistant turn; where what comes before
    differs too, there is nothing to compare and the rejected answer is left empty."""
    import pyarrow as pa

    chosen = _of_turns(table, "preference", "chosen.role", "chosen.content").table
    other = _of_turns(table, "preference", "rejected.role", "rejected.content").table
    rejected = [
        answer if ours == theirs else None
        for ours, theirs, answer in zip(
            chosen.values("prompt"), other.values("prompt"), other.values("completion"), strict=True
        )
    ]
    data = chosen.data.drop_columns(["rejected.role", "rejected.content"])
    data = data.append_column("rejected", pa.chunked_array([pa.array(rejected, pa.string())]))
    return Shape("preference", table.with_columns(data), ("prompt",), "completion", "rejected")


def _written(turns: list[tuple[str, str]]) -> str:
    if len(turns) == 1 and turns[0][0] in _USER:
        return turns[0][1]
    return "\n".join(f"{who}: {what}" for who, what in turns if what)


def _joined_turns(table: Table, column: str) -> Table:
    import pyarrow as pa

    roles = table.values(f"{column}.role") if f"{column}.role" in table.names else [None] * len(table)
    texts = []
    for who, what in zip(roles, table.values(f"{column}.content"), strict=True):
        turns = list(zip((who or "user").lower().split(LIST_MARK), (what or "").split(LIST_MARK), strict=False))
        texts.append(turns[0][1] if len(turns) == 1 else _written(turns))
    data = table.data.drop_columns([n for n in (f"{column}.role", f"{column}.content") if n in table.names])
    return table.with_columns(data.append_column(column, pa.chunked_array([pa.array(texts, pa.string())])))


def _of_text(table: Table) -> Shape | None:
    """One column of texts with a marker before the answer, as instruction data is often stored."""
    import pyarrow as pa

    values = table.values(table.names[0])
    found = [list(_MARKER.finditer(value or "")) for value in values]
    if not values or sum(map(bool, found)) < 0.95 * len(values):
        return None
    prompts = [(v or "")[: m[-1].start()].strip() or None if m else v for v, m in zip(values, found, strict=True)]
    answers = [(v or "")[m[-1].end() :].strip() or None if m else None for v, m in zip(values, found, strict=True)]
    data = pa.table({"prompt": pa.array(prompts, pa.string()), "completion": pa.array(answers, pa.string())})
    return Shape("text only", table.with_columns(data), ("prompt",), "completion")


def _is_filled(table: Table, name: str) -> bool:
    return any(value and value.strip() for value in table.values(name))
