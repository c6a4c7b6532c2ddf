"""A folder that answers by itself: the base model, what was learnt, and the sources that read both."""

from __future__ import annotations

from pathlib import Path

from tunesmith.deploy.exporters import EXACT, Made, exporter
from tunesmith.deploy.exporters._parts import copy_base, copy_fitted
from tunesmith.deploy.shipped import Shipped


class Bundle:
    """A folder that answers by itself, for every system."""

    name = "bundle"
    quantisations = ("none",)
    extra = None

    def why_not(self, model: Shipped) -> tuple[str, str] | None:
        return None

    def write(self, model: Shipped, draft: Path, quantisation: str) -> Made:
        copy_fitted(model, draft, adapter=True)
        copy_base(model, draft)
        return Made("torch", EXACT)


exporter("bundle")(Bundle())
