"""What a detector of personal data returns, the kinds there are, and how overlapping spans are settled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

# kind -> how it reads in a sentence. The order settles which of two equally good spans stays.
KINDS = {
    "email": "e-mail address",
    "url": "web address",
    "ip": "IP address",
    "iban": "bank account (IBAN)",
    "card": "payment card",
    "national_id": "national id",
    "date_of_birth": "date of birth",
    "phone": "phone number",
    "address": "postal address",
    "postcode": "postal code",
    "person": "person",
    "organisation": "organisation",
    "place": "place",
}
PATTERN_KINDS = tuple(list(KINDS)[:8])
NAME_KINDS = tuple(list(KINDS)[8:])
_RANK = {kind: at for at, kind in enumerate(KINDS)}

# Said wherever findings are reported: a count of what was found is no promise that nothing is left.
NOT_FOUND = (
    "names in lower case without a cue beside them",
    "names that are everyday words",
    "names in scripts without capital letters",
    "nicknames and user names",
    "health, faith, opinion and other sensitive facts",
    "ages, occupations and nationalities",
    "vehicle, passport, licence and account numbers without a word that names them",
    "national ids of countries other than those listed",
    "people who can be told from a combination of harmless facts",
    "images and attachments",
)


class Span(NamedTuple):
    """Characters start to end (exclusive) of a text that hold personal data.

    score: 0 to 1, larger is surer; not a calibrated probability. reason: what speaks for it, never the value itself.
    """

    kind: str
    start: int
    end: int
    score: float
    reason: str


def settle(spans: Iterable[Span]) -> list[Span]:
    """The spans without overlaps, in order of place: of two that overlap the surer stays, then the longer one."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (-s.score, s.start - s.end, _RANK[s.kind], s.start)):
        if all(span.end <= other.start or span.start >= other.end for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)
