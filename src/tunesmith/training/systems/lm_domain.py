"""The language model tuned as `lm` is, after it has read the user's documents (training/domain.py)."""

from __future__ import annotations

from tunesmith.training.systems import system
from tunesmith.training.tuned_lm import TunedLm

system("lm_domain")(TunedLm("lm_domain", asked_by="domain"))
