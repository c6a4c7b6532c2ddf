"""The language model tuned with a parameter-efficient method; answers labels or text."""

from __future__ import annotations

from tunesmith.training.systems import system
from tunesmith.training.tuned_lm import TunedLm

system("lm")(TunedLm("lm"))
