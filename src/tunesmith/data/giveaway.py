"""Finds columns that give the answer away by themselves: copies of the label, codes, paths, sorted numbers.

A column like that makes any model look perfect and is not there when the model is used.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

# Share of rows that must be answered right by the column alone, and how far above guessing that must be.
_SURE = 0.95
_FAR_ABOVE_CHANCE = 0.9
# A second annotation of the same classes agrees far less than perfectly and is still an answer.
_SECOND_COPY = 0.5
_COVERED = 0.5
_FEWEST_ROWS = 20

_TOKENS = re.compile(r"[^\W\d_]{2,}", re.UNICODE)


def gives_away(values: Sequence[str | None], labels: Sequence[str]) -> str | None:
    """Why the column gives the label away, as part of a sentence, or None.

    values, labels: the same rows, in table order. Four ways are tried: the value stands for the label, the
    value holds words that stand for it, a number that is sorted like it, the label written inside the text.
    """
    pairs = [(value.strip(), label) for value, label in zip(values, labels, strict=True) if value and value.strip()]
    if len(pairs) < _FEWEST_ROWS or len({label for _, label in pairs}) < 2:
        return None
    cells, answers = [cell for cell, _ in pairs], [label for _, label in pairs]
    copy = _second_copy(cells, answers)
    if copy is not None:
        return copy
    right, covered = _by_value(cells, answers)
    if covered >= _COVERED and _is_sure(right, answers):
        return f"its value alone gives the right answer in {right:.0%} of the rows"
    if max(map(len, cells)) <= 300:
        tokens = [" ".join(sorted({t.lower() for t in _TOKENS.findall(cell)})) for cell in cells]
        if len(set(tokens)) < 0.5 * len(tokens):
            right, covered = _by_value(tokens, answers)
            if covered >= _COVERED and _is_sure(right, answers):
                return f"the words in it alone give the right answer in {right:.0%} of the rows"
        # Paths, codes and addresses only: in sentences a telling word is what there is to learn.
        if sum(len(cell.split()) for cell in cells) <= 2 * len(cells):
            right = _by_token(cells, answers)
            if _is_sure(right, answers):
                return f"a part of it alone gives the right answer in {right:.0%} of the rows"
    right = _by_order(cells, answers)
    if _is_sure(right, answers):
        return f"sorted by it, neighbours share the answer in {right:.0%} of the rows"
    return spells_out(cells, answers)


def spells_out(texts: Sequence[str], labels: Sequence[str]) -> str | None:
    """Why the texts give the label away by writing it out, or None."""
    written = [_plain(label) for label in labels]
    if min(map(len, set(written)), default=0) < 3:
        return None
    padded = [f" {_plain(text)} " for text in texts]
    held = np.array([f" {label} " in text for text, label in zip(padded, written, strict=True)])
    shuffled = np.random.default_rng(0).permutation(len(written))
    chance = np.array([f" {written[at]} " in text for text, at in zip(padded, shuffled, strict=True)])
    same = np.array([written[at] == label for at, label in zip(shuffled, written, strict=True)])
    by_chance = float(chance[~same].mean()) if (~same).any() else 1.0
    if held.mean() >= 0.9 and by_chance <= 0.2:
        return f"it spells the answer out in {held.mean():.0%} of the rows"
    return None


def _second_copy(cells: Sequence[str], answers: Sequence[str]) -> str | None:
    here, there = {c.casefold() for c in cells}, {a.casefold() for a in answers}
    if not (here <= there or there <= here) or len(here) > 3 * len(there):
        return None
    agree = float(np.mean([c.casefold() == a.casefold() for c, a in zip(cells, answers, strict=True)]))
    chance = _agreement_by_chance(cells, answers)
    if agree - chance >= _SECOND_COPY * (1 - chance):
        return f"it holds the same values as the answer and agrees with it in {agree:.0%} of the rows"
    return None


def _agreement_by_chance(cells: Sequence[str], answers: Sequence[str]) -> float:
    a, b = Counter(c.casefold() for c in cells), Counter(x.casefold() for x in answers)
    return sum(a[key] * b[key] for key in a) / (len(cells) * len(answers))


def _is_sure(right: float, answers: Sequence[str]) -> bool:
    chance = max(Counter(answers).values()) / len(answers)
    return right >= _SURE and right - chance >= _FAR_ABOVE_CHANCE * (1 - chance)


def _by_value(cells: Sequence[str], answers: Sequence[str]) -> tuple[float, float]:
    """(share right, share covered): each row answered by the other rows with the same value, if any."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for cell, answer in zip(cells, answers, strict=True):
        seen[cell][answer] += 1
    right = covered = 0
    for cell, answer in zip(cells, answers, strict=True):
        others = seen[cell]
        if sum(others.values()) < 2:
            continue
        covered += 1
        best, count = others.most_common(1)[0]
        own = others[answer] - 1
        right += own > 0 and (best == answer or own >= count)
    return (right / covered if covered else 0.0), covered / len(cells)


def _by_token(cells: Sequence[str], answers: Sequence[str]) -> float:
    """Share right when each row is answered by its purest part (path segment, prefix, code letters)."""
    parts = [set(re.findall(r"[^\W_]+", cell.lower())) for cell in cells]
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for found, answer in zip(parts, answers, strict=True):
        for part in found:
            seen[part][answer] += 1
    right = 0
    for found, answer in zip(parts, answers, strict=True):
        best_purity, best_answer = 0.0, ""
        for part in sorted(found):
            counts = seen[part]
            others = sum(counts.values()) - 1
            if others < 2:
                continue
            top = max(counts, key=lambda a: (counts[a] - (a == answer), a))
            purity = (counts[top] - (top == answer)) / others * (1 - 1 / (others + 1))
            if purity > best_purity:
                best_purity, best_answer = purity, top
        right += best_answer == answer
    return right / len(cells)


def _by_order(cells: Sequence[str], answers: Sequence[str]) -> float:
    """Share of rows whose next row, in the order of the column, has the same answer (numbers and dates only)."""
    try:
        keys = np.array([float(cell.replace(",", ".")) for cell in cells])
    except ValueError:
        digits = sum(any(c.isdigit() for c in cell) for cell in cells)
        if digits < 0.99 * len(cells):
            return 0.0
        keys = np.array([int(re.sub(r"\D", "", cell)[:18] or 0) for cell in cells], dtype=np.float64)
    if len(np.unique(keys)) < 0.5 * len(keys):
        return 0.0
    order = np.argsort(keys, kind="stable")
    sorted_answers = np.array(answers, dtype=object)[order]
    return float(np.mean(sorted_answers[1:] == sorted_answers[:-1]))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))
