"""What the report says of the texts: languages, lengths, and a fingerprint per row."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.columns import sample_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LANGUAGE_SAMPLE = 400
# Shorter texts tell a language too badly to count.
_SHORTEST = 20


def guess_languages(texts: Sequence[str]) -> dict[str, Any]:
    """{"sampled", "shares": {code: share}} of the languages in a sample, by py3langid; most frequent first.

    Texts of fewer than 20 characters are left out; guesses in fewer than 2 % of the sample are summed as "other".
    """
    from py3langid.langid import classify

    picked = [texts[int(at)] for at in sample_rows(len(texts), most=4 * _LANGUAGE_SAMPLE, seed=6)]
    picked = [text[:1000] for text in picked if len(text) >= _SHORTEST][:_LANGUAGE_SAMPLE]
    if not picked:
        return {"sampled": 0, "shares": {}}
    found = Counter(str(classify(text)[0]) for text in picked)
    shares = {code: round(count / len(picked), 3) for code, count in found.most_common() if count >= 0.02 * len(picked)}
    other = 1 - sum(shares.values())
    if other > 0.0005:
        shares["other"] = round(other, 3)
    return {"sampled": len(picked), "shares": shares}


def describe_lengths(texts: Sequence[str]) -> dict[str, float]:
    """Quantiles of the texts' lengths in characters, and the mean number of words."""
    if not texts:
        return {}
    lengths = np.array([len(text) for text in texts])
    quantiles = np.quantile(lengths, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])
    names = ("shortest", "p5", "p25", "median", "p75", "p95", "longest")
    words = float(np.mean([len(texts[int(at)].split()) for at in sample_rows(len(texts), seed=7)]))
    return {
        **{name: float(round(value)) for name, value in zip(names, quantiles, strict=True)},
        "mean_words": round(words, 1),
    }


def content_hashes(texts: Sequence[str], targets: Sequence[str | None]) -> list[str]:
    """16 hex digits per row of what it says, text and target as they were read: equal wherever the row comes again."""
    return [
        hashlib.blake2b(
            f"{text.strip()}\x1f{(target or '').strip()}".encode("utf-8", "surrogatepass"), digest_size=8
        ).hexdigest()
        for text, target in zip(texts, targets, strict=True)
    ]


def codes_of(values: Sequence[str]) -> NDArray[np.int64]:
    """(n,) equal numbers for equal values, 0, 1, ... in order of first appearance."""
    number: dict[str, int] = {}
    return np.fromiter((number.setdefault(value, len(number)) for value in values), dtype=np.int64, count=len(values))
