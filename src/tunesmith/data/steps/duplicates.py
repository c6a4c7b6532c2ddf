"""Train rows that repeat another train row: word for word, nearly, or in other words."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Action, Finding
from tunesmith.data.meaning import meaning_pairs
from tunesmith.data.near import near_pairs
from tunesmith.data.steps import CannotRun, step
from tunesmith.data.vectors import ENCODER, reader

_SAYS = {
    "order": "in another word order",
    "spelling": "but for spelling or spacing",
    "wording": "but for a few words",
    "meaning": "in other words",
}


@step("duplicates")
def duplicates(
    data: Dataset,
    *,
    near: Literal["flag", "drop"] = "flag",
    meaning: Literal["off", "flag"] = "off",
    encoder: str = ENCODER,
    **options: Any,  # noqa: ARG001
) -> list[Finding]:
    """Drop train rows that equal an earlier train row in text (normalised) and answer; keep the first.

    near: what to do with near duplicates that share their answer. Rows whose answers differ are the business of the
    step `conflicts`.
    meaning: "flag" also flags rows that say what an earlier row with the same answer says in other words, by the
    vectors of `encoder`. Raises CannotRun if that is asked for and the encoder is not on this machine.
    """
    table = data.table
    used = np.flatnonzero(np.isin(table["split"].to_numpy(zero_copy_only=False), ("train", "dev")))
    part = table.take(used)
    texts, ids, targets = part["text"].to_pylist(), part["id"].to_pylist(), part["target"].to_pylist()
    own = part["split"].to_pylist()
    found = near_pairs(texts)  # dev rows too: as `conflicts` asks, so that it is done once
    pairs = list(found.pairs)
    if meaning == "flag" and texts:
        reads = reader(encoder)
        if reads is None:
            raise CannotRun(
                f"duplicates in meaning need the encoder {encoder}, which is not on this machine or does not tell what "
                "words mean in place (one in ONNX does not)."
            )
        pairs += meaning_pairs(texts, found, reads).pairs
    like: dict[int, list[tuple[int, str, float]]] = {}
    for pair in pairs:
        like.setdefault(pair.one, []).append((pair.other, pair.kind, pair.score))
        like.setdefault(pair.other, []).append((pair.one, pair.kind, pair.score))
    first: dict[tuple[int, str], int] = {}
    findings = []
    for number, row, target, split in zip(found.exact.tolist(), ids, targets, own, strict=True):
        if split != "train":
            continue
        if (number, target) in first:
            findings.append(Finding("duplicates", row, "drop", f"repeats row {first[number, target]} word for word"))
            continue
        earlier = [
            (score, -first[other, target], kind)
            for other, kind, score in like.get(number, ())
            if (other, target) in first
        ]
        if earlier:
            score, other, kind = max(earlier)
            action: Action = "drop" if near == "drop" and kind != "meaning" else "flag"
            reason = f"nearly repeats row {-other}, {_SAYS[kind]}"
            named = "meaning" if kind == "meaning" else "near"
            findings.append(Finding("duplicates", row, action, reason, min(score, 0.99), kind=named))
        first[number, target] = row
    return findings
