"""What the shipped system needs to hold answers back: its judged answers, and what texts trained on look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.errors import ConfigError
from tunesmith.core.predictions import Predictions
from tunesmith.core.statistics import clopper_pearson
from tunesmith.evaluation.abstention import NO_CONFIDENCE, judged_of
from tunesmith.training.calibrate import load_calibrator
from tunesmith.training.dev_scores import Scored
from tunesmith.training.linear import load_arrays, save_arrays
from tunesmith.training.promises import Judged, Promise, rows_needed
from tunesmith.training.scope import FLAGGED, Scope, Yardstick, load_scope

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.training.ladder import Ladder

_JUDGED, _PAIRS = "judged.parquet", "yardstick.safetensors"
# Texts of the test that are measured against the train texts: reading them again may cost what answering costs.
_MOST_LOOKED_AT = 1000


@dataclass(frozen=True)
class Decided:
    """Answers, which of them may go out, and why the others may not ("" where one may). All of length n.

    handed: which answers are a generalist's, to whom those not accepted were handed on; None: to nobody.
    """

    predictions: Predictions
    accepted: NDArray[np.bool_]
    reasons: tuple[str, ...]
    promise: Promise
    handed: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Acceptance:
    """judged: None where answers have no probabilities. pairs: dev's distances and (or None) confidences."""

    judged: Judged | None
    scope: Scope | None
    pairs: tuple[NDArray[np.float64], NDArray[np.float64] | None] | None

    @classmethod
    def of(cls, ladder: Ladder, name: str, *, needs: str | None = None) -> Acceptance:
        """From what *select* left of the rung; parts that it did not leave are None.

        needs: what telling foreign texts may stand on ("nothing", "encoder", "lm"); None: on what the rung stands on.
        """
        rung = ladder[name]
        scope = load_scope(ladder.folder, needs=needs or rung.needs, encoder=ladder.encoder)
        folder = ladder.place(name)
        judged: Judged | None = None
        sure: dict[int, float] = {}
        if rung.path is not None and (folder / "answers.parquet").exists():
            seen = Scored.load(folder, ladder.job(name))
            given, p = seen.answers, seen.answers.probabilities
            if p is not None:
                calibrator = load_calibrator(ladder.folder / rung.path)
                given = Predictions(given.values, p if calibrator is None else calibrator(p))
            if given.confidence is not None:
                judged = judged_of(given, seen.rows.targets, seen.job.task)
                sure = dict(zip(seen.rows.ids.tolist(), judged.confidence.tolist(), strict=True))
        pairs: tuple[NDArray[np.float64], NDArray[np.float64] | None] | None = None
        if scope is not None:
            known = np.array([int(i) in sure for i in scope.dev_ids], dtype=bool)
            pairs = scope.dev_distances, None
            if known.any():
                pairs = scope.dev_distances[known], np.array([sure[int(i)] for i in scope.dev_ids[known]])
        return cls(judged, scope, pairs)

    def save(self, folder: Path) -> None:
        """Write numbers alone; the Scope stays where *select* wrote it."""
        if self.judged is not None:
            self.judged.save(folder / _JUDGED)
        if self.pairs is not None:
            distances, sure = self.pairs
            save_arrays(folder / _PAIRS, {"distances": distances, **({} if sure is None else {"confidences": sure})})

    @classmethod
    def load(cls, folder: Path, ladder: Ladder, name: str) -> Acceptance:
        """What `save` wrote, with the ladder's Scope."""
        judged = Judged.load(folder / _JUDGED) if (folder / _JUDGED).exists() else None
        scope = load_scope(ladder.folder, needs=ladder[name].needs, encoder=ladder.encoder)
        pairs = None
        if (folder / _PAIRS).exists():
            arrays = load_arrays(folder / _PAIRS)
            pairs = arrays["distances"], arrays.get("confidences")
        return cls(judged, scope, pairs)

    @property
    def yardstick(self) -> Yardstick | None:
        """None where dev has too few texts to call any text foreign."""
        made = None if self.pairs is None else Yardstick.of(*self.pairs)
        return made if made is not None and made.can_flag else None

    def promise(self, target: float) -> Promise:
        """The promise for a target; ConfigError where none can be made, with what can."""
        if self.judged is None:
            raise ConfigError(f"accept_at: {NO_CONFIDENCE}", hint="leave accept_at out; every answer is given.")
        made = self.judged.promise(target)
        if made.is_kept:
            return made
        best, needed = self.judged.best_target(), rows_needed(target)
        told = f"the most that can be promised is {best:.1%}" if best else "nothing can be promised"
        more = f"{needed:,} judged rows, all right, are the fewest that would do; there are {made.n:,}."
        raise ConfigError(
            f"accept_at {target:g}: no threshold keeps that promise on the rows judged; {told}.",
            hint=more if made.n < needed else f"ask for less, such as --accept-at {best:g}; or 0 for every answer.",
        )

    def p_values(self, predictions: Predictions, texts: Sequence[str], ctx: Context) -> NDArray[np.float64] | None:
        """(n,) small where a text is unlike what was trained on; None where that cannot be told."""
        yardstick = self.yardstick
        if yardstick is None or self.scope is None:
            return None
        return yardstick.p_values(self.scope.distances(texts, ctx), predictions.confidence)

    def decide(self, predictions: Predictions, texts: Sequence[str], target: float, ctx: Context) -> Decided:
        """Accept what is sure enough and like what was trained on. Raises ConfigError where nothing can be promised."""
        made = self.promise(target)
        sure = predictions.confidence
        assert sure is not None
        assert made.threshold is not None
        reasons = ["" if s >= made.threshold else f"unsure: {s:.2f}, below {made.threshold:.2f}" for s in sure]
        foreign = self.p_values(predictions, texts, ctx) if target else None
        for at, value in enumerate(predictions.values):
            if value is None:
                reasons[at] = "no answer"
            elif not reasons[at] and foreign is not None and foreign[at] <= FLAGGED:
                reasons[at] = "unlike the texts trained on"
        return Decided(predictions, np.array([not r for r in reasons], dtype=bool), tuple(reasons), made)


def about_scope(
    acceptance: Acceptance, predictions: Predictions, texts: Sequence[str], right: NDArray[np.float64], ctx: Context
) -> dict[str, Any]:
    """What report.json says of foreign texts: how many of the test were flagged, and the scores of both parts.

    right: (n,) row scores, 1 for right. At most 1,000 texts, drawn by the seed, are looked at.
    """
    if acceptance.yardstick is None:
        return {"why": "there are too few dev texts, or none, to tell which texts are unlike them."}
    assert acceptance.scope is not None
    assert acceptance.pairs is not None
    at = np.sort(np.random.default_rng([ctx.seed, 29]).permutation(len(texts))[:_MOST_LOOKED_AT])
    p = acceptance.p_values(predictions.take(at), [texts[int(i)] for i in at], ctx)
    assert p is not None
    flagged = p <= FLAGGED
    some = right[at]
    return {
        "kind": acceptance.scope.kind,
        "bound": FLAGGED,
        "n_dev": len(acceptance.pairs[0]),
        "n": len(at),
        "flagged": int(flagged.sum()),
        "interval": clopper_pearson(int(flagged.sum()), len(at)),
        "score_flagged": float(some[flagged].mean()) if flagged.any() else None,
        "score_rest": float(some[~flagged].mean()) if (~flagged).any() else None,
    }
