"""What every test may use: where the shared real data lies, and one thread for every numeric library."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy and torch load: two threads on busy cores are slower than one
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Runs of tests are no runs to learn from.
os.environ["TUNESMITH_RECORD"] = tempfile.mkdtemp(prefix="tunesmith-record-")

import pytest

ROOT = Path(__file__).parents[1]


def shared_data(name: str) -> Path:
    """The folder of a shared real data set; skips the test, with the reason, where it is absent."""
    folder = Path(os.environ.get("TUNESMITH_DATA", ROOT.parent / "shared" / "data")) / name
    if not folder.exists():
        pytest.skip(f"real data not here: {name} (set TUNESMITH_DATA to the folder that holds it)")
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Keep torch on one thread where a test has loaded it."""
    import sys

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
