"""The cell choice with four pairs on SmolLM2-135M beside the nine on the encoder."""

from __future__ import annotations

import argparse
from typing import Any

from choice import compared


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    return compared(asked, cell="choice_lm", lms=("smollm2-135m-instruct",))
