"""Fields and spans by rules that the train rows confirm: patterns of personal data, values and forms seen before.

A rule (a kind of personal data, a value, a form such as 999-9999) marks a place with a tag if at least half of what it
finds in the train texts carries that tag there. No model is loaded: this is what a careful person writes in an hour.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.tasks.schema import read_schema
from tunesmith.training.marking import Layout
from tunesmith.training.rules import Rules, learn_rules
from tunesmith.training.systems import Job, Workload, system

_LEAST_TIMES = 3
_MOST_CHOICES_SEEN = 3000  # train rows that tell which words speak for a choice


@dataclass(frozen=True)
class PatternFitted:
    """usual: of every choice, what most rows have. words: of every choice, word -> what rows with it have."""

    system: ClassVar[str] = "pattern"
    layout: Layout
    rules: Rules
    usual: tuple[int, ...]
    words: tuple[dict[str, int], ...]

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        return Predictions(tuple(self._answer(text) for text in texts))

    def _answer(self, text: str) -> str:
        held = _words(text)
        chosen = [
            next((votes[word] for word in held if word in votes), usual)
            for votes, usual in zip(self.words, self.usual, strict=True)
        ]
        return self.layout.build(text, self.rules.marks(text), chosen)

    def save(self, folder: Path) -> None:
        about = {"usual": list(self.usual), "words": list(self.words)}
        write_json(folder / "pattern.json", {**self.layout.to_dict(), **self.rules.to_dict(), **about})


@dataclass(frozen=True)
class Pattern:
    """Rules from the train rows. Personal data is looked for with the patterns of the curation step."""

    name: str = "pattern"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "nothing"
    outputs: tuple[str, ...] = ("json",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> PatternFitted:
        values = [json.loads(target) for target in train.targets]
        layout = Layout.of(read_schema(job.prompt.schema), values, train.texts)
        marks = [layout.marks(value, text) for value, text in zip(values, train.texts, strict=True)]
        rules, _ = learn_rules(train.texts, marks)
        return PatternFitted(layout, rules, *_votes(layout, values, train.texts))

    def load(self, folder: Path, job: Job, ctx: Context) -> PatternFitted:
        about = read_json(folder / "pattern.json")
        layout = Layout.from_dict(read_schema(job.prompt.schema), about)
        words = tuple({word: int(code) for word, code in votes.items()} for votes in about["words"])
        return PatternFitted(layout, Rules.from_dict(about), tuple(about["usual"]), words)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        per_text = 2e-4 + 2e-5 * work.tokens_per_text
        return 0.1 + 2 * per_text * work.n_train, per_text * work.n_predict


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"\w+", text.casefold())))


def _votes(
    layout: Layout, values: Sequence[Any], texts: Sequence[str]
) -> tuple[tuple[int, ...], tuple[dict[str, int], ...]]:
    """Of every choice the usual value, and the words that speak for another one, the surest first."""
    codes = [layout.chosen(value) for value in values]
    usual, words = [], []
    for at in range(len(layout.choices)):
        counts = Counter(row[at] for row in codes if row[at] >= 0)
        most = counts.most_common(1)[0][0] if counts else -1
        seen: dict[str, Counter[int]] = defaultdict(Counter)
        for text, row in list(zip(texts, codes, strict=True))[:_MOST_CHOICES_SEEN]:
            for word in _words(text):
                seen[word][row[at]] += 1
        votes = {}
        for word, own in sorted(seen.items()):
            code, times = own.most_common(1)[0]
            if code not in (most, -1) and times >= _LEAST_TIMES and times >= 0.8 * sum(own.values()):
                votes[word] = code
        usual.append(most)
        words.append(votes)
    return tuple(usual), tuple(words)


system("pattern")(Pattern())
