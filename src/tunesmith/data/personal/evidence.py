"""What speaks for a run of capitalised words being a person, a place or an organisation: features and their weights.

The features are made by hand: lists, shape, spelling, and the words around. Their weights are those of a multinomial
logistic regression (`weights.json`), learned by `benchmarks/data/personal_weights.py` from sentences written for it and
from the half of presidio-research's templates (MIT) on which nothing is reported. Weights are relative to "none".
"""

# ruff: noqa: E501, SIM905 - cues are clearest uncut

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from tunesmith.data.personal import common, places, surnames
from tunesmith.data.personal.given import GIVEN, read
from tunesmith.data.personal.letters import spelt_like

TITLES = frozenset(
    "mr mister mrs ms miss mx dr doctor prof professor sir madam lord lady dame herr frau monsieur madame mme mlle señor señora sr sra signor signora dott don doña capt captain sgt lt col gen rev father uncle aunt auntie president senator judge justice officer detective inspector nurse coach chancellor minister sheikh sheikha shri smt mullah imam rabbi pastor sister brother".split()
)
ROLES = frozenset(
    "friend wife husband son daughter brother sister mother father mom mum dad kid child boss colleague cousin partner girlfriend boyfriend nephew niece grandson granddaughter grandmother grandfather neighbor neighbour manager ceo cfo cto singer player actor actress author composer guitarist drummer writer director producer founder owner chairman chairwoman spokesman spokeswoman captain striker goalkeeper midfielder defender lawyer attorney teacher student patient doctor nurse client customer employee assistant secretary accountant plumber tenant landlord roommate flatmate artist painter poet scientist professor researcher analyst economist coach driver champion rival teammate commenter user contractor leader artist ex named".split()
)
SAYING = frozenset(
    "said says asked replied told answered explained added wrote writes thinks believes knows wants likes loves lives lived works worked died married smiled laughed agreed insisted spent retired resigned joined called emailed texted phoned rang met visited ordered complained confirmed signed paid sent moved studied graduated scored won lost sang sings plays played directed argued claimed admitted denied reported requested suggested warned nodded shrugged sighed whispered shouted remembers remembered forgot hopes hoped feels felt drove flew arrived left returned stayed has had".split()
)
BEING = frozenset("is was will would can could should does did may might must who whose".split())
MEETING = frozenset(
    "asked told met called saw emailed contacted paid married thank thanks invite invited remind reminded help helped ask tell call meet see email contact remove add added visit visited knows know love loves hired sued fired beat defeated arrested interviewed charged between and with to for from by about against under".split()
)
_INTRODUCED = re.compile(
    r"(?:\bname(?:'s|’s| is|d|:| on [\w ]{1,20}is| of)|\bcall(?:s|ed)? (?:me|him|her)|\bi am|\bi['’]m|\bthis is|\bit['’]s under|\bmeet|\bdear|\bhi|\bhello|\bhey|\bnamed (?:him|her|it)|\bspeak(?:ing)? (?:to|with)|\btalk(?:ing)? (?:to|with)|\bsigned by|\bregards,?|\bsincerely,?|\bcheers,?|\bthanks,?|\bfollow up with|\bremember me,|\bon behalf of|\battn:?|\bc/o|\bfrom:|\bto:|\bcc:)\s*$",
    re.I,
)
NAMED = re.compile(
    r"(?:\b(?:my|his|her|full|last|first|maiden|sur|family|given|partner['’]s|user|middle|legal|patient|customer|client|cardholder|contact)\s?name(?:['’]s| is|:| was)?|\bname:|\b(?:calls?|called) (?:me|him|her)|\bnamed (?:him|her)|\bi am called|\bfollow up with|\buser:)\s*$",
    re.I,
)
_SIGNED = re.compile(
    r"(?:regards|sincerely|cheers|thanks|thank you|yours|faithfully|love|best|wishes|cordially|respectfully|signed)[,.! ]*\n\s*$",
    re.I,
)
PLACE_SPOKEN_OF = re.compile(
    r"\b(?:liv(?:e[sd]?|ing) in|moved (?:here |there |back |away )?(?:from|to|in)|born in|travel(?:l?ing|l?ed|s)? (?:to|in|through)|fl(?:ew|y|ying|ight|ights) (?:to|from)|originally from|grew up in|raised in|arrived? (?:at|in|from)|come[s]? from|came from|returned to|visit(?:ed|ing)?|based in|located in|resid(?:es?|ing) in|city of|town of|village of|state of|province of|capital of|trip to|holidays? in|vacation in|i['’]m in|i am from|i['’]m from|is from|are from|was from|where:|north of|south of|east of|west of|miles from|km from|outskirts of|streets of|branch in|office in|offices in|hotel in|apartment in|house in|weather in|city:|town:|country:|location:|destination:|ship(?:ping|ped)? to|deliver(?:y|ed)? to|drove to|train to|bus to|way to)\s*$",
    re.I,
)
_PEOPLE_LISTED = re.compile(
    r"\b(?:founders|authors|participants|members|speakers|guests|attendees|present|winners|directors|editors|players|actors|starring|cast|witness(?:es)?|between|passengers?|beneficiar(?:y|ies)|colleagues|friends|neighbou?rs|brothers|sisters|sons|daughters|children|kids|signatories|cc)\b:? *(?:[^\W\d_][\w'’-]*(?: [^\W\d_][\w'’-]*)?,? (?:and |& )?)?$",
    re.I,
)
_SAID = frozenset("said says asked replied wrote writes added told explained adds warned joked cried whispered".split())
_PLACE_BEFORE = frozenset("in near towards outside across throughout around".split())
_ORG_STRONG = re.compile(
    r"\b(?:work(?:s|ed|ing)? (?:for|at)|employed (?:by|at)|hired by|company|compan(?:y|ies) (?:called|named)|firm|ceo of|founder of|director of|chairman of|president of|manager (?:at|of)|year at|job at|interview (?:at|with)|internship at|recorded for|shares? (?:of|in)|customer of|account with|contract with|invoice from|bought from|ordered from|acquired by|owned by|made by|published by|competitor|rival|subsidiary of|employer:?|company:|organi[sz]ation:|bank:|startup|brand|the address of)\s*$",
    re.I,
)
_COMPANY_AFTER = re.compile(
    r"^(?:['’]s)?,? (?:website|app|account|shares?|stock|shareholders|employees|staff|customers?|products?|ceo|cfo|headquarters|announced|acquired|launched|reported|merged|hired|is (?:the brainchild|a company|a firm|a start-?up|hiring|headquartered|an? \S+ (?:company|firm|provider|maker|manufacturer))|was (?:founded|acquired|established)|orchestra|records|card|loan|mortgage|subscription|delivery|support|customer service|invoice|services?)\b",
    re.I,
)
COMPASS = frozenset(
    "north south east west northern southern eastern western central new old upper lower san santa saint st port fort mount lake los las el la grand great little puerto são villa bad".split()
)


class Lists(NamedTuple):
    """What is known of words in lower case; learning hides some of it, so that weights do not lean on the lists."""

    given: Callable[[str], bool]
    family: Callable[[str], bool]
    organisation: Callable[[str], bool]
    place: Callable[[str], bool]


_ORGANISATIONS = frozenset(read("organisations.txt").replace("\n", "|").strip("|").split("|"))
LISTS = Lists(
    GIVEN.__contains__, surnames.SURNAMES.__contains__, _ORGANISATIONS.__contains__, places.PLACES.__contains__
)


class Around(NamedTuple):
    """A run of capitalised words and what stands around it."""

    words: tuple[str, ...]  # as written, without signs
    ordinary: tuple[bool, ...]  # which of them are words of the language
    opens: bool  # begins a sentence or line
    before: str  # up to 45 characters before, of the same line
    above: str  # the same with the line above
    after: str  # up to 40 characters after
    previous: str  # the word or sign before, in lower case; "" at the start
    before_that: str
    previous_capital: bool
    following: str  # the word or sign after, in lower case; "" at the end
    following_capital: bool
    after_address: bool  # only blanks, commas and line ends lie between it and an address before it
    before_address: bool
    loud: bool  # in a sentence of capitals or a headline
    lower_elsewhere: bool  # one of the words stands in lower case elsewhere in the text


def features(run: Around, lists: Lists = LISTS) -> list[str]:
    """Names of the features that hold."""
    words = run.words
    low = [word.lower() for word in words]
    core = [word for word in low if word not in surnames.PARTICLES] or low
    full, n = " ".join(low), len(words)
    found = [f"words {min(n, 4)}"]
    say = found.append
    initials = sum(len(word) == 1 for word in words)
    _shape(run, say, initials)
    given = [lists.given(word) for word in low]
    family = [lists.family(word) or (len(word) > 6 and word.endswith(surnames.ENDINGS)) for word in low]
    placed = lists.place(full) or (low[0] in COMPASS and lists.place(" ".join(low[1:])))
    partly = n > 1 and any(lists.place(word) for word in core)
    if given[0]:
        say("given first" if n > 1 else "given alone")
    elif any(given):
        say("given within")
    if n > 1 and family[-1]:
        say("family last")
    elif any(family):
        say("family alone" if n == 1 else "family within")
    if given[0] and n > 1 and family[-1]:
        say("given and family")
    if placed:
        say("place listed" if not (given[0] or any(family)) else "place listed, and a name")
    elif n > 1 and low[-1] in places.COUNTRIES:
        say("country last")
    elif partly:
        say("place within")
    if full.endswith(places.ENDINGS) and not run.ordinary[-1]:
        say("place's ending")
    if n > 1 and low[0] in COMPASS:
        say("compass first")
    if lists.organisation(full):
        say("organisation listed")
    elif n > 1 and lists.organisation(low[0]):
        say("organisation first")
    tail = low[1:]
    if any(word in common.COMPANY for word in tail):
        say("company's form")
    if tail and tail[-1] in common.ORGANISATION:
        say("organisation last")
    elif any(word in common.ORGANISATION for word in low):
        say("organisation within")
    unknown = [
        w for w, o, g, f in zip(low, run.ordinary, given, family, strict=True) if not (o or g or f or len(w) < 3)
    ]
    if unknown and len(unknown) == n and not placed:
        say("all unknown")
    if unknown:
        person = max(spelt_like(word)[0] for word in unknown)
        place = max(spelt_like(word)[1] for word in unknown)
        say(f"spelt as a person {_step(person)}")
        say(f"spelt as a place {_step(place)}")
        say(f"spelt person over place {_step(person - place)}")
    known = any(given) or any(family)
    _context(run, say, known)
    return found


def _step(value: float) -> int:
    return max(-2, min(3, round(value * 2)))


def _shape(run: Around, say: Callable[[str], None], initials: int) -> None:
    words, n = run.words, len(run.words)
    capitals = all(word.isupper() for word in words) and any(len(word) > 1 for word in words)
    if run.opens:
        say("opens" if n > 1 else "opens alone")
    if run.loud:
        say("loud")
    if capitals and not run.loud:
        say("capitals" if n > 1 else "capitals alone" if len(words[0]) > 4 else "short capitals")
    if "and" in words:
        say("family names in a row")
    if initials and initials < n:
        say("initial within" if len(words[0]) > 1 else "initial first")
    if any(word.lower() in surnames.PARTICLES for word in words[1:]):
        say("particle")
    if any("-" in word for word in words):
        say("hyphen" if n > 1 else "hyphen alone")
    if any(
        word[1:] != word[1:].lower() and not word.isupper() and "'" not in word and "-" not in word for word in words
    ):
        say("capital inside")
    if any("'" in word or "’" in word for word in words):
        say("apostrophe")
    if all(run.ordinary):
        say("all ordinary")
    else:
        if run.ordinary[0]:
            say("ordinary first")
        if n > 1 and run.ordinary[-1]:
            say("ordinary last")
    if run.lower_elsewhere:
        say("lower elsewhere")


_THING = re.compile(
    r"^(?:['’]s)?,? (?:disease|syndrome|lymphoma|chorea|sign|test|law|theorem|method|index|model|distribution|algorithm|prize|award|cup|trophy|protocol|treaty|act|amendment)\b",
    re.I,
)


def _context(run: Around, say: Callable[[str], None], known: bool) -> None:
    before, previous, following = run.before, run.previous, run.following
    own = "" if known else ", unknown"
    if previous in TITLES or (previous == "." and run.before_that in TITLES):
        say("title before")
    if NAMED.search(before):
        say("named")
    elif _INTRODUCED.search(before):
        say("introduced")
    elif previous in ROLES:
        say("role before")
    elif previous in MEETING:
        say("met" + own)
    if previous in _SAID:
        say("said before")
    if _PEOPLE_LISTED.search(before):
        say("people listed")
    if _SIGNED.search(run.above):
        say("signed")
    if PLACE_SPOKEN_OF.search(before):
        say("place spoken of")
    elif previous in _PLACE_BEFORE:
        say("place's preposition")
    elif previous in (
        "from",
        "to",
        "at",
        "of",
        "the",
        "by",
        "on",
        "a",
        "an",
        "and",
        ",",
        "(",
        '"',
        "“",
        ":",
        "my",
        "your",
        "this",
        "our",
    ):
        say(f"{previous} before")
    elif not before.strip(" >?*|\t-"):
        say("line begins")
    elif previous.isdigit():
        say("number before")
    if _ORG_STRONG.search(before):
        say("employer spoken of")
    if _COMPANY_AFTER.search(run.after):
        say("company after")
    if _THING.search(run.after):
        say("thing called after it")
    if following in SAYING:
        say("person's verb" + own)
    elif following in BEING:
        say("being after")
    elif following in ("'", "’"):
        say("possessive")
    elif following in (":", ",", "!", "(", "of", "and", "?", '"'):
        say(f"{following} after")
    elif following.isdigit():
        say("number after")
    elif not following or run.after[:1] == "\n":
        say("line ends")
    elif following == ".":
        say("full stop after")
    elif following.isalpha() and not run.following_capital:
        say("word after")
    if following == ":" and run.opens:
        say("speaker")
    if run.opens and len(run.words) == 1:
        say(
            f"opens{', unknown' if not known else ''}, then {'comma' if following in (',', '!') else 'verb' if following in BEING or following in SAYING else 'other'}"
        )
    if not before.strip(" >?*|\t-") and (not run.after.strip() or run.after[:1] == "\n"):
        say("line alone")
    if re.match(r",? (?:aged? )?\d{1,2}(?:,| years)", run.after):
        say("age after")
    if run.after_address:
        say("address before")
    if run.before_address:
        say("address after")
    if run.previous_capital:
        say("capital before")
    if run.following_capital and following.isalpha():
        say("capital after")


@lru_cache(maxsize=1)
def weights() -> dict[str, dict[str, float]]:
    """kind -> feature -> weight against "none"; the feature "" is the bias."""
    text = resources.files("tunesmith.data.personal").joinpath("weights.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def totals(found: Sequence[str]) -> dict[str, float]:
    """kind -> sum of evidence against "none"; above 0 the kind is likelier than nothing."""
    return {kind: own[""] + sum(own.get(name, 0.0) for name in found) for kind, own in weights().items()}
