"""What a base model writes of its own accord: questions that it would be asked and its answers to them.

Nothing is downloaded. The model is given the beginning of a person's turn and goes on by itself, each token drawn by
its probability (temperature 1); what it wrote is then asked, and it answers in the same way. Source of the questions:
Xu et al. 2024 (Magpie), section 2.1. A base without a chat template writes plain text instead.

Text is made in rounds of 32 rows, a pure function of the model, its template, the seed and the round; rounds are kept
on the machine (`tunesmith cache` lists them as texts/…), as they take longer than all that is measured on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tunesmith.core.errors import ModelError
from tunesmith.core.events import Emit
from tunesmith.core.files import canonical, read_json, sha256_bytes, write_json
from tunesmith.models import cache
from tunesmith.models.decode import generate
from tunesmith.models.fingerprint import fingerprint
from tunesmith.models.lm import LanguageModel
from tunesmith.training.batches import Encoded

ROUND = 32  # rows written at the same time
_QUESTION, _ANSWER, _PLAIN = 32, 40, 56  # tokens at most
_LEAST = 4  # tokens of an answer: a shorter one says next to nothing
# A model that says the same again and again is asked so many times as often as rows are needed, and then no more.
_PATIENCE = 4
_MARK = "\u2e3atext\u2e3a"


def own_text(lm: LanguageModel, n: int, *, seed: int, emit: Emit) -> Encoded:
    """The first n different rows that the model writes, prompts and answers as in training; weights 1.

    lm: without a method on it. Fewer rows are given for a smaller n, the same ones. Raises ModelError where the model
    has not so many different things to say.
    """
    rows: dict[tuple[int, ...], tuple[int, int]] = {}
    for number in range(_PATIENCE * -(-n // ROUND)):
        for ids, n_prompt, n_end in _round(lm, number, seed=seed, emit=emit):
            rows.setdefault(tuple(ids), (n_prompt, n_end))
        if len(rows) >= n:
            break
    if len(rows) < n:
        raise ModelError(
            f"left to itself this base writes only {len(rows)} different texts in {_PATIENCE * n} attempts; "
            f"{n} are needed to measure what it forgets.",
            hint="choose another base, or train without --forget-at-most.",
        )
    kept = dict(list(rows.items())[:n])
    prompts, ends = zip(*kept.values(), strict=True)
    answers = sum(len(ids) - start for ids, start in zip(kept, prompts, strict=True))
    return Encoded(tuple(kept), tuple(prompts), tuple(ends), (1.0,) * n, answers)


def _round(lm: LanguageModel, number: int, *, seed: int, emit: Emit) -> list[list[Any]]:
    """[[ids, tokens of the prompt, tokens of the end]] of one round, from the machine's cache if it is there."""
    key = sha256_bytes(canonical(_key(lm, seed)))[:24]
    path = cache.root() / "texts" / key / f"{number:03d}.json"

    def make() -> list[list[Any]]:
        made: list[list[Any]] = [list(row) for row in _write(lm, number, seed=seed)]
        emit("texts.written", round=number, rows=len(made))
        with cache.room_for_writing():
            write_json(path, made)
        return made

    found = cache.once(f"texts-{key}", lambda: _found(path), make, emit)
    cache.touch(path.parent)
    return found


def _found(path: Path) -> list[list[Any]] | None:
    try:
        rows = read_json(path)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        return None  # not written yet, or half a file: it is written again
    sound = isinstance(rows, list) and all(
        isinstance(row, list) and len(row) == 3 and isinstance(row[0], list) and 0 < row[1] < len(row[0])
        for row in rows
    )
    return rows if sound else None


def _write(lm: LanguageModel, number: int, *, seed: int) -> Iterator[tuple[list[int], int, int]]:
    draw = torch.Generator().manual_seed(int.from_bytes(sha256_bytes(b"%d %d" % (seed, number)).encode()[:7]))
    start = _start(lm)
    plain = lm.template.is_plain
    begun = generate(lm, [start] * ROUND, max_new_tokens=_PLAIN if plain else _QUESTION, rows=ROUND, draw=draw)
    if plain:
        prompts, said = [start] * ROUND, begun
    else:
        asked = [lm.template.read(one.ids) for one in begun]
        prompts = [lm.template.prompt_ids([{"role": "user", "content": text}]) for text in asked if text]
        said = generate(lm, prompts, max_new_tokens=_ANSWER, rows=ROUND, draw=draw) if prompts else []
    for prompt, answer in zip(prompts, said, strict=True):
        if len(answer.ids) >= _LEAST:
            end = [lm.template.end_id] if answer.ended else []
            yield [*prompt, *answer.ids, *end], len(prompt), len(end)


def _start(lm: LanguageModel) -> list[int]:
    """Token ids up to where a person would begin to write; of a base without a chat template, where a text begins."""
    template = lm.template
    if not template.is_plain:
        before, mark, _ = template.text([{"role": "user", "content": _MARK}]).partition(_MARK)
        if mark and before:
            return list(template.tokenizer.encode(before, add_special_tokens=False))
    first = template.tokenizer.bos_token_id
    return [int(template.tokenizer.eos_token_id if first is None else first)]


def _key(lm: LanguageModel, seed: int) -> dict[str, Any]:
    """Everything that a token can depend on."""
    import transformers

    return {
        "version": 2,
        "base": fingerprint(lm.folder),
        "form": sorted({type(part).__name__ for part in lm.model.modules()}),
        "dtypes": sorted({str(tensor.dtype) for tensor in lm.model.parameters()}),
        "template": lm.template.fingerprint,
        "seed": seed,
        "lengths": [ROUND, _QUESTION, _ANSWER, _PLAIN, _LEAST],
        "device": str(lm.device.type),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
