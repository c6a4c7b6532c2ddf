from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console
from sample_report import SAMPLES, sample

from tunesmith.evaluation import terminal


def _shown(name: str, *, width: int = 100, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict" if encoding == "utf-8" else "replace")
    terminal.show(sample(name), Console(file=stream, width=width, highlight=False, force_terminal=False))
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("name", SAMPLES)
def test_any_report_is_shown_within_the_width(name: str, width: int) -> None:
    shown = _shown(name, width=width)
    assert shown.strip()
    assert max(cell_len(line) for line in shown.splitlines()) <= width


def test_verdict_ladder_checks_and_cost_are_told() -> None:
    shown = _shown("classify")
    for words in (
        "Ship the tuned system (better)",
        "94.2 % against 92.8 %",
        "encoder ships",
        "93.1\u201395.3",
        "300 subset",
        "contrastive  not run: needs about 3 h",
        "Checks: 10 passed, 0 failed, 1 does not apply",
        "11 min 43 s",
        "91.6 MiB",
    ):
        assert words in shown, words


def test_no_number_of_the_ladder_is_cut_at_eighty_columns() -> None:
    shown = _shown("classify", width=80)
    for words in ("94.2 %", "93.1\u201395.3", "94.6 %", "1.4 GiB", "91.6 MiB", "11 ms"):
        assert words in shown, words


def test_the_picture_comes_where_there_is_room_and_marks_by_shape() -> None:
    wide = _shown("classify", width=130)
    assert "\u2500\u25cf\u2500" in wide
    assert "\u25c7" in wide
    assert "\u25cf" not in _shown("classify", width=80)


def test_a_failed_check_is_told_with_its_remedy() -> None:
    shown = _shown("worse")
    assert "failed: merged equals adapter (encoder): measured 0.410, must be \u2264 0.001" in shown
    assert "set export.merge to false" in shown


def test_data_can_neither_colour_nor_move_the_terminal() -> None:
    report = sample("hostile")
    raw = io.StringIO()
    terminal.show(report, Console(file=raw, width=120, highlight=False, force_terminal=True, color_system="truecolor"))
    shown = raw.getvalue()
    assert "\x1b[31mred" not in shown
    assert "\u241b[31mred" in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    report["systems"][0]["name"] = report["verdict"]["winner"] = "[bold red]x[/bold red]"
    raw = io.StringIO()
    terminal.show(report, Console(file=raw, width=120, highlight=False, force_terminal=False))
    assert "[bold red]x[/bold red]" in raw.getvalue()


def test_a_terminal_without_unicode_gets_plain_letters() -> None:
    shown = _shown("classify", width=130, encoding="ascii")
    assert "* Ship the tuned system" in shown
    assert "-o-" in shown
    assert "?" not in shown
