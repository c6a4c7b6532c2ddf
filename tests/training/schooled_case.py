"""A tiny model that has learned something, made once for all tests of a session, and jobs on it."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from lm_case import job_of

from tunesmith.testing import schooled_lm
from tunesmith.training.systems import Job


@cache
def schooled() -> Path:
    """The folder of the model."""
    return schooled_lm(Path(tempfile.mkdtemp(prefix="schooled-")) / "tiny")


def schooled_job(folder: Path, **options: Any) -> Job:
    """`lm_case.job_of` on the schooled model."""
    if not (folder / "tiny").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(schooled(), folder / "tiny")
    return job_of(folder, **options)
