"""Which answers probably belong to another row: exchanged, slipped by a line, pasted from elsewhere.

Every row's own pair of input and answer is compared with counterfeits, its input with the answers of other rows, of any
and of those with like inputs. A classifier that did not see the row tells the two apart (`pairing` has what it
reads); that ratio orders the rows. The share of wrong answers is read from the table: where counterfeits are
frequent and own pairs rare, the own pairs that are there are wrong ones.

Sources: Gutmann and Hyvarinen 2010 (learning from counterfeits); Blanchard, Lee and Scott 2010, theorem 2 (a bound of
the share of one sample in another by the ratio of what both have beyond a line).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.pairing import Sides, read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.data.pairing import Vectors

_ANY, _LIKE = 6, 4  # counterfeits of a row: of any other row, of rows with like inputs
_REFERENCE = 400  # rows of a fold that a measure is compared with
_BLOCK = 500
_MOST_COMPARED = 2_000  # rows of a fold among which like inputs are sought
_DOUBTED = 0.2  # probability from which a row's answer is tried in other doubted rows' place, and theirs in its
_MOST_DOUBTED = 400
_FITS = -2.0  # nats below which another's answer is called fitting
_LINES = (0.2, 0.3, 0.4, 0.5, 0.6)  # shares of counterfeits beyond a line at which the rate is read
_FEWEST_TOLD = 5.0  # wrong answers, expected, from which losses can be told apart


@dataclass(frozen=True)
class Mismatch:
    """One value per row.

    nats: (n,) log of how much likelier the pair is as a counterfeit than as it stands; orders the rows.
    probability: (n,) that the answer is another row's; never falls as nats rise. rate: share of such answers.
    partner: (n,) the row whose answer fits this input best of the doubted ones, -1 where none fits. partner_nats: the
    same ratio for that pair, small where it fits.
    """

    nats: NDArray[np.float64]
    probability: NDArray[np.float64]
    rate: float
    partner: NDArray[np.int64]
    partner_nats: NDArray[np.float64]


class _Judge:
    """Pairs of a table as features, each measure against the same input's and the same answer's other pairs."""

    def __init__(self, sides: Sides, seed: int) -> None:
        self.sides = sides
        n = len(sides.fold)
        # Of each measure over others of the row's fold: of its input with other answers (0), of its answer (1).
        self.mean = np.zeros((2, sides.n_measures, n), dtype=np.float32)
        self.spread = np.zeros_like(self.mean)
        rng = np.random.default_rng(seed)
        for held in np.unique(sides.fold):
            members = np.flatnonzero(sides.fold == held)
            some = np.sort(rng.permutation(members)[:_REFERENCE])
            for start in range(0, len(members), _BLOCK):
                rows = members[start : start + _BLOCK]
                same = rows[:, None] == some[None, :]
                for side in (0, 1):
                    values = sides.measures(rows, some) if side == 0 else sides.measures(some, rows).transpose(0, 2, 1)
                    others = np.ma.masked_array(values, np.broadcast_to(same, values.shape))
                    self.mean[side][:, rows] = others.mean(axis=2).filled(0.0)
                    self.spread[side][:, rows] = others.std(axis=2).filled(0.0)

    def features(self, rows: NDArray[np.int64], of: NDArray[np.int64]) -> NDArray[np.float32]:
        """(pairs, features) of pairs (rows[k], of[k])."""
        parts = []
        for start in range(0, len(rows), _BLOCK):
            one, other = rows[start : start + _BLOCK], of[start : start + _BLOCK]
            parts.append(self._pairs(one, other))
        return np.concatenate(parts)

    def _pairs(self, rows: NDArray[np.int64], of: NDArray[np.int64]) -> NDArray[np.float32]:
        names, place = np.unique(rows, return_inverse=True)
        others, at = np.unique(of, return_inverse=True)
        values = self.sides.measures(names, others)[:, place, at]  # (measures, pairs)
        shared = self.sides.overlaps(names, others)[:, place, at]
        z = [(values - self.mean[side][:, k]) / (self.spread[side][:, k] + 1e-3) for side, k in ((0, rows), (1, of))]
        return np.concatenate([np.clip(np.concatenate(z), -8, 12), shared]).T


def mismatch(
    inputs: Sequence[str],
    answers: Sequence[str],
    sentences: tuple[Vectors, Vectors] | None,
    *,
    losses: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> Mismatch:
    """Judge every pair of input and answer; equal lengths, at least 50 to learn from.

    sentences: (n, d) unit vectors of a sentence encoder, of inputs and of answers; None where there is none. losses:
    (n,) of a model that was not trained on the row (cross-fitted), best that of the answer given its input less that of
    the answer alone, in nats a token; only their order and spread count.
    """
    sides = read(inputs, answers, sentences, seed=seed)
    judge = _Judge(sides, seed)
    rows, of = _counterfeits(sides, answers, seed)
    if len(rows) == 0:  # one answer for all
        none = np.zeros(len(inputs))
        return Mismatch(none, none, 0.0, np.full(len(inputs), -1, dtype=np.int64), none)
    every = np.arange(len(inputs))
    own, made = judge.features(every, every), judge.features(rows, of)
    models: dict[int, _Classifier] = {}
    nats, made_nats = np.zeros(len(own)), np.zeros(len(made))
    for held in np.unique(sides.fold).tolist():
        fit, known = sides.fold != held, sides.fold[rows] != held
        if not known.any():
            continue
        models[held] = _Classifier(own[fit], made[known], seed)
        nats[~fit], made_nats[~known] = models[held].nats(own[~fit]), models[held].nats(made[~known])
    rate, probability = _probability(nats, made_nats)
    if losses is not None:
        nats, probability = _with_losses(nats, probability, np.asarray(losses, dtype=np.float64))
    partner, partner_nats = _partners(judge, models, answers, probability)
    return Mismatch(nats, probability, rate, partner, partner_nats)


class _Classifier:
    """Own pairs against counterfeits: the mean log-odds of a linear model and of small boosted trees."""

    def __init__(self, own: NDArray[np.float32], made: NDArray[np.float32], seed: int) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        X = np.concatenate([own, made])
        y = np.concatenate([np.zeros(len(own)), np.ones(len(made))])
        # Weights of rows would make the trees' bins slow; the odds of the two samples are taken off instead.
        self.base = float(np.log(len(made) / len(own)))
        linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(X, y)
        trees = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, min_samples_leaf=20, l2_regularization=1.0, early_stopping=False,
            random_state=seed,
        ).fit(X, y)  # fmt: skip
        self.models = (linear, trees)

    def nats(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) log of how much likelier a pair is as a counterfeit."""
        logits = [model.decision_function(X) for model in self.models]
        return np.asarray(np.mean(logits, axis=0, dtype=np.float64) - self.base)


def _probability(nats: NDArray[np.float64], made: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """(share of own pairs that are counterfeits, (n,) the probability of each)."""
    from sklearn.isotonic import IsotonicRegression

    lines = np.quantile(made, [1 - share for share in _LINES])
    # The least ratio would do with rows without end; of few rows it is the luckiest line's.
    rate = float(np.median([(nats > line).mean() / max(float((made > line).mean()), 1e-9) for line in lines]))
    score = np.concatenate([nats, made])
    kind = np.concatenate([np.zeros(len(nats)), np.ones(len(made))])
    weight = np.where(kind > 0, len(nats) / max(1, len(made)), 1.0)
    curve = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(score, kind, weight)
    odds = curve.predict(nats)
    return rate, np.clip(rate * odds / np.maximum(1 - odds, 1e-9), 0.0, 1.0)


def _with_losses(
    nats: NDArray[np.float64], probability: NDArray[np.float64], losses: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both with the evidence of losses: two normal densities, of right and of wrong answers as the pairs tell them."""
    known = np.isfinite(losses)
    right, wrong = (1 - probability) * known, probability * known
    if wrong.sum() < _FEWEST_TOLD or right.sum() < _FEWEST_TOLD:
        return nats, probability
    values = np.where(known, losses, 0.0)
    logs = []
    for share in (wrong, right):
        mean = float((share * values).sum() / share.sum())
        spread = float(np.sqrt((share * (values - mean) ** 2).sum() / share.sum())) + 1e-6
        logs.append(-0.5 * ((values - mean) / spread) ** 2 - np.log(spread))
    evidence = np.where(known, np.clip(logs[0] - logs[1], -4.0, 4.0), 0.0)
    clear = np.clip(probability, 1e-4, 1 - 1e-4)
    return nats + evidence, 1 / (1 + np.exp(-(np.log(clear / (1 - clear)) + evidence)))


def _partners(
    judge: _Judge, models: dict[int, _Classifier], answers: Sequence[str], probability: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each doubted row the doubted row whose answer fits it best, with the pair's nats; -1 where none fits."""
    n = len(answers)
    partner, best = np.full(n, -1, dtype=np.int64), np.zeros(n)
    order = np.argsort(-probability, kind="stable")[:_MOST_DOUBTED]
    doubted = np.sort(order[probability[order] >= _DOUBTED])
    for row in doubted.tolist():
        others = np.array([at for at in doubted.tolist() if answers[at] != answers[row]], dtype=np.int64)
        fold = int(judge.sides.fold[row])
        if len(others) == 0 or fold not in models:
            continue
        nats = models[fold].nats(judge.features(np.full(len(others), row), others))
        at = int(nats.argmin())
        if nats[at] < _FITS:
            partner[row], best[row] = others[at], nats[at]
    return partner, best


def _counterfeits(sides: Sides, answers: Sequence[str], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rows, whose answers they are given): different answers, of the same fold, so that no model has seen them."""
    rng = np.random.default_rng(seed)
    first: dict[str, int] = {}
    code = [first.setdefault(answer, at) for at, answer in enumerate(answers)]
    X = sides.expected[1][1]  # inputs, centred
    rows: list[int] = []
    of: list[int] = []
    for held in np.unique(sides.fold):
        members = np.flatnonzero(sides.fold == held)
        pool = np.sort(rng.permutation(members)[:_MOST_COMPARED])
        for start in range(0, len(members), _BLOCK):
            part = members[start : start + _BLOCK]
            products = X[part] @ X[pool].T
            for at, row in enumerate(part.tolist()):
                nearest = pool[np.argsort(-products[at], kind="stable")[: 3 * _LIKE + 1]]
                others = [other for other in nearest.tolist() if code[other] != code[row]][:_LIKE]
                others += [other for other in rng.choice(members, size=_ANY).tolist() if code[other] != code[row]]
                rows += [row] * len(others)
                of += others
    return np.array(rows, dtype=np.int64), np.array(of, dtype=np.int64)
