"""A form that keeps to limits of size and time is found by measuring, or refused with what was measured."""

import json

import pytest
from typer.testing import CliRunner

from tunesmith.cli import app
from tunesmith.core.errors import ConfigError
from tunesmith.deploy.limits import TooMuch, Within
from tunesmith.exporting import export_run


def test_limits_let_through_what_keeps_to_them_and_say_what_does_not():
    within = Within(size_bytes=50_000_000, time_ms=20.0)
    within.allow_size(50_000_000)
    within.allow_time({"cpu_ms_p50": 20.0})
    with pytest.raises(TooMuch, match=r"50\.1 MB, above 50\.0 MB"):
        within.allow_size(50_100_000)
    with pytest.raises(TooMuch, match=r"21\.0 ms an answer"):
        within.allow_time({"cpu_ms_p50": 21.0})
    with pytest.raises(TooMuch, match="no answer was timed"):
        within.allow_time({})
    Within().allow_size(10**12)
    Within().allow_time({})
    assert Within().why(1, {}) == ""


def test_the_reason_names_what_was_kept_to_and_what_was_tried_before():
    within = Within(size_bytes=60_000_000).after("bundle", "none", "100.5 MB, above 60.0 MB")
    why = within.after("merged", "f16", "too large").why(53_800_000, {})
    assert "53.8 of 60.0 MB" in why
    assert "bundle: 100.5 MB, above 60.0 MB; merged f16: too large" in why


def test_the_first_form_that_keeps_to_the_limits_is_written_with_the_reason(finished, tmp_path):
    done = export_run(finished, None, out=tmp_path / "out", system="tfidf", rows=20, max_size=50_000_000, max_latency=5)
    assert done.to == "bundle"
    told = json.loads((done.folder / "verified.json").read_text())
    assert "of 50.0 MB" in told["why"]
    assert done.why in (done.folder / "README.md").read_text()


def test_where_no_form_keeps_to_them_nothing_is_left_and_every_form_says_why(finished, tmp_path):
    with pytest.raises(ConfigError, match=r"no form of this model keeps to 0\.0 MB") as refused:
        export_run(finished, None, out=tmp_path / "out", system="tfidf", rows=20, max_size=1000)
    told = str(refused.value)
    assert "bundle: " in told
    assert "merged f16: " in told
    assert "no network" in told
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_takes_limits_and_refuses_what_is_none(finished, tmp_path):
    words = ["export", str(finished), "--system", "tfidf", "--out", str(tmp_path / "out"), "--rows", "20"]
    done = CliRunner().invoke(app, [*words, "--max-size", "big"])
    assert isinstance(done.exception, ConfigError)
    assert "--max-size" in str(done.exception)
    done = CliRunner().invoke(app, [*words, "--max-size", "1KB", "--to", "bundle"])
    assert "keeps to" in str(done.exception)
