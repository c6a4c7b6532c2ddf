"""Cell: written answers given to wrong rows, found by the step `answers` as a user runs it, and by simple measures.

8 % of the answers of each table are given to other rows in one of three ways (`written`); the same tables untouched say
how much is flagged for nothing. What is compared: products of TF-IDF vectors and of sentence vectors of input and
answer, and the share of the answer's words that its input has. Five tables were in sight while the step was made.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

import numpy as np
import report
import written

SHARE = 0.08
PEERS = ("TF-IDF cosine", "sentence-vector cosine", "share of the answer's words in the input")


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows: AUPRC a table and kind beside the best simple measure; what is flagged; which answers are proposed."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    tables = [name for name in written.TABLES if name not in written.DEVELOPED_ON]
    seeds = range(1 if asked.quick else 3)
    rows = []
    pooled: dict[str, np.ndarray] = {kind: np.zeros(5) for kind in written.KINDS}  # type: ignore[type-arg]
    ratios: list[float] = []
    for name in tables[:2] if asked.quick else tables:
        table = written.rows_of(name, asked.shared)
        for kind in written.KINDS:
            own: list[tuple[float, float]] = []
            simple: list[list[float]] = []
            planted = 0
            for seed in seeds:
                inputs, answers, before = written.plant(table, kind, share=SHARE, seed=seed)
                truth = np.zeros(len(inputs))
                truth[list(before)] = 1
                nats, found = _judged(inputs, answers)
                own.append((average_precision_score(truth, nats), roc_auc_score(truth, nats)))
                simple.append([average_precision_score(truth, score) for score in _simple(inputs, answers)])
                proposed = [fix == before.get(row) for row, fix in found.items() if fix is not None]
                right = sum(row in before for row in found)
                pooled[kind] += (right, len(found), len(before), sum(proposed), len(proposed))
                planted += len(before)
            means = np.mean(simple, axis=0)
            best = int(means.argmax())
            auprc, auroc = np.mean(own, axis=0).tolist()
            ratios.append((1 - auprc) / max(1e-9, 1 - float(means[best])))
            rows.append(report.row(f"answers, {name}, {kind}", auprc, bar=None, unit="AUPRC", n=len(table),
                                   seeds=len(own), auroc=auroc, planted=planted, peer=PEERS[best],
                                   peer_value=float(means[best]), lowest=min(own)[0]))  # fmt: skip
            print(f"{name}, {kind}: {auprc:.3f} against {means[best]:.3f}", file=sys.stderr, flush=True)
        _, found = _judged([asked_ for asked_, _ in table], [answer for _, answer in table])
        rows.append(report.row(f"answers, {name}, as it is: flagged", len(found) / len(table), bar=None, unit="share",
                               n=len(table)))  # fmt: skip
    for kind, (right, said, true, fits, fixes) in pooled.items():
        rows.append(report.row(f"answers, {kind}: precision of what is flagged", right / max(1, said), bar=None,
                               unit="share", n=int(said)))  # fmt: skip
        rows.append(report.row(f"answers, {kind}: recall of what is flagged", right / true, bar=None, unit="share",
                               n=int(true)))  # fmt: skip
        rows.append(report.row(f"answers, {kind}: proposed answers that are right", fits / max(1, fixes), bar=None,
                               unit="share", n=int(fixes)))  # fmt: skip
    rows.append(report.row("answers, geometric mean of (1 - AUPRC) / the best simple measure's",
                           float(np.exp(np.mean(np.log(ratios)))), bar=None, unit="ratio", higher=False,
                           n=len(ratios)))  # fmt: skip
    return rows


def _judged(inputs: list[str], answers: list[str]) -> tuple[np.ndarray, dict[int, str | None]]:  # type: ignore[type-arg]
    """(evidence a row, row -> the answer proposed or None), at the step's default line."""
    from tunesmith.data.mismatch import mismatch
    from tunesmith.data.vectors import sentence_vectors

    one, other = sentence_vectors(inputs), sentence_vectors(answers)
    seen = mismatch(inputs, answers, None if one is None or other is None else (one, other))
    flagged = np.flatnonzero(seen.probability >= 0.5).tolist()
    return seen.nats, {at: answers[seen.partner[at]] if seen.partner[at] >= 0 else None for at in flagged}


def _simple(inputs: list[str], answers: list[str]) -> list[np.ndarray]:  # type: ignore[type-arg]
    """What anybody would try first; larger means less alike."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    from tunesmith.data.vectors import sentence_vectors

    X = TfidfVectorizer(sublinear_tf=True).fit_transform([*inputs, *answers])
    words = np.asarray(X[: len(inputs)].multiply(X[len(inputs) :]).sum(axis=1)).ravel()
    one, other = sentence_vectors(inputs), sentence_vectors(answers)
    meaning = words if one is None or other is None else (one * other).sum(axis=1)
    split = [[set(re.findall(r"\w+", text.casefold())) for text in side] for side in (inputs, answers)]
    shared = np.array([len(b & a) / max(1, len(b)) for a, b in zip(*split, strict=True)])
    return [-words, -meaning, -shared]
