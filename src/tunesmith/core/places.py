"""Where Tunesmith keeps things on this machine outside of run folders.

TUNESMITH_CACHE names the folder; without it, $XDG_CACHE_HOME/tunesmith, else ~/.cache/tunesmith. TUNESMITH_RECORD names
another folder for what was learnt from earlier runs alone.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """The machine-wide folder of base models and the ledger; not created here."""
    chosen = os.environ.get("TUNESMITH_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "tunesmith"


def record_root() -> Path:
    """The folder of what was learnt from earlier runs on this machine; not created here."""
    chosen = os.environ.get("TUNESMITH_RECORD")
    return Path(chosen).expanduser() if chosen else cache_root()
