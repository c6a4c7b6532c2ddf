"""The option --max-memory from end to end: sizes are read, little is refused with exit code 2, the plan carries it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith.core.errors import ConfigError
from tunesmith.planning import config_from


def test_sizes_are_read_with_their_units() -> None:
    table = {"data": {"path": "a.csv"}, "threads": 1, "device": "cpu", "dtype": "float32"}
    assert config_from({**table, "max_memory": "2GB"}).max_memory == 2_000_000_000
    assert config_from({**table, "max_memory": "1.5GiB"}).max_memory == 3 << 29
    assert config_from(table).max_memory is None
    with pytest.raises(ConfigError, match=r"config.max_memory: expected a size"):
        config_from({**table, "max_memory": "much"})


def test_less_than_the_process_needs_is_refused_with_exit_code_2(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("text,label\n" + "".join(f"row {i},{'ab'[i % 2]}\n" for i in range(40)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tunesmith", "plan", str(data), "--max-memory", "100MB", "--out", str(tmp_path / "run")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "max_memory: 100 MB is less than" in done.stderr
    assert "give at least" in done.stderr
