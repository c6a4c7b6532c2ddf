"""Rows in another language than nearly all the others."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.duplicates import normalise
from tunesmith.data.steps import step

# Below this many letters a guess is wrong too often to be used.
_FEWEST_LETTERS = 25
_MAIN = 0.95
# A row of which so many words are common in the rows of the main language is in that language, whatever is guessed.
_FOREIGN_WORDS = 0.35
# A guess counts from this probability on; any guess counts for rows with hardly a common word, for the guesser knows 97
# languages and spreads its belief over them for the others.
_SURE, _STRANGE_WORDS, _FEWEST_WORDS = 0.9, 0.2, 5
_LONGEST = 1000
_FEWEST_ROWS = 10


@step("language")
def language(data: Dataset, *, expected: str | None = None, **options: Any) -> list[Finding]:  # noqa: ARG001
    """Flag rows in another language than 95 % of the rows that are long enough to tell (25 letters).

    expected: ISO 639-1 code of the language; None: the one that 95 % of the rows have, and nothing is found in a table
    of several languages. A row is foreign if py3langid says so with a probability of 0.9 and two thirds of its words
    stand in no three rows of the main language, or nearly all of its words do so (then the language named may be
    wrong). Test rows are flagged by their inputs.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    texts, ids = data.table["text"].to_pylist(), data.table["id"].to_pylist()
    tellable = [at for at, text in enumerate(texts) if sum(map(str.isalpha, text)) >= _FEWEST_LETTERS]
    if not tellable:
        return []
    identify = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    guesses = {at: identify.classify(texts[at][:_LONGEST]) for at in tellable}
    others: dict[int, tuple[str, float]] = {}
    main = expected or Counter(str(code) for code, _ in guesses.values()).most_common(1)[0][0]
    rows_with: Counter[str] = Counter()
    for at, (code, _) in guesses.items():
        if str(code) == main:
            rows_with.update(set(normalise(texts[at]).split()))
    for at, (code, sure) in guesses.items():
        if str(code) == main:
            continue
        words = [word for word in set(normalise(texts[at]).split()) if word.isalpha()]
        known = float(np.mean([rows_with[word] > 2 for word in words])) if words else 1.0
        strange = known <= _STRANGE_WORDS and len(words) >= _FEWEST_WORDS and len(texts) >= _FEWEST_ROWS
        if (sure >= _SURE and (len(texts) < _FEWEST_ROWS or known <= _FOREIGN_WORDS)) or strange:
            others[at] = (str(code), float(sure))
    if expected is None and len(others) > (1 - _MAIN) * len(tellable) and len(others) > 1:
        return []
    return [
        Finding("language", ids[at], "flag", f"is in '{code}', the other rows are in '{main}'", round(sure, 3))
        for at, (code, sure) in sorted(others.items())
    ]
