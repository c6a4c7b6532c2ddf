"""Train and dev rows that copy a test row, train rows that copy a dev row, and rows that public benchmarks hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Action, Finding
from tunesmith.data.benchmarks import Benchmark, read_benchmark
from tunesmith.data.duplicates import copies_of, near_groups_of
from tunesmith.data.near import near_pairs
from tunesmith.data.steps import step

if TYPE_CHECKING:
    from numpy.typing import NDArray


@step("leaks")
def leaks(
    data: Dataset,
    *,
    keep: bool = False,
    against: tuple[Path, ...] = (),
    **options: Any,  # noqa: ARG001
) -> list[Finding]:
    """Drop train and dev rows whose text equals or nearly equals a test row's, and train rows that copy a dev row.

    Near copies are pairs that share three quarters of their shingles (`duplicates.copies_of`), whatever word or
    number differs, and pairs that are the same but for spelling, case, spacing or word order (`near.near_pairs`).
    keep: flag them instead. Only the inputs of test rows are looked at.
    against: files or folders of public benchmarks, of any readable kind; train and dev rows that hold one of their
    texts are dropped too, test rows flagged (kind "benchmark"): a base model may have seen them. Raises DataError for
    one that cannot be read.
    """
    splits = data.table["split"].to_numpy(zero_copy_only=False)
    used = np.flatnonzero(splits != "none")
    part = data.table.take(used)
    texts, ids, splits = part["text"].to_pylist(), part["id"].to_pylist(), splits[used]
    action: Action = "flag" if keep else "drop"
    found: dict[int, Finding] = {}
    if (splits == "test").any():
        groups = near_groups_of(data, used)
        alike = near_pairs(texts)
        tested, watched = splits == "test", splits == "dev"
        of_test = (copies_of(texts, groups, tested) | _pair_with(alike.exact, alike.links(), tested)) & ~tested
        of_dev = copies_of(texts, groups, watched) | _pair_with(alike.exact, alike.links(), watched)
        of_dev &= (splits == "train") & ~of_test
        for at in np.flatnonzero(of_test | of_dev).tolist():
            reason = "copies a test row" if of_test[at] else "copies a dev row"
            found[at] = Finding("leaks", ids[at], action, reason)
    for file in against:
        benchmark = read_benchmark(file)
        for at, reason in _held(benchmark, part, texts):
            held: Action = "flag" if splits[at] == "test" else action
            found.setdefault(at, Finding("leaks", ids[at], held, reason, kind="benchmark"))
    return [found[at] for at in sorted(found)]


def _pair_with(exact: NDArray[np.int64], links: NDArray[np.int64], of: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) which texts equal, or pair with, one in `of`."""
    inside = np.zeros(int(exact.max(initial=-1)) + 1, dtype=bool)
    inside[exact[of]] = True
    reached = inside.copy()
    reached[links[inside[links[:, 1]], 0]] = True
    reached[links[inside[links[:, 0]], 1]] = True
    return reached[exact]


def _held(benchmark: Benchmark, part: Any, texts: list[str]) -> list[tuple[int, str]]:
    """(row, reason) of the rows that hold a text of the benchmark in their input or, where written, their answer."""
    found = dict(benchmark.held_by(texts))
    answers = [(at, target) for at, target in enumerate(part["target"].to_pylist()) if target and " " in target]
    for at, reason in benchmark.held_by([target for _, target in answers]):
        found.setdefault(answers[at][0], f"its answer {reason}")
    return sorted(found.items())
