"""Turns found passages into answers: quotes, cites or abstains.

What is answered is what is quoted, so nothing is said that the documents do not say.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from tunesmith.core.library import sentences
from tunesmith.models.retrieve import Found, Shelf, words_of
from tunesmith.tasks.citations import Citation, CitedAnswer, verify_citations

TOLD = 10  # passages named in an answer, whether cited or not
# Words. A quote is the run of sentences of at most so many that has most of the question; short passages stand whole.
_QUOTE = 70


def answers(
    texts: Sequence[str], found: Found, sure: Sequence[float], shelf: Shelf, *, cite_at: float
) -> tuple[CitedAnswer, ...]:
    """One answer per question: the best passage quoted where its probability is at least `cite_at`, else abstained.

    sure: probability that the first passage is a right one. Every quote has been found again in its passage.
    """
    made = []
    for text, places, probability in zip(texts, found.at, sure, strict=True):
        passages = tuple(shelf.library.passages[int(at)].reference for at in places[:TOLD])
        if not passages or not text.strip() or probability < cite_at:
            made.append(CitedAnswer("", (), passages if text.strip() else (), abstained=True))
            continue
        citation = quote(text, int(places[0]), shelf)
        answer = CitedAnswer(citation.quote, (citation,), passages)
        faults = verify_citations(answer, shelf.library)
        assert not faults, faults
        made.append(answer)
    return tuple(made)


def quote(question: str, at: int, shelf: Shelf) -> Citation:
    """The part of a passage that says most of what the question asks, as a citation."""
    passage = shelf.library.passages[at]
    start, end = telling_part(question, passage.text, shelf)
    return Citation(passage.document, passage.passage, passage.text[start:end], start, end)


def telling_part(question: str, text: str, shelf: Shelf) -> tuple[int, int]:
    """(start, end) of the run of sentences, at most 70 words long, with most of the question's words by weight.

    Of equal runs the shortest, then the first. A passage that is no longer stands whole.
    """
    spans = sentences(text)
    if not spans:
        return 0, len(text)
    lengths = [len(text[s:e].split()) for s, e in spans]
    if sum(lengths) <= _QUOTE:
        return spans[0][0], spans[-1][1]
    weights = {word: shelf.weights.get(word, 0.0) for word in set(words_of(question))}
    has = [{word for word in set(words_of(text[s:e])) if word in weights} for s, e in spans]
    before = [0, *accumulate(lengths)]
    best, part = (-1.0, 0), (spans[0][0], spans[0][1])
    for first in range(len(spans)):
        held: set[str] = set()
        for last in range(first, len(spans)):
            long = before[last + 1] - before[first]
            if long > _QUOTE and last > first:
                break
            held = held | has[last]
            worth = (round(sum(weights[word] for word in held), 9), -long)
            if worth > best:
                best, part = worth, (spans[first][0], spans[last][1])
    return part
