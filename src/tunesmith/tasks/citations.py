"""Answers with citations as JSON, and the proof that every quote stands where the answer says.

    {"answer": "...", "abstained": false,
     "citations": [{"document": "3", "passage": "18.8.2", "quote": "...", "start": 0, "end": 120}],
     "passages": [["3", "18.8.2"], ["3", "18.5.1"]]}

`start` and `end` count characters of the passage's text. `passages` are those that were found, best first, whether
cited or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tunesmith.core.library import Library, Reference

Fault = Literal["not an answer", "no such document", "no such passage", "altered quote", "wrong place", "no quote"]


@dataclass(frozen=True)
class Citation:
    """A quote and where it stands: text[start:end] of the passage."""

    document: str
    passage: str
    quote: str
    start: int
    end: int

    @property
    def reference(self) -> Reference:
        return self.document, self.passage


@dataclass(frozen=True)
class CitedAnswer:
    """What is answered to a question. passages: what was found, best first. Abstained: nothing is claimed."""

    answer: str
    citations: tuple[Citation, ...] = ()
    passages: tuple[Reference, ...] = ()
    abstained: bool = False

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(
            {
                "answer": self.answer,
                "abstained": self.abstained,
                "citations": [asdict(c) for c in self.citations],
                "passages": [list(p) for p in self.passages],
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str | None) -> CitedAnswer | None:
        """The answer that `text` holds; None if it holds none."""
        made = _loaded(text)
        if made is None:
            return None
        try:
            citations = tuple(
                Citation(str(c["document"]), str(c["passage"]), str(c["quote"]), int(c["start"]), int(c["end"]))
                for c in made.get("citations") or ()
            )
            passages = tuple((str(document), str(passage)) for document, passage in made.get("passages") or ())
            return cls(str(made["answer"]), citations, passages, bool(made.get("abstained", False)))
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


@dataclass(frozen=True)
class CitationFault:
    """What is wrong with one citation. citation: its number in the answer, from 0; -1: the answer as a whole."""

    citation: int
    fault: Fault
    about: str


def gold_of(references: Iterable[Reference]) -> str:
    """The target of a question: the passages that answer it, as JSON."""
    return json.dumps([list(reference) for reference in dict.fromkeys(references)], ensure_ascii=False)


def references_of(target: str) -> tuple[Reference, ...]:
    """The passages of a target; () for what is none."""
    try:
        return tuple((str(document), str(passage)) for document, passage in json.loads(target))
    except (ValueError, TypeError, RecursionError):
        return ()


def verify_citations(answer: CitedAnswer | str | None, library: Library) -> tuple[CitationFault, ...]:
    """Everything that is wrong with the citations of an answer, whoever wrote it; () if every quote holds.

    A quote holds if its document and passage exist and text[start:end] of the passage is the quote, byte for byte.
    Whether the passage is the right one to cite, it cannot say. An answer that claims something and cites nothing has
    the fault "no quote"; one that is not JSON of the form above "not an answer".
    """
    if isinstance(answer, CitedAnswer):
        made: CitedAnswer | None = answer
    else:
        made = CitedAnswer.from_json(answer)
    if made is None:
        return (CitationFault(-1, "not an answer", "it cannot be read as an answer with citations"),)
    faults = []
    if not made.citations and made.answer.strip() and not made.abstained:
        faults.append(CitationFault(-1, "no quote", "it claims something and cites nothing"))
    for number, citation in enumerate(made.citations):
        fault = _fault(citation, library)
        if fault is not None:
            faults.append(CitationFault(number, *fault))
    return tuple(faults)


def _fault(citation: Citation, library: Library) -> tuple[Fault, str] | None:
    if citation.reference not in library.at:
        if citation.document not in library.documents:
            return "no such document", f"there is no document '{citation.document}'"
        return "no such passage", f"document '{citation.document}' has no passage '{citation.passage}'"
    text = library[citation.reference].text
    if not citation.quote:
        return "no quote", f"nothing is quoted from {citation.document} § {citation.passage}"
    inside = 0 <= citation.start < citation.end <= len(text)
    if inside and _bytes(text[citation.start : citation.end]) == _bytes(citation.quote):
        return None
    if citation.quote in text:
        at = text.index(citation.quote)
        return "wrong place", f"the quote stands at {at}, not at {citation.start}"
    elsewhere = next((p for p in library if citation.quote in p.text), None)
    found = f"; it stands in {elsewhere}" if elsewhere is not None else ""
    return "altered quote", f"{citation.document} § {citation.passage} does not say this{found}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _loaded(text: str | None) -> Mapping[str, Any] | None:
    try:
        made = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return made if isinstance(made, dict) else None


def found_passages(values: Sequence[str | None]) -> list[tuple[Reference, ...]]:
    """What each answer found, best first; () where there is no answer."""
    made = [CitedAnswer.from_json(value) for value in values]
    return [() if answer is None else answer.passages for answer in made]
