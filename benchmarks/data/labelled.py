"""The labelled sets of the label-error cells, their vectors, and three kinds of planted noise."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

VADER = ("amazonReviewSnippets", "movieReviewSnippets", "nytEditorialSnippets", "tweets")
VADER_ROWS = 6_000  # drawn once from the 23,703, so that the whole table stays within its machine-hours
NOISES = ("symmetric", "confusable", "instance")


@dataclass(frozen=True)
class Labelled:
    """texts, codes (n,) of the labels given, truth (n,) of the true ones, as far as they are known, names of labels."""

    name: str
    texts: list[str]
    codes: np.ndarray
    truth: np.ndarray
    names: list[str]


def banking77(shared: Path) -> Labelled:
    rows = _csv(shared / "banking77" / "train.csv")
    return labelled("banking77", [r["text"] for r in rows], [r["category"] for r in rows])


def vader(shared: Path) -> Labelled:
    """Sentences with a mean human valence: above 0.5 positive, below -0.5 negative, else neutral."""
    texts, labels = [], []
    for part in VADER:
        path = shared / "vader_sentiment" / f"{part}_GroundTruth.txt"
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            cells = line.split("\t", 2)
            if len(cells) == 3:
                value = float(cells[1])
                texts.append(cells[2])
                labels.append("positive" if value > 0.5 else "negative" if value < -0.5 else "neutral")
    drawn = np.sort(np.random.default_rng(0).permutation(len(texts))[:VADER_ROWS])
    return labelled("vader", [texts[i] for i in drawn], [labels[i] for i in drawn])


def sms_spam(shared: Path) -> Labelled:
    lines = (shared / "sms_spam" / "sms_spam.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return labelled("sms_spam", [r["text"] for r in rows], [r["label"] for r in rows])


def noisyag(shared: Path) -> Labelled:
    """Labels as people gave them, and the true ones."""
    rows = _csv(shared / "noisyag_news" / "samples10000valMed.csv")
    names = sorted({r["gt"] for r in rows} | {r["label"] for r in rows})
    codes, truth = (np.array([names.index(r[column]) for r in rows]) for column in ("label", "gt"))
    return Labelled("noisyag_news", [r["text"] for r in rows], codes, truth, names)


def noisyag_test(shared: Path) -> Labelled:
    rows = _csv(shared / "noisyag_news" / "test_2000.csv")
    return labelled("noisyag_test", [r["text"] for r in rows], [r["gt"] for r in rows])


SETS = {"sms_spam": sms_spam, "vader": vader, "banking77": banking77}


def table(path: Path, column: str, labels: str) -> Labelled:
    """Any csv, tsv or jsonl with a column of texts and one of labels; rows without either are left out."""
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    else:
        rows = _csv(path, delimiter="\t" if path.suffix == ".tsv" else ",")
    rows = [r for r in rows if r.get(column) and r.get(labels) is not None]
    return labelled(path.stem, [str(r[column]) for r in rows], [r[labels] for r in rows])


def labelled(name: str, texts: list[str], labels: Sequence[Any]) -> Labelled:
    names, codes = np.unique(np.array([str(label) for label in labels], dtype=object).astype(str), return_inverse=True)
    codes = codes.astype(np.int64)
    return Labelled(name, texts, codes, codes.copy(), names.tolist())


def first(rows: Labelled, n: int) -> Labelled:
    """A draw of n rows with the labels that it holds."""
    some = np.sort(np.random.default_rng(0).permutation(len(rows.texts))[:n])
    return labelled(f"{rows.name}-{n}", [rows.texts[i] for i in some], [rows.names[rows.truth[i]] for i in some])


def vectors(rows: Labelled, work: Path) -> np.ndarray:
    """(n, width) unit vectors of the packaged sentence encoder, kept under `work`."""
    path = work / f"{rows.name}.vectors.npy"
    if not path.exists():
        from tunesmith.data.vectors import sentence_vectors

        made = sentence_vectors(rows.texts)
        if made is None:
            raise SystemExit("the sentence encoder is not on this machine:  tunesmith list models")
        np.save(path, made)
    return np.load(path)


def ngrams(rows: Labelled, work: Path) -> np.ndarray:
    """(n, width) unit vectors of the words and characters, kept under `work`."""
    from tunesmith.data.ngrams import ngram_vectors

    path = work / f"{rows.name}.ngrams.npy"
    if not path.exists():
        np.save(path, ngram_vectors(rows.texts))
    return np.load(path)


def spoiled(kind: str, rows: Labelled, seed: int) -> np.ndarray:
    """(n,) codes with planted errors.

    symmetric: 20 % of the rows get another label at random. confusable: 10 % get one of the three labels whose texts
    are most like theirs (word TF-IDF centroids). instance: 10 %, drawn in proportion to the doubt of a naive Bayes
    model on character n-grams (a family that no scorer here belongs to), get the label that it prefers to theirs.
    """
    draw = np.random.default_rng(seed + 1_000)
    truth, n, k = rows.truth, len(rows.truth), len(rows.names)
    codes = truth.copy()
    if kind == "symmetric":
        wrong = draw.permutation(n)[: round(0.2 * n)]
        codes[wrong] = (truth[wrong] + draw.integers(1, k, size=len(wrong))) % k
    elif kind == "confusable":
        near = _confusable(rows)
        wrong = draw.permutation(n)[: round(0.1 * n)]
        codes[wrong] = [near[truth[i]][draw.integers(len(near[truth[i]]))] for i in wrong]
    else:
        guesses = _by_characters(rows, seed)  # (n, k)
        guesses[np.arange(n), truth] = 0.0
        doubt = guesses.max(axis=1) + 1e-6
        wrong = draw.choice(n, size=round(0.1 * n), replace=False, p=doubt / doubt.sum())
        codes[wrong] = guesses[wrong].argmax(axis=1)
    return codes


def _confusable(rows: Labelled) -> list[np.ndarray]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    X = TfidfVectorizer(sublinear_tf=True).fit_transform(rows.texts)
    k = len(rows.names)
    centres = normalize(np.vstack([np.asarray(X[rows.truth == c].mean(axis=0)) for c in range(k)]))
    like = centres @ centres.T
    np.fill_diagonal(like, -1.0)
    return [np.argsort(-like[c])[: min(3, k - 1)] for c in range(k)]


def _by_characters(rows: Labelled, seed: int) -> np.ndarray:
    """Out-of-fold probabilities of naive Bayes on character 2-4-grams, tempered to be less sure."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.model_selection import StratifiedKFold
    from sklearn.naive_bayes import MultinomialNB

    X = CountVectorizer(analyzer="char_wb", ngram_range=(2, 4), min_df=3, binary=True).fit_transform(rows.texts)
    found = np.zeros((len(rows.texts), len(rows.names)))
    for fit, held in StratifiedKFold(5, shuffle=True, random_state=seed).split(X, rows.truth):
        model = MultinomialNB(alpha=0.1).fit(X[fit], rows.truth[fit])
        logs = model.predict_joint_log_proba(X[held])
        scaled = np.exp((logs - logs.max(axis=1, keepdims=True)) / 10.0)
        found[np.ix_(held, model.classes_)] = scaled / scaled.sum(axis=1, keepdims=True)
    return found


def _csv(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle, delimiter=delimiter))
