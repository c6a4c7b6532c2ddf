"""Cell `label_errors_human`: errors that people made (news, four labels, a fifth of 10,000 wrong), beside cleanlab.

What it buys is measured on a clean test of 2,000 by one fixed classifier, scikit-learn's softmax regression as it comes
on the sentence vectors: fitted on the labels as given, on what `action: auto` leaves of them, and after 1,000 reviews
in which the true labels play the reviewer, in the order of the scores and in a random one.
Peer: --peer label_errors_human=PYTHON.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import labelled
import numpy as np
from label_errors import average_precision, judged, peer_scores
from report import row

from tunesmith.data.label_errors import action_for, score_labels
from tunesmith.data.label_signals import out_of_fold

REVIEWS = 1_000
DRAWS = 5


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    python = asked.peer.get("label_errors_human")
    if python is None:
        raise SystemExit("label_errors_human needs its peer: --peer label_errors_human=PYTHON, with cleanlab")
    rows, test = labelled.noisyag(asked.shared), labelled.noisyag_test(asked.shared)
    work = asked.work / "label_errors"
    work.mkdir(parents=True, exist_ok=True)
    vectors, held, ngrams = labelled.vectors(rows, work), labelled.vectors(test, work), labelled.ngrams(rows, work)
    if asked.quick:
        rows = labelled.Labelled(rows.name, rows.texts[:2_000], rows.codes[:2_000], rows.truth[:2_000], rows.names)
        vectors, ngrams = vectors[:2_000], ngrams[:2_000]
    codes, truth, k = rows.codes, rows.truth, len(rows.names)
    began = time.process_time()
    scores = score_labels(vectors, ngrams, codes, k)
    cpu_s = round(time.process_time() - began, 1)
    theirs = peer_scores({"human": (out_of_fold(vectors, codes, k), codes)}, python)["human"]
    wrong = codes != truth
    peers = {name: average_precision(wrong, -quality) for name, quality in theirs.items()}
    name, best = max(peers.items(), key=lambda item: item[1])
    found = judged(scores, codes, truth)

    right: dict[str, np.ndarray] = {}

    def accuracy(key: str, labels: np.ndarray, kept: np.ndarray | None = None) -> float:
        right[key] = _right(vectors, labels, held, test.truth, kept)
        return float(right[key].mean())

    as_given, all_true = accuracy("as given", codes), accuracy("true", truth)
    done = np.array([action_for(w, c) for w, c in zip(scores.probability, scores.confidence, strict=True)])
    cleaned = accuracy("cleaned", np.where(done == "fix", scores.proposed, codes), done != "drop")
    reviewed = accuracy("reviewed", _reviewed(np.argsort(-scores.score, kind="stable"), codes, truth))
    by_peer = accuracy("peer", _reviewed(np.argsort(theirs[name], kind="stable"), codes, truth))
    draws = [
        accuracy("random", _reviewed(np.random.default_rng(seed).permutation(len(codes)), codes, truth))
        for seed in range(DRAWS)
    ]
    random = float(np.mean(draws))
    command = "python benchmarks/data/run.py --only label_errors_human --peer label_errors_human=PYTHON"
    common = {"n": len(held), "as_given": as_given, "true_labels": all_true, "command": command}
    gain = reviewed - as_given
    return [
        row("ranking of human errors", found.pop("auprc"), bar=best + 0.03, unit="AUPRC", peer=f"cleanlab {name}",
            peer_value=best, command=command, peers=peers, cpu_s=cpu_s, **found),
        row("clean test after auto-clean", cleaned, bar=0.825, unit="accuracy",
            gain_interval=_paired(right["cleaned"], right["as given"]), **common),
        row("clean test after 1,000 reviews in order", reviewed, bar=0.84, unit="accuracy",
            gain_interval=_paired(right["reviewed"], right["as given"]), peer=f"cleanlab {name}", peer_value=by_peer,
            **common),
        row("gain of 1,000 reviews in order over random ones", gain / max(random - as_given, 1e-9), bar=3.0,
            unit="times", peer="random order", seeds=DRAWS, gain=gain, gain_of_random=random - as_given, **common),
    ]  # fmt: skip


def _right(
    vectors: np.ndarray, labels: np.ndarray, held: np.ndarray, truth: np.ndarray, kept: np.ndarray | None
) -> np.ndarray:
    """(test rows,) 1.0 where softmax regression fitted on the kept rows is right."""
    from sklearn.linear_model import LogisticRegression

    kept = np.ones(len(labels), dtype=bool) if kept is None else kept
    model = LogisticRegression(max_iter=500).fit(vectors[kept], labels[kept])
    return (model.predict(held) == truth).astype(float)


def _reviewed(order: np.ndarray, codes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    labels = codes.copy()
    labels[order[:REVIEWS]] = truth[order[:REVIEWS]]
    return labels


def _paired(after: np.ndarray, before: np.ndarray) -> list[float]:
    """95 % interval of the gain over the test rows (paired bootstrap)."""
    gains = after - before
    draws = np.random.default_rng(0).integers(len(gains), size=(2_000, len(gains)))
    low, high = np.quantile(gains[draws].mean(axis=1), (0.025, 0.975))
    return [float(low), float(high)]
