"""What is trained on: real tables as token ids, made once and given to both sides."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Rows longer than this are cut in both sides alike where --quick has to end in time; it is also TRL's own default.
QUICK_TOKENS = 1024


@dataclass(frozen=True)
class Source:
    """Columns of a table. task: "classify" or "rewrite"."""

    name: str
    texts: tuple[str, ...]
    targets: tuple[str, ...]
    task: str
    inputs: tuple[str, ...]
    target: str

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, at: Sequence[int]) -> Source:
        texts, targets = tuple(self.texts[i] for i in at), tuple(self.targets[i] for i in at)
        return Source(self.name, texts, targets, self.task, self.inputs, self.target)


def from_file(path: Path, column: str, target: str) -> Source:
    """Any file that tunesmith reads: csv, tsv, jsonl, json, parquet, xlsx, compressed or not."""
    from tunesmith.data.reading import read_path
    from tunesmith.data.rendering import texts_of
    from tunesmith.tasks import task

    table = read_path(path)
    texts = texts_of(table, (column,))
    answers = [(value or "").strip() for value in table.values(target)]
    kept = [i for i, (text, answer) in enumerate(zip(texts, answers, strict=True)) if text and answer]
    if len(kept) < 2:
        raise SystemExit(f"{path.name}: fewer than two rows have both '{column}' and '{target}'.")
    texts, answers = [texts[i] for i in kept], [answers[i] for i in kept]
    kind = max(("classify", "rewrite"), key=lambda name: task.get(name).detect(answers, texts))
    return Source(path.name, tuple(texts), tuple(answers), kind, (column,), target)


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def banking(shared: Path, part: str = "train", *, intents: int | None = None) -> Source:
    """Questions to a bank; intents: only the first so many by name."""
    rows = _csv(shared / "banking77" / f"{part}.csv")
    kept = set(sorted({row["category"] for row in rows})[:intents])
    rows = [row for row in rows if row["category"] in kept]
    name = f"b{intents or 77}"
    texts, targets = tuple(row["text"] for row in rows), tuple(row["category"] for row in rows)
    return Source(name, texts, targets, "classify", ("text",), "category")


def dialogues(shared: Path, part: str = "train") -> Source:
    """Doctor and patient, and the section of the note that was written of it."""
    file = {"train": "MTS-Dialog-TrainingSet.csv", "dev": "MTS-Dialog-ValidationSet.csv",
            "test": "MTS-Dialog-TestSet-1-MEDIQA-Chat-2023.csv"}[part]  # fmt: skip
    rows = [
        row for row in _csv(shared / "mts_dialog" / file) if row["dialogue"].strip() and row["section_text"].strip()
    ]
    texts, targets = tuple(row["dialogue"] for row in rows), tuple(row["section_text"] for row in rows)
    return Source("mts", texts, targets, "rewrite", ("dialogue",), "section_text")


def messages(shared: Path, part: str = "train") -> Source:
    """Short messages, spam or not."""
    with (shared / "sms_spam" / "sms_spam.jsonl").open(encoding="utf-8") as handle:
        rows = [row for row in map(json.loads, handle) if row["split"] == part]
    texts, targets = tuple(row["text"] for row in rows), tuple(row["label"] for row in rows)
    return Source("sms", texts, targets, "classify", ("text",), "label")


def pairs(shared: Path, folder: Path, n: int, *, prompt_tokens: int, seed: int) -> tuple[Any, Any]:
    """(Encoded, Asker) of n pairs, rows 2i and 2i + 1: a dialogue cut to so many tokens with the note that was written
    of it (chosen) and with that of another one (rejected)."""
    from tunesmith.core.dataset import rows_of
    from tunesmith.training.batches import encode

    source = dialogues(shared)
    asker = worded(source, folder, ())
    # Only prompts that have to be cut are as long as they may be.
    long = [i for i, text in enumerate(source.texts) if asker.ask(text, room=prompt_tokens).lost]
    drawn = random.Random(seed).sample(long, min(n, len(long)))
    texts, answers = [], []
    for at, i in enumerate(drawn):
        texts += [source.texts[i]] * 2
        answers += [source.targets[i], source.targets[drawn[(at + 1) % len(drawn)]]]
    return encode(rows_of(texts, answers), asker, max_tokens=2 * prompt_tokens, room=prompt_tokens), asker


NAMED: dict[str, Callable[[Path], Source]] = {
    "b20": lambda shared: banking(shared, intents=20),
    "b77": banking,
    "mts": dialogues,
    "sms": messages,
}


def worded(source: Source, folder: Path, labels: Sequence[str]) -> Any:
    """The product's Asker for this table: instruction with the labels, then the text.

    A list of labels that does not fit into the context is left out, as the task then is to write the answer.
    """
    from transformers import AutoConfig, AutoTokenizer

    from tunesmith.core.errors import ModelError
    from tunesmith.models.template import Asker, Template
    from tunesmith.tasks import task

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    template = Template.of(tokenizer)
    for name in dict.fromkeys((source.task, "rewrite")):
        what = task.get(name)
        asker = Asker(template, what, what.prompt(labels, inputs=source.inputs, target=source.target))
        try:
            asker.ask("", room=context_of(AutoConfig.from_pretrained(folder, local_files_only=True)) // 2)
        except ModelError:
            continue
        return asker
    raise SystemExit(f"{source.name}: no wording of this table fits into the context of {folder.name}.")


def context_of(config: Any) -> int:
    """Tokens that a model reads."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", 2048))


def encoded(source: Source, folder: Path, labels: Sequence[str], *, longest: int | None = None) -> tuple[Any, Any]:
    """(Encoded, Asker) of every row, cut as the product cuts. longest: a lower bound on tokens than the product's."""
    from transformers import AutoConfig

    from tunesmith.core.dataset import rows_of
    from tunesmith.training.batches import encode
    from tunesmith.training.prompted import lengths_of

    asker = worded(source, folder, labels)
    context = context_of(AutoConfig.from_pretrained(folder, local_files_only=True))
    lengths = lengths_of(asker.template, source.targets, min(context, longest or context))
    rows = rows_of(source.texts, source.targets)
    return encode(rows, asker, max_tokens=lengths.max_tokens, room=lengths.room), asker


def store(path: Path, data: Any, asker: Any) -> dict[str, Any]:
    """Write the rows for the processes that train on them; returns what they are like."""
    n = [len(row) for row in data.ids]
    about = {
        "rows": len(n), "prefix_tokens": len(asker.prefix), "mean_tokens": round(sum(n) / len(n), 1),
        "longest": max(n), "mean_answer_tokens": round(sum(n) / len(n) - sum(data.n_prompt) / len(n), 1),
        "cut_tokens": data.source_lost + data.answer_lost,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**asdict(data), "about": about}))
    return about


def stored(path: Path) -> Any:
    """What `store` wrote, as the product's Encoded."""
    from tunesmith.training.batches import Encoded

    data = json.loads(path.read_text())
    del data["about"]
    data["ids"] = tuple(map(tuple, data["ids"]))
    return Encoded(**{key: tuple(v) if isinstance(v, list) else v for key, v in data.items()})
