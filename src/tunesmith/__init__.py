"""Tunesmith: raw data and a named task in, a small verified specialised language model out.

    import tunesmith as ts
    run = ts.run("tickets.csv", target="category")
    run.report.sentence
    run.predict(["my card has not arrived"]).values

Names load what they need on first use, so that `import tunesmith` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# name -> module that holds it. The public list; tests/test_public_names.py guards it.
_PUBLIC = {
    "run": "tunesmith.pipeline",
    "plan": "tunesmith.pipeline",
    "open_run": "tunesmith.pipeline",
    "SavedRun": "tunesmith.pipeline",
    "Config": "tunesmith.planning",
    "read_config": "tunesmith.planning",
    "fetch_member": "tunesmith.models.sources.wheel",
    "read_library": "tunesmith.data.documents",
    "verify_citations": "tunesmith.tasks.citations",
    "TunesmithError": "tunesmith.core.errors",
    "CheckFailed": "tunesmith.core.errors",
}
__all__ = [
    "CheckFailed",
    "Config",
    "SavedRun",
    "TunesmithError",
    "__version__",
    "fetch_member",
    "open_run",
    "plan",
    "read_config",
    "read_library",
    "run",
    "verify_citations",
]

if TYPE_CHECKING:
    from tunesmith.core.errors import CheckFailed, TunesmithError
    from tunesmith.data.documents import read_library
    from tunesmith.models.sources.wheel import fetch_member
    from tunesmith.pipeline import SavedRun, open_run, plan, run
    from tunesmith.planning import Config, read_config
    from tunesmith.tasks.citations import verify_citations


def __getattr__(name: str) -> object:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tunesmith' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
