"""Which rungs on a language model stay below a limit of memory, and in which dtype or method; decided before any work.

float32, as fast as the machine → the dtype of half the size → a base in 4 bits (where bitsandbytes is installed)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from tunesmith.core.dataset import Rows
from tunesmith.core.errors import ConfigError
from tunesmith.core.meter import resident_bytes
from tunesmith.models.methods import Options
from tunesmith.models.methods import method as methods
from tunesmith.tasks import Prompt, Task
from tunesmith.training.systems import system as systems

Dtype = Literal["float32", "bfloat16"]

# An interpreter with the libraries that even the cheapest rung needs; torch, transformers and peft are 300 MB more.
LEAST = 250_000_000
# What loads later than the plan is made: tokenizer, evaluation, the report.
_LATER = 64 << 20
# Answering holds keys and values, logits and a mask for some rows at once.
_ANSWERING = 96 << 20
# Longest texts by characters, of which tokens are counted; rows longer than _MOST_TOKENS are cut.
_COUNTED_ROWS, _MOST_TOKENS = 8, 2048


@dataclass(frozen=True)
class Way:
    """How the base is held: dtype and method (None: as it was asked for). why: for the plan, "" if nothing changed.

    not_run: rungs that cannot stay below the limit, with the reason.
    """

    dtype: Dtype
    method: str | None
    why: str
    not_run: Mapping[str, str]


def refuse_too_little(limit: int | None) -> None:
    """Raise ConfigError for a limit that the process exceeds whatever it does."""
    least = max(LEAST, resident_bytes())
    if limit is not None and limit < least:
        raise ConfigError(
            f"max_memory: {limit / 1e6:.0f} MB is less than the interpreter and its libraries hold "
            f"({least / 1e6:.0f} MB).",
            hint="give at least 1GB; 2GB lets the default language model train at full speed.",
        )


def way_within(
    limit: int, folder: Path, names: Sequence[str], *, longest: int, options: Options, dtype: Dtype, free_dtype: bool
) -> Way:
    """The first way of holding the base in `folder` that trains rows of `longest` tokens below `limit` bytes.

    names: rungs that stand on it. free_dtype: whether the dtype may be changed (it was 'auto').
    """
    from transformers import AutoConfig

    from tunesmith.training.memory import needs_of

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    asked = str(options.get("method", "lora"))
    ways: list[tuple[Dtype, str]] = [(dtype, asked)]
    if free_dtype and dtype == "float32":
        ways.append(("bfloat16", asked))
    if "method" not in options and find_spec("bitsandbytes") is not None:
        ways.append((dtype, "qlora"))
    least: dict[tuple[Dtype, str], int] = {}
    answering: dict[Dtype, int] = {}
    for way in ways:
        needs = needs_of(config, methods.get(way[1]), options, dtype=way[0])
        resident = resident_bytes() + _LATER
        least[way] = needs.least(longest, answers=max(1, longest // 4), resident=resident)
        answering.setdefault(way[0], resident + needs.weights + _ANSWERING)
    fits = [way for way in ways if least[way] <= limit]
    not_run: dict[str, str] = {}
    trains = [name for name in names if systems.get(name).kind == "tuned"]
    if not fits:
        not_run |= dict.fromkeys(trains, f"needs about {min(least.values()) / 1e9:.1f} GB")
    chosen = fits[0] if fits and trains else ways[0]
    if chosen == ways[0] and free_dtype and answering[dtype] > limit and "bfloat16" in answering:
        chosen = ("bfloat16", asked)
    for name in names:
        if name not in trains and answering[chosen[0]] > limit:
            not_run[name] = f"needs about {answering[chosen[0]] / 1e9:.1f} GB"
    why = ""
    if chosen != ways[0]:
        why = f"in {dtype}, {asked} needs about {least[ways[0]] / 1e9:.1f} GB, and max_memory is {limit / 1e9:.1f} GB"
    return Way(chosen[0], None if chosen[1] == asked else chosen[1], why, not_run)


def longest_row(rows: Rows, folder: Path, task: Task, prompt: Prompt) -> int:
    """Tokens of the longest row as it is trained on, cut where rows are cut."""
    from transformers import AutoTokenizer

    from tunesmith.models.template import Asker, Template

    template = Template.of(AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False))
    asker = Asker(template, task, prompt)
    size = [len(text) + len(target) for text, target in zip(rows.texts, rows.targets, strict=True)]
    some = np.argsort(size, kind="stable")[-_COUNTED_ROWS:].tolist()
    found = [len(asker.ask(rows.texts[i]).ids) + len(template.answer_ids(rows.targets[i])) for i in some]
    return min(_MOST_TOKENS, max(found))
