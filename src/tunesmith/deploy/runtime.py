"""What runs inside an export: reads the model in a folder and answers texts. It knows no run folder.

An export holds the sources of this module and of what it imports under a name of its own, so that it needs no
installed Tunesmith. `export.json` says what the model is; files whose content is not what it says are refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.core.context import Context, Limits
from tunesmith.core.errors import ConfigError, ModelError, TunesmithError
from tunesmith.core.events import Emit
from tunesmith.core.files import read_json, sha256_file
from tunesmith.core.predictions import Predictions
from tunesmith.evaluation.acceptance import Acceptance
from tunesmith.models.sources import source
from tunesmith.models.spec import ModelSpec
from tunesmith.tasks import Prompt
from tunesmith.tasks import task as tasks
from tunesmith.training.calibrate import load_calibrated
from tunesmith.training.linear import load_arrays
from tunesmith.training.promises import Judged
from tunesmith.training.scope import load_scope
from tunesmith.training.systems import Fitted, Job, RungPlan
from tunesmith.training.systems import system as systems

if TYPE_CHECKING:
    from numpy.typing import NDArray

ABOUT = "export.json"
FITTED, BASE, SCOPE = "fitted", "base", "scope"
_FORMAT = 1
# Texts answered together; the same as where the answers were compared.
_AT_ONCE = 64
_MOST_TIMED_S = 20.0


@dataclass(frozen=True)
class Answer:
    """One answer. value: a label, a text or JSON; None where there is none.

    confidence: calibrated probability that it is right; None where nothing is said of it.
    accepted: whether it may go out at the promised share of right answers; None: nothing was promised.
    why_not:  why it may not, or "".
    """

    value: str | None
    confidence: float | None
    accepted: bool | None
    why_not: str


class Predictor:
    """The model in a folder.

    base: where the base model lies, for an export that names it and does not hold it. threads: of numeric libraries.
    check: compare every file with its SHA-256 first; raises ModelError for a file that was changed or is missing.
    """

    def __init__(self, folder: str | Path, *, base: str | Path | None = None, threads: int = 1, check: bool = True):
        self.folder = Path(folder).resolve()
        if not (self.folder / ABOUT).is_file():
            raise ModelError(f"{self.folder} holds no export: there is no {ABOUT}.")
        self.about: dict[str, Any] = read_json(self.folder / ABOUT)
        if self.about["format"] != _FORMAT:
            raise ModelError(f"{self.folder} is an export of format {self.about['format']}; this reads {_FORMAT}.")
        if check:
            refuse_changed(self.folder, self.about["files"])
        self._base = None if base is None else Path(base)
        self._ctx = Context(self.folder, int(self.about["seed"]), Limits(threads=threads))
        if self.about["holds_base"] is False and self._base is None:
            raise ConfigError(
                f"this export stands on {self.about['base']['uri']}, which it does not hold.",
                hint="say where it lies:  --base FOLDER",
            )
        source("export")(_Held(self.folder, self._base))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it chooses from; () where it writes texts."""
        return tuple(self.about["labels"])

    def predict(self, texts: Sequence[str]) -> Predictions:
        """Answers with probabilities, in order."""
        parts = list(self.pieces(texts))
        return Predictions.joined(parts) if parts else Predictions(())

    def pieces(self, texts: Sequence[str]) -> Iterator[Predictions]:
        """The same, some answers at a time, as they come."""
        for at in range(0, len(texts), _AT_ONCE):
            yield self.fitted.predict(texts[at : at + _AT_ONCE], self._ctx)

    def answer(self, texts: Sequence[str], *, accept_at: float | None = None) -> list[Answer]:
        """Answers with what may go out. accept_at: share of right answers that is promised; None: as it was shipped."""
        made = self.predict(texts)
        sure = made.confidence
        target = self.about["accept_at"] if accept_at is None else accept_at
        confidence = [None] * len(texts) if sure is None else [float(s) for s in sure]
        if not target:
            return [Answer(v, c, None, "") for v, c in zip(made.values, confidence, strict=True)]
        decided = self._acceptance.decide(made, texts, float(target), self._ctx)
        return [
            Answer(value, c, bool(yes), why)
            for value, c, yes, why in zip(made.values, confidence, decided.accepted, decided.reasons, strict=True)
        ]

    def first_logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, vocabulary) logits of the first token of each answer, for a language model."""
        answers: Any = self.fitted
        asked = answers.answers(self._ctx)
        ids = [asked.asker.ask(text, room=asked.lengths.room).ids for text in texts]
        return np.asarray(asked.lm.first_logits(ids), dtype=np.float32)

    @cached_property
    def fitted(self) -> Fitted:
        """The system, loaded."""
        about = self.about
        made: Any = systems.get(about["system"]).load(self.folder / FITTED, self._job, self._ctx)
        return load_calibrated(made, self.folder / FITTED)

    @property
    def _job(self) -> Job:
        about, words = self.about, self.about["prompt"]
        prompt = Prompt(
            words["instruction"], tuple(words["labels"]), tuple((a, b) for a, b in words["shots"]), words["schema"]
        )
        kinds: tuple[Literal["encoder", "lm"], ...] = ("encoder", "lm")
        spec = {kind: ModelSpec("export", f"{BASE}/{kind}", kind) if about["needs"] == kind else None for kind in kinds}
        return Job(
            tasks.get(about["task"]), self.labels, prompt, spec["encoder"], spec["lm"], RungPlan(about["system"])
        )

    @cached_property
    def _acceptance(self) -> Acceptance:
        folder = self.folder / SCOPE
        if not (folder / "judged.safetensors").exists():
            return Acceptance(None, None, None)
        seen = load_arrays(folder / "judged.safetensors")
        judged = Judged(seen["confidence"], seen["right"].astype(bool))
        scope = load_scope(self.folder, needs="encoder", encoder=self._job.encoder)
        pairs = (seen["distances"], seen.get("confidences")) if "distances" in seen else None
        return Acceptance(judged, scope, pairs)


class _Held:
    """Base models that lie in the export, or where its user said."""

    def __init__(self, folder: Path, base: Path | None) -> None:
        self._folder, self._base = folder, base

    def search(self, wanted: str) -> list[ModelSpec]:
        return []

    def pin(self, spec: ModelSpec) -> ModelSpec:
        return spec

    def local(self, spec: ModelSpec) -> Path | None:
        return self._base or self._folder / spec.id

    def fetch(self, spec: ModelSpec, emit: Emit) -> Path:
        return self._base or self._folder / spec.id


def refuse_changed(folder: Path, files: dict[str, str]) -> None:
    """Raise ModelError unless every file has the SHA-256 that was written down for it."""
    for name, wanted in files.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{name} is missing from {folder}.", hint="copy the whole folder again.")
        if sha256_file(path) != wanted:
            raise ModelError(f"{path} was changed or damaged: its SHA-256 is another one.", hint="copy it again.")


def main(folder: Path, words: Sequence[str] | None = None) -> int:
    """The command line of an export; returns its exit code."""
    parser = argparse.ArgumentParser(prog="predict.py", description="Answers texts with the model in this folder.")
    parser.add_argument("text", nargs="*", help="texts; none: one per line on stdin")
    parser.add_argument("--jsonl", action="store_true", help="each line of stdin is a JSON string")
    parser.add_argument("--base", type=Path, help="where the base model lies, if it is not in this folder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--accept-at", type=float, help="share of given answers that is to be right; 0: all are given")
    parser.add_argument("--probabilities", action="store_true", help="of every label, in the order of export.json")
    parser.add_argument(
        "--logits", type=Path, help="also write the first token's logits to this .npy (language models)"
    )
    parser.add_argument("--time", type=int, default=0, metavar="N", help="then answer up to N texts one by one, timed")
    asked = parser.parse_args(words)
    lines = (line.rstrip("\n") for line in sys.stdin)
    texts = list(asked.text) or [json.loads(line) if asked.jsonl else line for line in lines]
    try:
        began = time.perf_counter()
        model = Predictor(folder, base=asked.base, threads=asked.threads)
        _limit_threads(asked.threads)
        if asked.probabilities:
            _told_in_full(model, texts)
        else:
            for one in model.answer(texts, accept_at=asked.accept_at):
                made = {"prediction": one.value, "confidence": one.confidence}
                if one.accepted is not None:
                    made |= {"accepted": one.accepted, "why_not": one.why_not}
                print(json.dumps(made, ensure_ascii=False))
        ready = time.perf_counter() - began
        if asked.logits is not None:
            np.save(asked.logits, model.first_logits(texts), allow_pickle=False)
        if asked.time and texts:
            _timed(model, texts, asked.time, ready)
    except TunesmithError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


def _told_in_full(model: Predictor, texts: Sequence[str]) -> None:
    for made in model.pieces(texts):
        for at, value in enumerate(made.values):
            row: dict[str, Any] = {"prediction": value}
            for name in ("probabilities", "confidences", "marginals"):
                given = getattr(made, name)
                if given is not None:
                    row[name] = given[at].tolist()
            print(json.dumps(row, ensure_ascii=False))
        sys.stdout.flush()  # whoever reads sees how far it is


def _timed(model: Predictor, texts: Sequence[str], n: int, ready_s: float) -> None:
    """Wall and CPU milliseconds of single answers, as one JSON line on stderr."""
    wall, cpu = [], []
    for at in range(n):
        began, began_cpu = time.perf_counter(), time.process_time()
        model.predict([texts[at % len(texts)]])
        wall.append(1000 * (time.perf_counter() - began))
        cpu.append(1000 * (time.process_time() - began_cpu))
        if sum(wall) > 1000 * _MOST_TIMED_S:
            break
    found = {"n": len(wall), "ready_s": ready_s}
    for name, values in (("wall_ms", wall), ("cpu_ms", cpu)):
        found |= {f"{name}_p50": float(np.median(values)), f"{name}_p95": float(np.quantile(values, 0.95))}
    print(json.dumps({"timed": found}), file=sys.stderr)


def _limit_threads(threads: int) -> None:
    if "torch" in sys.modules and sys.modules["torch"] is not None:
        sys.modules["torch"].set_num_threads(threads)
