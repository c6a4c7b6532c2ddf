"""Finds personal data in texts, and has pseudonyms ready for where it shall be replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.data.personal.find import Finder, finder, kinds_of
from tunesmith.data.personal.pseudonyms import Pseudonyms
from tunesmith.data.personal.report import described
from tunesmith.data.steps import step

Engine = Literal["rules", "presidio"]


@step("personal")
def personal(
    data: Dataset,
    *,
    kinds: tuple[str, ...] = ("patterns",),
    engine: Engine = "rules",
    model: str = "en_core_web_sm",
    least: float = 0.0,
    seed: int = 0,
    **options: Any,  # noqa: ARG001
) -> list[Finding]:
    """One Finding per text, and one per answer, that holds personal data; its reason has offsets and never a value.

    Each is a "flag" with a `fix` that has pseudonyms in the place of the values: `policy: {personal: fix}` replaces.
    kinds:  of `spans.KINDS`, or the groups "patterns" (the default), "names" (persons, organisations, places,
            postal addresses and codes) and "all".
    engine: "rules", or "presidio" with the spaCy `model` (name or folder); it needs the extra `pii`.
    least:  values found with a smaller score (0 to 1) are passed over; 0.8 is careful with names.
    seed:   of the pseudonyms.
    Labels are no personal data: the rows of a labelled task can be replaced in every split, so that a model is trained
    on pseudonyms and scored on them. Where answers are texts they are searched too, with the same pseudonyms; a test
    row has no `fix` there, for its answer is sealed and would no longer agree with its text.
    Rows that this step has changed before are passed over: their pseudonyms are no findings.
    """
    table = data.table
    texts = [text or "" for text in table["text"].to_pylist()]
    wanted = kinds_of(kinds)
    splits = table["split"].to_pylist()
    answers = [] if data.labels else [answer or "" for answer in table["target"].to_pylist()]
    find = finder([*texts, *answers], kinds=wanted, engine=engine, model=model, least=least)
    # Pseudonyms are keyed by all texts, so that whoever has only the result cannot test a guess.
    pseudonyms = Pseudonyms([*texts, *answers], seed=seed)
    ids, changes = table["id"].to_pylist(), table["changes"].to_pylist()
    untouched = [at for at in range(len(texts)) if "personal" not in (changes[at] or ())]
    found = _findings([(ids[at], texts[at], splits[at] != "test" or bool(data.labels)) for at in untouched],
                      find, pseudonyms, "text")  # fmt: skip
    if answers:
        found += _findings([(ids[at], answers[at], True) for at in untouched], find, pseudonyms, "target")
    return found


def _findings(
    rows: Sequence[tuple[int, str, bool]], find: Finder, pseudonyms: Pseudonyms, field: Literal["text", "target"]
) -> list[Finding]:
    """rows: (id, text, whether it may be replaced)."""
    found = []
    for (id, text, replaceable), spans in zip(rows, find([text for _, text, _ in rows]), strict=True):
        if spans:
            reason = described(spans) + ("" if replaceable else "; not replaced: its answer is sealed")
            fix = pseudonyms.replace(text, spans) if replaceable else None
            surest = max(span.score for span in spans)
            kind = "answer" if field == "target" else ""
            found.append(Finding("personal", id, "flag", reason, surest, fix, kind, field))
    return found
