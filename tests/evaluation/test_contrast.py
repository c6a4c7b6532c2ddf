"""Arms at equal rows, side by side on one test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from curated_case import LABELS, tickets

from tunesmith.core.context import Context
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.evaluation.contrast import Pool, Prices, contrast
from tunesmith.evaluation.contrast_page import render_contrast
from tunesmith.evaluation.trainers import SystemTrainer
from tunesmith.tasks import task as tasks
from tunesmith.training.systems import Job


def pools(*, noise: float = 0.5) -> tuple[dict[str, Pool], tuple[str, ...]]:
    """(generic: other texts; as it came: half of the labels wrong; curated: the right ones of them, right truth)."""
    data, right = tickets(rows=700, noise=noise)
    train, dev = data.rows("train"), data.rows("dev")
    good = [i for i, (row, target) in enumerate(zip(train.ids, train.targets, strict=True)) if right[row] == target]
    other, _ = tickets(rows=400, seed=9)
    far = other.rows("train")
    made = {
        "generic": Pool(tuple(t.replace(" n", " g") for t in far.texts), far.targets, dev.texts, far.ids, len(far)),
        "as it came": Pool(train.texts, train.targets, dev.texts, train.ids, len(train)),
        "curated": Pool(
            tuple(train.texts[i] for i in good), tuple(train.targets[i] for i in good), dev.texts, train.ids[good],
            len(train), prepared_s=36.0,
        ),
    }  # fmt: skip
    return made, dev.targets


def trainer(folder: Path) -> SystemTrainer:
    task = tasks.get("classify")
    job = Job(task, LABELS, task.prompt(LABELS, inputs=("text",), target="topic"),
              options={"C": 1.0, "temperature": 0.2, "lift": 0.0}, frozen=True)  # fmt: skip
    return SystemTrainer(LABELS, job, "tfidf", Context(folder))


def test_curated_rows_beat_noisy_ones_at_equal_rows(tmp_path: Path) -> None:
    made, truth = pools()
    found = contrast(made, truth, trainer(tmp_path), rows=200, seeds=3, openings=2)
    generic, came, curated = found.arms
    assert {arm.rows for arm in found.arms} == {200}
    assert curated.score > came.score
    assert found.gains[0][:2] == ("curated", "generic")
    assert found.gains[1][:2] == ("curated", "as it came")
    assert found.gains[1][2].claim == "helps"
    assert found.gains[2][:2] == ("as it came", "generic")
    # To have 200 curated rows, those that curation threw away had to be labelled too.
    assert curated.labelled == pytest.approx(200 * len(made["as it came"].texts) / len(made["curated"].texts), abs=1)
    assert came.labelled == generic.labelled == 200
    assert all(not arm.money for arm in found.arms)
    assert "cost" not in found.lines()[0]
    assert "opened 2 times" in "\n".join(found.lines())


def test_money_is_named_only_for_prices_that_were_given(tmp_path: Path) -> None:
    made, truth = pools()
    found = contrast(made, truth, trainer(tmp_path), rows=60, seeds=2, prices=Prices(label=0.5, hour=100.0))
    generic, came, curated = found.arms
    assert set(generic.money) == {"compute"}
    assert came.money["data"] == 30.0
    assert curated.money["data"] == curated.labelled * 0.5
    assert curated.money["compute"] > 1.0  # 36 s of curation at 100 an hour
    assert "data cost" in found.lines()[0]


def test_rows_that_copy_a_test_row_are_in_no_arm(tmp_path: Path) -> None:
    made, truth = pools()
    came = made["as it came"]
    leaky = Pool(
        (*came.texts, came.ask[0].upper()), (*came.targets, truth[0]), came.ask, np.append(came.order, 10_000),
        came.labelled + 1,
    )  # fmt: skip
    found = contrast({**made, "as it came": leaky}, truth, trainer(tmp_path), rows=60, seeds=2)
    assert found.copies == 1
    assert found.arms[1].pool == len(came.texts)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    made, truth = pools()
    with pytest.raises(ConfigError, match="the smallest arm has"):
        contrast(made, truth, trainer(tmp_path), rows=5000)
    small = {name: Pool(p.texts[:10], p.targets[:10], p.ask, p.order[:10], 10) for name, p in made.items()}
    with pytest.raises(DataError, match="too few to train on"):
        contrast(small, truth, trainer(tmp_path))


def test_the_page_shows_every_arm_and_difference_and_escapes_names(tmp_path: Path) -> None:
    made, truth = pools()
    found = contrast(made, truth, trainer(tmp_path), rows=100, seeds=2, prices=Prices(label=0.1), openings=1)
    page = render_contrast({"title": "<script>alert(1)</script>", **found.to_dict()})
    assert "<script>alert" not in page
    assert all(f"<bdi>{arm.name}</bdi>" in page for arm in found.arms)
    assert all(f"{100 * arm.score:.1f}" in page for arm in found.arms)
    assert page.count("curated against as it came") >= 2  # the headline's sentence and the picture
    assert "Cost of data" in page
    assert "Cost of compute" not in page
    assert page.count("<svg") == len(found.arms) + 2  # an interval an arm; the differences, wide and narrow
