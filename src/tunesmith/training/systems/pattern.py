"""Fields and spans by rules that the train rows confirm: patterns of personal data, values and forms seen before.

A rule (a kind of personal data, a value, a form such as 999-9999) marks a place with a tag if at least half of what it
finds in the train texts carries that tag there. No model is loaded: this is what a careful person writes in an hour.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.data.personal.find import common_words, find
from tunesmith.tasks.schema import read_schema
from tunesmith.training.marking import Layout, Mark, tokens_of
from tunesmith.training.systems import Job, Workload, system

_SURE, _LEAST_TIMES = 0.5, 3
_LONGEST_VALUE = 8  # tokens; longer values do not come back
_MOST_CHOICES_SEEN = 3000  # train rows that tell which words speak for a choice
_KINDS = ("personal", "form", "value")


@dataclass(frozen=True)
class PatternFitted:
    """rules: kind of rule -> what it looks for -> (tag, share of its finds that carry the tag).

    usual: of every choice, the value most rows have. words: of every choice, word -> value that rows with it have.
    common: words of this data that are no names.
    """

    system: ClassVar[str] = "pattern"
    layout: Layout
    rules: dict[str, dict[str, tuple[int, float]]]
    usual: tuple[int, ...]
    words: tuple[dict[str, int], ...]
    common: frozenset[str]

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        return Predictions(tuple(self._answer(text) for text in texts))

    def _answer(self, text: str) -> str:
        found = []
        for rule, what, start, end in _finds(text, self.common):
            if what in self.rules[rule]:
                tag, share = self.rules[rule][what]
                found.append(Mark(start, end, tag, share))
        kept: list[Mark] = []
        for mark in sorted(found, key=lambda m: (m.start - m.end, -m.score, m.start)):  # long before short, then sure
            if all(mark.end <= other.start or other.end <= mark.start for other in kept):
                kept.append(mark)
        held = _words(text)
        chosen = [
            next((votes[word] for word in held if word in votes), usual)
            for votes, usual in zip(self.words, self.usual, strict=True)
        ]
        return self.layout.build(text, kept, chosen)

    def save(self, folder: Path) -> None:
        rules = {rule: {what: list(tag) for what, tag in sorted(found.items())} for rule, found in self.rules.items()}
        about = {
            "rules": rules,
            "usual": list(self.usual), "words": list(self.words), "common": sorted(self.common),
        }  # fmt: skip
        write_json(folder / "pattern.json", {**self.layout.to_dict(), **about})


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
        common = common_words(train.texts)
        marks = [layout.marks(value, text) for value, text in zip(values, train.texts, strict=True)]
        known = {rule: set[str]() for rule in _KINDS}
        for text, own in zip(train.texts, marks, strict=True):
            for mark in own:
                said = text[mark.start : mark.end]
                known["value"].add(_value(said))
                known["form"].add(_form(said))
        finds: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        for text, own in zip(train.texts, marks, strict=True):
            tags = {(mark.start, mark.end): mark.tag for mark in own}
            for rule, what, start, end in _finds(text, common):
                if rule == "personal" or what in known[rule]:
                    finds[rule, what][tags.get((start, end), -1)] += 1
        rules: dict[str, dict[str, tuple[int, float]]] = {rule: {} for rule in _KINDS}
        for (rule, what), counts in finds.items():
            tag, times = max(
                ((t, n) for t, n in counts.items() if t >= 0), key=lambda tn: (tn[1], -tn[0]), default=(-1, 0)
            )
            share = times / sum(counts.values())
            if tag >= 0 and share >= _SURE and (rule == "value" or times >= _LEAST_TIMES):
                rules[rule][what] = (tag, round(share, 4))
        usual, words = _votes(layout, values, train.texts)
        return PatternFitted(layout, rules, usual, words, common)

    def load(self, folder: Path, job: Job, ctx: Context) -> PatternFitted:
        about = read_json(folder / "pattern.json")
        rules = {rule: {w: (int(t), float(s)) for w, (t, s) in found.items()} for rule, found in about["rules"].items()}
        layout = Layout.from_dict(read_schema(job.prompt.schema), about)
        words = tuple({word: int(code) for word, code in votes.items()} for votes in about["words"])
        return PatternFitted(layout, rules, tuple(about["usual"]), words, frozenset(about["common"]))

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        per_text = 2e-4 + 2e-5 * work.tokens_per_text
        return 0.1 + 2 * per_text * work.n_train, per_text * work.n_predict


def _finds(text: str, common: frozenset[str]) -> Iterable[tuple[str, str, int, int]]:
    """(kind of rule, what it looks for, start, end) of everything that could be marked."""
    for span in find(text, common=common):
        yield "personal", span.kind, span.start, span.end
    tokens = tokens_of(text)
    for i in range(len(tokens)):
        for j in range(i, min(len(tokens), i + _LONGEST_VALUE)):
            start, end = tokens[i][0], tokens[j][1]
            said = text[start:end]
            yield "value", _value(said), start, end
            if any(letter.isdigit() for letter in said):
                yield "form", _form(said), start, end


def _value(said: str) -> str:
    return " ".join(said.casefold().split())


def _form(said: str) -> str:
    """Digits as 9, letters by case: "CS 550" is "AA 999"."""
    return re.sub(r"[^\W\d_]", lambda m: "A" if m.group().isupper() else "a", re.sub(r"\d", "9", said))


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
