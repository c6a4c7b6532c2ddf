"""What a dialogue says of a word, turn by turn: stated, denied, or only asked.

A question states nothing until it is answered: "Any fever or chest pain?" denies both if the reply begins with a no,
and states both if it begins with a yes, in whatever words. What has no turns is read sentence by sentence.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from tunesmith.tasks.facts import facts

_SPEAKER = re.compile(r"^\s*([^\W\d_]+(?:[ _]?[^\W_]+)?)\s*:\s*")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_FILLERS = r"^(?:(?:oh|um+|uh+|hm+|well|ah|so|okay|ok|actually|honestly|thankfully|luckily|fortunately|god)[, .]*)*"
_NOT = r"(?:\s+not\b|n['’]t\b)"
_NO = re.compile(
    _FILLERS + r"(?:no\b|nope\b|nah\b|never\b|none\b|nothing\b|neither\b|not\b|negative\b|absolutely not\b|denies\b"
    r"|[^\W\d_]+ (?:do|does|did|have|has|had|is|are|was|were|would|can|could)" + _NOT +
    r"|[^\W\d_]+(?:['’](?:m|s|re|ve))? (?:not|never)\b|(?:do|does|did|have|has|had|is|are|was|were)" + _NOT + r")",
    re.IGNORECASE,
)  # fmt: skip
_YES = re.compile(
    _FILLERS + r"(?:yes|yeah|yep|yup|ya|sure|correct|right|absolutely|definitely|exactly|indeed|of course|a little|"
    r"a bit|some|sometimes|somewhat|occasionally|(?:i|we|he|she|it|they) (?:do|does|have|has|am|is|are|did|was))\b",
    re.IGNORECASE,
)
_MOST_READ = 20_000  # characters of a text


@dataclass
class Stance:
    """How often a word is stated, denied, asked about."""

    stated: int = 0
    denied: int = 0
    asked: int = 0


@lru_cache(maxsize=4_096)
def stances(text: str) -> Mapping[str, Stance]:
    """Stem -> what the text says of it, for the terms that `tasks.facts` reads; to the 20,000th character."""
    found: dict[str, Stance] = defaultdict(Stance)
    open_terms: set[str] = set()
    asker: str | None = None
    for line in text[:_MOST_READ].splitlines():
        spoken = _SPEAKER.match(line)
        who = spoken[1].casefold() if spoken else ""
        begins = True
        for sentence in filter(str.strip, _SENTENCE.split(line[spoken.end() :] if spoken else line)):
            if sentence.rstrip().endswith("?"):
                if who != asker:
                    open_terms = set()
                asker = who
                terms = _terms(sentence.rstrip("? "))
                open_terms |= terms.keys()
                for word in terms:
                    found[word].asked += 1
            else:
                # The asker's own words after a question ("Any fever? I see none.") settle it as a reply does.
                if open_terms and (who != asker or not begins):
                    no, yes = bool(_NO.match(sentence)), bool(_YES.match(sentence))
                    for word in open_terms if no or yes else ():
                        found[word].denied += no
                        found[word].stated += not no
                    if no or yes or who != asker:
                        open_terms, asker = set(), None
                for word, denied in _terms(sentence).items():
                    found[word].denied += denied
                    found[word].stated += not denied
            begins = False
    return dict(found)


@lru_cache(maxsize=50_000)
def _terms(sentence: str) -> dict[str, bool]:
    return {f.value: f.kind == "negation" for f in facts(sentence).weights if f.kind in ("term", "negation")}
