"""Curation steps, one file each: what is noticed about Examples, and what should be done about it."""

from __future__ import annotations

from typing import Any, Protocol

from tunesmith.core.dataset import Dataset
from tunesmith.core.findings import Finding
from tunesmith.core.registry import Registry


class Step(Protocol):
    """Looks at a Dataset and returns Findings; changes nothing itself.

    Test rows are seen without their targets and may be flagged or fixed (text only), never dropped.
    Options are keyword-only with defaults.
    """

    def __call__(self, data: Dataset, **options: Any) -> list[Finding]: ...


step: Registry[Step] = Registry("step", __name__)
