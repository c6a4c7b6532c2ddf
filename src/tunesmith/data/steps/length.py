"""Rows with too little text to learn from, or more than a model can read."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.columns import WIDE
from tunesmith.data.steps import step

# Tokens that a word of running text costs, where no tokenizer is at hand yet.
_TOKENS_A_WORD = 1.4
# So many standard deviations of the logarithm of the length above the mean is no text like the others.
_FAR = 4.0
_FEWEST_ROWS = 100


@step("length")
def length(data: Dataset, *, shortest: int = 2, context: int | None = None, **options: Any) -> list[Finding]:  # noqa: ARG001
    """Flag rows without a letter or digit, with fewer words than `shortest`, or longer than can be read.

    shortest: words (kind "short"); only where half of the rows have twice as many and more, for a table may be of
    single words. Each character of a script without spaces counts as a word.
    context: tokens that the model reads at once; None: unknown, and only rows far longer than the others (four
    standard deviations of the logarithm) are flagged (kind "long"). Tokens are estimated at 1.4 a word.
    """
    texts, ids = data.table["text"].to_pylist(), data.table["id"].to_pylist()
    if not texts:
        return []
    words = np.array([_words(text) for text in texts])
    sizes = np.round(_TOKENS_A_WORD * words).astype(np.int64)
    usual = float(np.median(words))
    logs = np.log1p(sizes)
    far = float(logs.mean() + _FAR * max(logs.std(), 0.25)) if len(texts) >= _FEWEST_ROWS else np.inf
    found = []
    for at, text in enumerate(texts):
        if not any(map(str.isalnum, text)):
            found.append(Finding("length", ids[at], "flag", "has no letter and no digit", kind="empty"))
        elif words[at] < shortest and usual >= 2 * shortest:
            reason = f"has {words[at]} word{'' if words[at] == 1 else 's'}; half of the rows have {usual:g} or more"
            found.append(Finding("length", ids[at], "flag", reason, 0.5, kind="short"))
        elif context is not None and sizes[at] > context:
            reason = f"has about {sizes[at]:,} tokens, the model reads {context:,}"
            found.append(Finding("length", ids[at], "flag", reason, 0.8, kind="long"))
        elif context is None and logs[at] > far:
            reason = f"has about {sizes[at]:,} tokens; half of the rows have {int(np.median(sizes)):,} or fewer"
            found.append(Finding("length", ids[at], "flag", reason, 0.5, kind="long"))
    return found


def _words(text: str) -> int:
    if text.isascii():
        return len(text.split())
    wide = len(WIDE.findall(text))
    return len(WIDE.sub(" ", text).split()) + wide if wide else len(text.split())
