"""How likely it is that a number, a word or a "no" in an answer was swapped, judged by its source.

What an answer has and its source lacks proves little: people write much into a note that nobody said. A swap leaves
two traces: the answer has what the source lacks, *and* the source has what the answer lacks, in the same place. What
each trace weighs differs from table to table, so it is learnt from the table itself: every claim of every answer is
compared with counterfeits of it (another number of its unit, another word that follows the same word, the other
polarity) by a classifier that never saw the row. Its log-odds are the evidence that a claim is a counterfeit.

Two rules speak beside what is learnt, for counterfeits are not what people get wrong: the share of what a sentence
denies (or states) that the source, read turn by turn, states (denies) alone; and how sure a word that the source lacks
is elsewhere found in the sources of answers that have it.

Sources: noise-contrastive estimation (Gutmann and Hyvarinen 2010) for the idea of learning evidence from
counterfeits; out-of-fold throughout, so that a row does not vouch for itself.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log, log1p
from typing import TYPE_CHECKING, Literal

import numpy as np

from tunesmith.data.claims import Claims, Sentence, claims_of
from tunesmith.data.copying import Vocabulary
from tunesmith.data.turns import Stance, stances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.tasks.facts import Fact

Kind = Literal["number", "word", "polarity"]
KINDS: tuple[Kind, ...] = ("number", "word", "polarity")
_NONE = -6.0  # evidence of a row that makes no claim of a kind
_RULE = 3.0  # nats of a rule that holds wholly, before its mean is taken off; chosen on one table's training part
_LONGEST_DENIAL = 5  # terms that a made-up denial reaches


@dataclass(frozen=True)
class Grounding:
    """Evidence against answers.

    nats: kind -> (n,) log of the odds that one claim of that kind was swapped against that none was, any claim as
    likely as any other. worst: kind -> for each row the claim that looks most like a counterfeit, in words, or "".
    """

    nats: dict[Kind, NDArray[np.float64]]
    worst: dict[Kind, list[str]]


@dataclass
class _Claim:
    """One claim (or counterfeit) with what is measured of it."""

    row: int
    made_up: bool
    features: list[float]
    what: str


@dataclass
class _Table:
    sources: list[Claims]
    answers: list[Claims]
    words: Vocabulary
    numbers: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    of_unit: dict[tuple[str, str | None], list[str]] = field(default_factory=lambda: defaultdict(list))
    after: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    denied: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))


def grounding(sources: Sequence[str], answers: Sequence[str], *, seed: int = 0) -> Grounding:
    """Evidence that claims of answers were swapped; sources and answers of equal length, at least 50 to learn from."""
    table = _read(sources, answers, seed)
    draw = random.Random(seed)
    nats: dict[Kind, NDArray[np.float64]] = {}
    worst: dict[Kind, list[str]] = {}
    measured: dict[Kind, list[list[_Claim]]] = {
        "number": [_number_claims(table, draw)], "word": [_word_claims(table, draw)],
        "polarity": _polarity_claims(table, draw),
    }  # fmt: skip
    for kind, groups in measured.items():
        nats[kind], worst[kind] = _by_row(groups, len(answers), seed)
    rows = range(len(answers))
    _speak(nats["polarity"], worst["polarity"], [_contradicted(table, row, stances(sources[row])) for row in rows])
    _speak(nats["word"], worst["word"], [_missed(table, row) for row in rows])
    return Grounding(nats, worst)


# ---------------------------------------------------------------- what is learnt from the table


def out_of_fold(X: NDArray[np.float64], y: NDArray[np.int64], rows: NDArray[np.int64], *, seed: int, folds: int = 3
                ) -> NDArray[np.float64]:  # fmt: skip
    """(n,) log-likelihood ratio of y = 1, of small boosted trees that saw none of the row's claims; 0 if untaught."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    found = np.zeros(len(y))
    for fold in range(folds):
        held = rows % folds == fold
        base = y[~held].mean() if (~held).any() else 0.0
        if not held.any() or not 0 < base < 1:
            continue
        model = HistGradientBoostingClassifier(
            max_iter=80, max_leaf_nodes=8, min_samples_leaf=20, early_stopping=False, random_state=seed
        ).fit(X[~held], y[~held])
        p = np.clip(model.predict_proba(X[held])[:, 1], 1e-4, 1 - 1e-4)
        found[held] = np.log(p / (1 - p)) - log(base / (1 - base))
    return found


def _by_row(groups: list[list[_Claim]], n: int, seed: int) -> tuple[NDArray[np.float64], list[str]]:
    """Evidence a row: the mean likelihood ratio of its claims; and its worst claim."""
    total, count = np.zeros(n), np.zeros(n)
    worst = [""] * n
    most = np.zeros(n)
    for claims in groups:
        if not claims:
            continue
        X = np.array([claim.features for claim in claims])
        rows = np.array([claim.row for claim in claims])
        made = np.array([claim.made_up for claim in claims])
        evidence = out_of_fold(X, made.astype(np.int64), rows, seed=seed)
        for claim, nats in zip(claims, evidence.tolist(), strict=True):
            if claim.made_up:
                continue
            total[claim.row] += np.exp(nats)
            count[claim.row] += 1
            if nats > most[claim.row]:
                most[claim.row], worst[claim.row] = nats, claim.what
    return np.where(count > 0, np.log(np.maximum(total / np.maximum(count, 1), np.exp(_NONE))), _NONE), worst


def _speak(nats: NDArray[np.float64], worst: list[str], rule: list[tuple[float, str]]) -> None:
    """Adds a rule's share (0 to 1) to the evidence of rows, in place, so that rows on average gain none."""
    spoken = _RULE * np.array([share for share, _ in rule])
    nats += spoken - log(float(np.exp(spoken).mean()))
    for row, (share, what) in enumerate(rule):
        if not worst[row] and share > 0:
            worst[row] = what


def _contradicted(table: _Table, row: int, known: Mapping[str, Stance]) -> tuple[float, str]:
    """The largest share of what a sentence states, or denies, that the source has only the other way."""
    most, words = 0.0, ""
    for sentence in table.answers[row].sentences:
        for says_no in (False, True):
            against, agree = 0.0, 0.5
            hit = []
            for word, denied in sentence.terms.items():
                stance = known.get(word)
                if denied != says_no or stance is None or (stance.stated > 0) == (stance.denied > 0):
                    continue
                if (stance.denied > 0) == says_no:
                    agree += table.words.rarity(word)
                else:
                    against += table.words.rarity(word)
                    hit.append(word)
            if against / (against + agree) > most:
                most = against / (against + agree)
                words = f"{'no' if says_no else 'not denied:'} {', '.join(hit[:4])}"
    return most, words


def _missed(table: _Table, row: int) -> tuple[float, str]:
    """The largest share of other answers with a word whose sources have it, over words that this source lacks."""
    source, words = table.sources[row], table.words
    begun = {word[:5] for word in source.stems if len(word) >= 5}
    most, missed = 0.0, ""
    for word in table.answers[row].polarity:
        if word in source.stems or word in source.polarity or (len(word) >= 5 and word[:5] in begun):
            continue
        share = (words.in_both[word] + words.stated) / words.in_answer[word]  # one answer fewer, one expected more
        if share > most:
            most, missed = share, f"'{word}'"
    return most, missed


def _read(sources: Sequence[str], answers: Sequence[str], seed: int) -> _Table:
    said, written = list(map(claims_of, sources)), list(map(claims_of, answers))
    table = _Table(said, written, Vocabulary.learn(said, written, out_of_fold, seed=seed))
    for answer in written:
        for sentence in answer.sentences:
            for number in sentence.numbers:
                table.numbers[number.value, number.unit] += 1
                table.of_unit[number.kind, number.unit].append(number.value)
            for before, word in zip(("", *sentence.order), sentence.order, strict=False):
                if word in sentence.terms:
                    table.after[before].append(word)
        for word, (yes, no) in answer.polarity.items():
            table.denied[word][0] += yes
            table.denied[word][1] += no
    return table


# ---------------------------------------------------------------- numbers


def _number_claims(table: _Table, draw: random.Random) -> list[_Claim]:
    found = []
    for row, answer in enumerate(table.answers):
        for sentence in answer.sentences:
            for number in sentence.numbers:
                found.append(_number(table, row, sentence, number, number.value))
                mates = table.of_unit[number.kind, number.unit]
                value = (
                    draw.choice(mates) if draw.random() < 0.5 and len(set(mates)) > 3 else _other(number.value, draw)
                )
                if value != number.value and value not in answer.numbers:
                    found.append(_number(table, row, sentence, replace(number, value=value), number.value))
    return found


def _other(value: str, draw: random.Random) -> str:
    return re.sub(r"\d", lambda _: draw.choice("0123456789"), value)


def _number(table: _Table, row: int, sentence: Sentence, number: Fact, true: str) -> _Claim:
    """true: the value that stands in the answer, in whose place `number` is weighed."""
    source, answer = table.sources[row], table.answers[row]
    stated = number.value in source.numbers
    units = source.numbers.get(number.value, frozenset())
    agrees = stated and (number.unit is None or number.unit in units or None in units)
    near = near_unit = near_itself = 0.0
    same, left = 0, {}
    before: set[str] = set()
    for said in source.sentences:
        if said.numbers:
            overlap = table.words.overlap(sentence.terms, before | set(said.terms))
            for other in said.numbers:
                if other.value == number.value:
                    near_itself = max(near_itself, overlap)
                elif other.value == true or other.value not in answer.numbers:
                    left[other.value] = other
                    near = max(near, overlap)
                    if (other.unit, other.kind) == (number.unit, number.kind):
                        same += 1
                        near_unit = max(near_unit, overlap + 0.3)
        before = set(said.terms)
    others = [value in source.numbers for value in answer.numbers if value != true]
    made_up = number.value != true
    seen = table.numbers[number.value, number.unit] - (not made_up)
    features = [
        float(agrees), float(stated), float(min(same, 3)), log1p(len(left)), near, near_unit, near_itself,
        (sum(others) + 0.6) / (len(others) + 1), log(seen + 0.5), float(number.unit is not None),
        float(min(sum(map(str.isdigit, number.value)), 5)), float(number.kind == "date"), float(bool(source.numbers)),
        float(not stated and same > 0),
    ]  # fmt: skip
    what = f"the number {_shown(number)}"
    if not stated and left:
        mates = sorted(left.values(), key=lambda other: (other.unit != number.unit, other.value))
        what += f" (the source has {', '.join(map(_shown, mates[:3]))})"
    return _Claim(row, made_up, features, what)


def _shown(number: Fact) -> str:
    return f"{number.value} {number.unit}" if number.unit else number.value


# ---------------------------------------------------------------- words


def _word_claims(table: _Table, draw: random.Random) -> list[_Claim]:
    found = []
    for row, answer in enumerate(table.answers):
        known = table.sources[row].stems
        all_terms = [word in known for word in answer.polarity]
        met = set()
        often = Counter(word for sentence in answer.sentences for word in sentence.order)
        for sentence in answer.sentences:
            order = ("", *sentence.order)
            own = [word in known for word in sentence.terms]
            for at in range(1, len(order)):
                word = order[at]
                if word not in sentence.terms or word in met:
                    continue
                met.add(word)
                around = [order[k] for k in range(max(1, at - 4), min(len(order), at + 5))
                          if k != at and order[k] in sentence.terms]  # fmt: skip
                near = [order[k] for k in (at - 2, at - 1, at + 1, at + 2)
                        if 0 < k < len(order) and order[k] in sentence.terms]  # fmt: skip
                stated = word in known
                shares = [
                    _share(sum(own) - stated, len(own) - 1),
                    _share(sum(w in known for w in around), len(around)),
                    _share(sum(all_terms) - stated, len(all_terms) - 1),
                    float(word in sentence.names),
                ]
                found.append(_Claim(row, False, [*table.words.traces(row, word, near, own=True), *shares], f"'{word}'"))
                mates = table.after[order[at - 1]]
                if draw.random() < 0.5 or len(mates) < 5:
                    mates = table.words.of_answers
                other = next((w for w in (draw.choice(mates) for _ in range(6)) if w not in answer.stems), None)
                # Only what the source states is counterfeited: a swap of anything else leaves no second trace.
                if other is not None and stated:
                    gone = word if often[word] == 1 else None
                    traces = table.words.traces(row, other, near, own=False, gone=gone)
                    found.append(_Claim(row, True, [*traces, *shares], ""))
    return found


def _share(count: int, of: int) -> float:
    return (count + 0.5) / (of + 1.0)


# ---------------------------------------------------------------- polarity


def _polarity_claims(table: _Table, draw: random.Random) -> list[list[_Claim]]:
    """Claims that something is so, and claims that it is not: evidence against the two is learnt apart."""
    asserting: list[_Claim] = []
    denying: list[_Claim] = []
    for row, answer in enumerate(table.answers):
        for sentence in answer.sentences:
            order = list(dict.fromkeys(word for word in sentence.order if word in sentence.terms))
            denied = [word for word in order if sentence.terms[word]]
            asserted = [word for word in order if not sentence.terms[word]]
            if denied:
                denying.append(_polarity(table, row, denied, says_no=True, made_up=False))
                asserting.append(_polarity(table, row, order, says_no=False, made_up=True))
            if asserted:
                asserting.append(_polarity(table, row, asserted, says_no=False, made_up=False))
                length = draw.randint(1, min(_LONGEST_DENIAL, len(asserted)))
                start = draw.randint(0, len(asserted) - length)
                part = asserted[start : start + length]
                denying.append(_polarity(table, row, part, says_no=True, made_up=True))
    return [asserting, denying]


def _polarity(table: _Table, row: int, words: list[str], *, says_no: bool, made_up: bool) -> _Claim:
    source = table.sources[row]
    stood = says_no is not made_up  # how the answer has these words
    agree = against = unknown = most = 0.0
    usual = []
    weights = {word: table.words.rarity(word) for word in words}
    for word, weight in weights.items():
        counts = table.denied[word]
        no, yes = counts[1] - stood, counts[0] - (not stood)
        usual.append((1 if says_no else -1) * log((max(no, 0) + 0.1) / (max(yes, 0) + 0.9)))
        said = source.polarity.get(word)
        if said is None:
            unknown += weight
        elif said[says_no] and not said[not says_no]:
            agree += weight
        elif said[not says_no] and not said[says_no]:
            against += weight
            most = max(most, weight)
        else:
            unknown += 0.5 * weight
    weighed = total = best = 0.0
    share_there = 0.5
    for window in source.replied:
        hit = [word for word in weights if word in window]
        overlap = sum(weights[word] for word in hit)
        if overlap > 0:
            weighed += sum(weights[word] for word in hit if window[word])
            total += overlap
            if overlap > best:
                best, share_there = overlap, sum(window.values()) / len(window)
    features = [
        agree, against, unknown, most, against / (agree + against + 0.5), agree / (agree + against + 0.5),
        float(np.mean(usual)), min(usual), max(usual), float(np.clip(usual, -3, 3).sum()), log1p(len(words)),
        (weighed + 0.2) / (total + 0.6), share_there, best / (sum(weights.values()) + 0.1),
        float(len(source.sentences)),
    ]  # fmt: skip
    listed = ", ".join(words[:4]) + (" …" if len(words) > 4 else "")
    return _Claim(row, made_up, features, f"{'no' if says_no else 'not denied:'} {listed}")
