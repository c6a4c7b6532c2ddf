"""Cell `label_errors`: errors planted in three sets in three ways, three seeds each, beside cleanlab's three scores.

The peer (--peer label_errors=PYTHON) is cleanlab, handed the out-of-fold probabilities of the linear probe that is one
of our signals. Each of the 27 runs is a file below --work, so a killed cell goes on where it stopped. With --data FILE
--input COLUMN --labels COLUMN the errors are planted in that table instead, and nothing is written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import labelled
import numpy as np
from report import row

from tunesmith.data.label_errors import LabelScores, score_labels
from tunesmith.data.label_signals import out_of_fold

HERE = Path(__file__).parent
SEEDS = 3
SCORES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    python = asked.peer.get("label_errors")
    if python is None:
        raise SystemExit("label_errors needs its peer: --peer label_errors=PYTHON, an interpreter with cleanlab")
    work = asked.work / "label_errors"
    work.mkdir(parents=True, exist_ok=True)
    own = asked.data is not None
    sets = [labelled.table(asked.data, asked.input, asked.labels)] if own else [s(asked.shared) for s in _sets(asked)]
    sets = [labelled.first(rows, 1_500) for rows in sets] if asked.quick else sets
    cells = []
    for seed in range(1 if asked.quick else SEEDS):
        for rows in sets:
            paths = {kind: work / f"{rows.name}-{kind}-{seed}.json" for kind in labelled.NOISES}
            missing = [kind for kind, path in paths.items() if own or not path.exists()]
            for cell in _cells(rows, missing, seed, work, python):
                paths[cell["noise"]].write_text(json.dumps(cell, indent=1), encoding="utf-8")
                print(json.dumps(cell), flush=True)
            cells += [json.loads(path.read_text(encoding="utf-8")) for path in paths.values()]
    return _rows(cells)


def _sets(asked: argparse.Namespace) -> list[Any]:
    return [*labelled.SETS.values()][: 2 if asked.quick else None]


def _cells(rows: labelled.Labelled, kinds: list[str], seed: int, work: Path, python: str) -> list[dict[str, Any]]:
    """The cells of one set and seed; the peer is started once for all of them."""
    made, given = [], {}
    for kind in kinds:
        vectors, ngrams = labelled.vectors(rows, work), labelled.ngrams(rows, work)
        codes = labelled.spoiled(kind, rows, seed)
        began = time.process_time()
        scores = score_labels(vectors, ngrams, codes, len(rows.names))
        cpu_s = round(time.process_time() - began, 1)
        given[kind] = (out_of_fold(vectors, codes, len(rows.names)), codes)
        about = judged(scores, codes, rows.truth)
        made.append({"set": rows.name, "noise": kind, "seed": seed, "cpu_s": cpu_s, **about})
    theirs = peer_scores(given, python) if given else {}
    for cell in made:
        wrong = given[cell["noise"]][1] != rows.truth
        cell["peer"] = {name: average_precision(wrong, -quality) for name, quality in theirs[cell["noise"]].items()}
    return made


def judged(scores: LabelScores, codes: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Average precision of the ranking; precision and recall of what is flagged, relabelled and dropped by default."""
    from tunesmith.data.label_errors import action_for

    wrong = codes != truth
    flagged = scores.probability >= 0.5
    done = np.array([action_for(w, c) for w, c in zip(scores.probability, scores.confidence, strict=True)])
    fixed, dropped = done == "fix", done == "drop"
    return {
        "auprc": average_precision(wrong, scores.score),
        "n": len(codes), "wrong": int(wrong.sum()), "rate": scores.noise.rate, "second": scores.noise.second_choice,
        "flagged": int(flagged.sum()),
        "precision": float(wrong[flagged].mean()) if flagged.any() else None,
        "recall": float(flagged[wrong].mean()),
        "fixed": int(fixed.sum()),
        "fixed_right": float((scores.proposed[fixed] == truth[fixed]).mean()) if fixed.any() else None,
        "dropped": int(dropped.sum()),
        "dropped_wrong": float(wrong[dropped].mean()) if dropped.any() else None,
    }  # fmt: skip


def average_precision(wrong: np.ndarray, score: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(wrong, score))


def peer_scores(given: dict[str, tuple[np.ndarray, np.ndarray]], python: str) -> dict[str, dict[str, np.ndarray]]:
    """cleanlab's label quality scores of (probabilities, codes) by name: lower is worse."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (p, codes) in given.items():
            np.savez(Path(folder) / f"{name}.npz", p=p.astype(np.float64) / p.sum(axis=1, keepdims=True), codes=codes)
        subprocess.run([python, str(HERE / "label_errors_peer.py"), folder], check=True)
        found = {}
        for name in given:
            with np.load(Path(folder) / f"{name}.said.npz") as said:
                found[name] = {score: said[score] for score in SCORES}
        return found


def _rows(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    command = "python benchmarks/data/run.py --only label_errors --peer label_errors=PYTHON"
    made, ratios, won = [], [], []
    for cell in cells:
        name, best = max(cell["peer"].items(), key=lambda item: item[1])
        ratios.append((1 - cell["auprc"]) / max(1 - best, 1e-9))
        won.append(cell["auprc"] >= best)
        about = {key: cell[key] for key in cell if key not in ("peer", "auprc", "n", "set", "noise", "seed")}
        made.append(
            row(f"{cell['set']}, {cell['noise']}, seed {cell['seed']}", cell["auprc"], bar=best, unit="AUPRC",
                peer=f"cleanlab {name}", peer_value=best, n=cell["n"], command=command, ratio=ratios[-1], **about)
        )  # fmt: skip
    logs = np.log(ratios)
    draws = np.random.default_rng(0).choice(logs, size=(2_000, len(logs))).mean(axis=1)
    interval = [float(v) for v in np.exp(np.quantile(draws, (0.025, 0.975)))]
    peer = "cleanlab, the best of its three scores in each cell"
    n, seeds = len(cells), len({cell["seed"] for cell in cells})
    return [
        row("all: share of cells won", float(np.mean(won)), bar=0.9, unit="of cells", peer=peer, n=n, seeds=seeds,
            command=command),
        row("all: geometric mean of (1 - AUPRC) / the peer's", float(np.exp(logs.mean())), bar=0.8, unit="ratio",
            higher=False, interval=interval, peer=peer, n=n, seeds=seeds, command=command),
        *made,
    ]  # fmt: skip
