"""Finds personal data in texts: patterns, addresses and names put together, or presidio behind the same call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from tunesmith.core.errors import ConfigError, did_you_mean
from tunesmith.data.personal.addresses import find_addresses
from tunesmith.data.personal.names import find_names
from tunesmith.data.personal.patterns import find_patterns, is_reserved, worth_searching
from tunesmith.data.personal.spans import KINDS, NAME_KINDS, PATTERN_KINDS, Span, settle

Finder = Callable[[Sequence[str]], list[list[Span]]]
GROUPS = {"patterns": PATTERN_KINDS, "names": NAME_KINDS, "all": tuple(KINDS)}


def kinds_of(names: Iterable[str]) -> tuple[str, ...]:
    """The kinds that names of kinds and groups (GROUPS) stand for; ConfigError with the nearest for an unknown one."""
    wanted: set[str] = set()
    for name in names:
        if name not in KINDS and name not in GROUPS:
            known = [*GROUPS, *KINDS]
            raise ConfigError(
                f"personal.kinds: no kind of personal data is called '{name}'.",
                hint=did_you_mean(name, known) or f"there are {', '.join(known)}.",
            )
        wanted.update(GROUPS.get(name, (name,)))
    return tuple(kind for kind in KINDS if kind in wanted)


def finder(
    texts: Sequence[str],
    *,
    kinds: Collection[str],
    engine: str = "rules",
    model: str = "en_core_web_sm",
    least: float = 0.0,
) -> Finder:
    """A function from texts to the spans of each, for data that `texts` is (a part of).

    least: spans of a smaller score are left out. Raises MissingExtra where presidio is asked for and not installed,
    CannotRun where its model is not there.
    """
    search: Finder
    if engine == "presidio":
        from tunesmith.data.personal.presidio import Presidio

        search = Presidio(model, kinds=kinds)
    elif any(kind in NAME_KINDS for kind in kinds):
        common = common_words(texts)

        def search(some: Sequence[str]) -> list[list[Span]]:
            return [find(text, kinds=kinds, common=common) for text in some]
    else:

        def search(some: Sequence[str]) -> list[list[Span]]:
            found: list[list[Span]] = [[] for _ in some]
            for at in worth_searching(some):
                found[at] = find(some[at], kinds=kinds)
            return found

    return lambda some: [[span for span in spans if span.score >= least] for spans in search(some)]


def find(text: str, *, kinds: Collection[str] = tuple(KINDS), common: Collection[str] = frozenset()) -> list[Span]:
    """Spans of personal data in order of place, without overlaps.

    kinds:  which to report, keys of KINDS; without any of NAME_KINDS only patterns are searched, which is faster.
    common: words in lower case that are no names in this data (`common_words`).
    Values in ranges that are reserved for examples (example.com, 555-01xx, 192.0.2.0/24) are not reported.
    """
    spans = find_patterns(text)
    if any(kind in NAME_KINDS for kind in kinds):
        # Streets are called after people and towns: what is part of an address is no name of its own.
        spans = settle([*spans, *find_addresses(text)])
        addresses = [(s.start, s.end) for s in spans if s.kind == "address"]
        names = settle(find_names(text, common_here=common, addresses=addresses))
        spans += [name for name in names if all(name.end <= s.start or name.start >= s.end for s in spans)]
    return [s for s in settle(spans) if s.kind in kinds and not is_reserved(s.kind, text[s.start : s.end])]


def common_words(texts: Sequence[str], *, most: int = 50_000) -> frozenset[str]:
    """Words of the first `most` texts that are no names: a name list cannot know the words of a trade, the data does.

    They are written in lower case at least three times and more often than capitalised (capitals at the start of a text
    are not counted), or are abbreviations: at least three times, and always, in capitals, within texts that are not.
    """
    lower: Counter[str] = Counter()
    upper: Counter[str] = Counter()
    capitals: Counter[str] = Counter()
    for text in texts[:most]:
        calm = sum(map(str.isupper, text)) < 0.3 * len(text)
        for word in dict.fromkeys(text.split()[1:]):
            bare = word.strip(".,;:!?\"'()[]“”*")
            if not bare.isalpha():
                continue
            if bare.islower():
                lower[bare] += 1
            else:
                upper[bare.lower()] += 1
                if calm and 1 < len(bare) < 6 and bare.isupper():
                    capitals[bare.lower()] += 1
    words = {word for word, count in lower.items() if count >= 3 and count > upper[word]}
    return frozenset(words | {word for word, count in capitals.items() if count >= 3 and count == upper[word]})
