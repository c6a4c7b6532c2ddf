"""Counts words and pieces of words and weighs them for each label against the rest: the baseline for several labels."""

from __future__ import annotations

from tunesmith.training.experts import count_seconds
from tunesmith.training.several import SetsSystem
from tunesmith.training.systems import system

system("tfidf_tags")(SetsSystem("tfidf_tags", ("counts",), count_seconds))
