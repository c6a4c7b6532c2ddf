"""The peer of words: TF-IDF of words and word pairs, and a linear support vector machine whose C is cross-validated.

    python linear.py JOB.json RESULT.json

Answers are classes: for texts, each different answer of the train rows is one, and where most come once only the
answer of the most similar row is given.
"""

from __future__ import annotations

from typing import Any

from clock import Clock, main

# What scikit-learn's own text tutorials vary.
_CS = (0.1, 1.0, 10.0)
_FOLDS = 3


def fit_and_answer(job: dict[str, Any]) -> dict[str, Any]:
    import numpy as np
    import sklearn
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    texts, answers = job["train"]["texts"], job["train"]["answers"]
    clock = Clock(job["budget_s"])
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode")
    x = vectorizer.fit_transform(texts)
    many = len(set(answers)) > 0.5 * len(answers)
    scores: dict[float, float] = {}
    if many:
        fit_s = clock.spent_s
        nearest = (vectorizer.transform(job["test"]) @ x.T).toarray().argmax(axis=1)
        said = [answers[int(i)] for i in nearest]
    else:
        y, rng = np.array(answers, dtype=object).astype(str), np.random.default_rng(job["seed"])
        fold = rng.permutation(len(y)) % _FOLDS
        for c in _CS:
            right = []
            for k in range(_FOLDS):
                model = LinearSVC(C=c).fit(x[fold != k], y[fold != k])
                right.append(float((model.predict(x[fold == k]) == y[fold == k]).mean()))
            scores[c] = float(np.mean(right))
            if clock.left_s < 2 * clock.spent_s / len(scores):  # another and the last fit would not end in time
                break
        best = max(scores, key=lambda c: scores[c])
        model = LinearSVC(C=best).fit(x, y)
        fit_s = clock.spent_s
        said = [str(v) for v in model.predict(vectorizer.transform(job["test"]))]
    return {
        "answers": said, "fit_s": fit_s, "version": f"scikit-learn {sklearn.__version__}",
        "settings": {"C": scores, "by": "most similar row" if many else "linear SVM"},
    }  # fmt: skip


if __name__ == "__main__":
    main(fit_and_answer)
