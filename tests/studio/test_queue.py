import pytest

from tunesmith.core.errors import ConfigError
from tunesmith.curation import curate_table
from tunesmith.data.reviews import read_reviews
from tunesmith.reviewing import Listed, review
from tunesmith.studio.pages.review import shown
from tunesmith.studio.queue import Queue


@pytest.fixture
def curated(tmp_path):
    """A table in which one row has a copy and one text carries HTML."""
    rows = [("text", "label")]
    rows += [(f"the {kind} of order {n} was {word} by us today", word) for n in range(30)
             for kind, word in (("parcel", "kept"), ("refund", "lost"))]  # fmt: skip
    rows += [("<img src=x onerror=alert(1)> the parcel came", "kept")] * 3
    data = tmp_path / "orders.csv"
    data.write_text("\n".join(",".join(row) for row in rows) + "\n")
    curate_table(data, out=tmp_path / "run")
    return tmp_path / "run"


def test_a_decision_is_what_the_command_line_would_write(curated):
    queue = Queue.open(curated)
    first = next(i for i, item in enumerate(queue.items) if not item.is_test)
    queue.at = first
    item = queue.item
    queue.decide("reject", by="anna")
    line = read_reviews(queue.path).lines[-1]
    assert (line.by, line.ruling.row, line.ruling.step, line.ruling.verdict) == (
        "anna", item.row, item.finding.step, "reject",
    )  # fmt: skip
    before = len(read_reviews(queue.path).lines)
    review(curated, reject=str(item.finding.id), steps=[item.finding.step])
    assert read_reviews(queue.path).lines[before].ruling == line.ruling


def test_undo_returns_to_what_held_before_and_loses_no_line(curated):
    queue = Queue.open(curated)
    left, at = queue.left, queue.at
    queue.decide("reject")
    assert queue.left < left  # of rows with equal content, one decision settles all
    assert queue.undo()
    assert (queue.left, queue.at) == (left, at)
    assert not queue.undo()
    kept = read_reviews(queue.path)
    assert [line.ruling.verdict for line in kept.lines] == ["reject", "withdraw"]
    assert kept.holding() == ()
    assert Queue.open(curated).left == left


def test_undo_of_a_second_decision_brings_the_first_back(curated):
    queue = Queue.open(curated)
    item = queue.item
    queue.decide("reject")
    again = Queue.open(curated)
    again.at = next(i for i, one in enumerate(again.items) if one.key == item.key)
    if not item.is_test:
        again.correct("kept")
        again.undo()
    assert [r.verdict for r in read_reviews(queue.path).holding() if r.row == item.row] == ["reject"]


def test_a_test_row_is_not_changed(curated):
    queue = Queue.open(curated)
    tests = [i for i, item in enumerate(queue.items) if item.is_test]
    if not tests:
        pytest.skip("no finding fell on a test row")
    queue.at = tests[0]
    for act in (lambda: queue.decide("accept"), lambda: queue.correct("kept")):
        with pytest.raises(ConfigError, match="test row"):
            act()
    assert read_reviews(queue.path).lines == ()


def test_a_label_that_does_not_exist_is_refused(curated):
    queue = Queue.open(curated)
    queue.at = next(i for i, item in enumerate(queue.items) if not item.is_test)
    for value in ("kpt", " ", ""):
        with pytest.raises(ConfigError):
            queue.correct(value)
    assert read_reviews(queue.path).lines == ()


def test_html_in_a_cell_is_shown_as_text(curated):
    queue = Queue.open(curated)
    item = next(item for item in queue.items if "<img" in item.text)
    html = str(shown(item, queue))
    assert "<img" not in html
    assert "&lt;img" in html


def test_withdrawn_decisions_hold_no_longer_when_the_data_is_curated_again(curated):
    dropped = [f for f in Listed.open(curated).findings if f.action == "drop"]
    assert dropped
    review(curated, reject="all")
    curate_table(curated)
    assert not [f for f in Listed.open(curated).findings if f.action == "drop"]
    assert review(curated, withdrawn="all") > 0
    curate_table(curated)
    assert [f.id for f in Listed.open(curated).findings if f.action == "drop"] == [f.id for f in dropped]
