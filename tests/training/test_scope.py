from pathlib import Path

import numpy as np
import pytest

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows, rows_of
from tunesmith.training.scope import FLAGGED, Yardstick, fit_scopes, load_scope

WORDS = ["invoice", "charged", "twice", "refund", "amount", "bill", "payment", "router", "signal", "lost", "storm"]


def texts(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 6)) for _ in range(n)]


def rows(n: int, seed: int) -> Rows:
    return rows_of(texts(n, seed))


def test_texts_of_another_kind_are_flagged_and_those_of_the_same_kind_hardly_ever(tmp_path: Path) -> None:
    ctx = Context(tmp_path)
    (scope,) = fit_scopes(rows(300, 0), rows(200, 1), None, ctx)
    yardstick = Yardstick.of(scope.dev_distances)
    same = yardstick.p_values(scope.distances(texts(1000, 2), ctx))
    assert (same <= FLAGGED).mean() <= FLAGGED + 2.33 * np.sqrt(FLAGGED * (1 - FLAGGED) / 1000) + 0.02
    foreign = [
        "the oak grew beside a slow green river",
        "zut alors quelle belle journ\u00e9e",
        "\u5929\u6c14\u5f88\u597d",
        "",
    ]
    assert (yardstick.p_values(scope.distances(foreign, ctx)) <= FLAGGED).all()


def test_p_values_of_the_same_kind_are_no_smaller_than_chance() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        far, sure = rng.normal(size=150), rng.random(150)
        p = Yardstick.of(far, sure).p_values(rng.normal(size=150), rng.random(150))
        shares.append((p <= 0.05).mean())
    assert np.mean(shares) <= 0.055


def test_doubt_and_distance_together_are_stranger_than_either() -> None:
    line = np.linspace(0, 1, 100)
    yardstick = Yardstick.of(line, line[::-1].copy())
    both, far, near = yardstick.p_values(np.array([0.95, 0.95, 0.1]), np.array([0.05, 0.9, 0.95]))
    assert both < far < near


def test_a_scope_survives_the_disk_and_holds_no_text(tmp_path: Path) -> None:
    ctx = Context(tmp_path)
    (scope,) = fit_scopes(rows(250, 0), rows(60, 1), None, ctx)
    scope.save(tmp_path)
    again = load_scope(tmp_path, needs="nothing", encoder=None)
    assert again is not None
    some = texts(5, 9)
    assert again.distances(some, ctx) == pytest.approx(scope.distances(some, ctx), abs=1e-6)
    assert np.array_equal(again.dev_ids, scope.dev_ids)
    assert b"invoice" not in (tmp_path / "scope" / "ngrams.safetensors").read_bytes()
    assert load_scope(tmp_path / "elsewhere", needs="nothing", encoder=None) is None


def test_without_dev_nothing_is_measured_and_few_dev_rows_flag_nothing(tmp_path: Path) -> None:
    assert fit_scopes(rows(10, 0), rows(0, 1), None, Context(tmp_path)) == []
    assert not Yardstick.of(np.linspace(0, 1, 48)).can_flag
    assert Yardstick.of(np.linspace(0, 1, 49)).can_flag
