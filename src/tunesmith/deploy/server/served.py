"""The models that a server was started with: loaded when first asked, forgotten when memory is short."""

from __future__ import annotations

import gc
import json
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.context import Context
from tunesmith.core.predictions import Predictions
from tunesmith.data.offsets import placed
from tunesmith.deploy.server.bases import Bases
from tunesmith.evaluation.acceptance import Acceptance, Decided
from tunesmith.tasks import Task
from tunesmith.training.calibrate import Calibrated
from tunesmith.training.embeddings import remember_at_most
from tunesmith.training.systems import Fitted
from tunesmith.training.tuned_lm import LmFitted

if TYPE_CHECKING:
    from tunesmith.models.continuous import Prompts, Writer
    from tunesmith.models.lm import LanguageModel
    from tunesmith.training.prompted import Prompted

# What a model takes on top of its files once it is loaded: activations, tokenizers, the libraries' own.
_SPARE_BYTES = 64 << 20
# Tokens of prompts that all models together keep, should they come again: 47 MB for SmolLM2-135M.
_KEPT_TOKENS = 1024
# Adapters that hang on bases at once; those asked longest ago make room, which takes 20 ms, not a second.
_ADAPTERS = 4
# Texts whose vectors are kept, should they be asked for again: 6 MB at 384 dimensions.
_REMEMBERED = 4096


@dataclass(frozen=True)
class Answer:
    """One text's answer. value: as *evaluate* would write it down; None where there is none.

    probabilities: by label, the likeliest first. accepted: None where nothing was promised. quotes: where each value of
    a JSON answer stands in the text.
    """

    value: str | None
    confidence: float | None = None
    probabilities: tuple[tuple[str, float], ...] = ()
    accepted: bool | None = None
    why_not: str = ""
    placed: Any = None
    quotes: tuple[dict[str, Any], ...] | None = None


@dataclass(frozen=True)
class Offered:
    """A run that is served. read: gives its system from disk. texts: rows of a request as the model is given them.

    folder: of the system that answers, for how large it is. base: what its language model weighs, 0 without one.
    """

    name: str
    run: str
    system: str
    task: Task
    labels: tuple[str, ...]
    schema: str
    inputs: tuple[str, ...]
    folder: Path
    accept_at: float | None
    read: Callable[[], Fitted]
    acceptance: Callable[[], Acceptance]
    texts: Callable[[Sequence[Any]], list[str]]
    ctx: Context

    @property
    def writes(self) -> bool:
        """Whether a language model writes its answers, token by token."""
        return self.system in ("lm", "zero_shot", "few_shot") and self.task.output in ("text", "json")

    @property
    def is_adapter(self) -> bool:
        """Whether it is a base with weights of its own beside it, as far as that is known before it is loaded."""
        return self.system == "lm"

    @property
    def door(self) -> str:
        """Which of the two own endpoints answers for it, classify or extract; "" if it writes texts."""
        return {"label": "classify", "labels": "classify", "json": "extract", "citations": "extract"}.get(
            self.task.output, ""
        )


class Loaded:
    """A served model in memory."""

    def __init__(self, offered: Offered, bases: Bases, prompts: Prompts | None = None) -> None:
        """prompts: those that the same model read before it was let go."""
        self.offered, self._bases, self._prompts = offered, bases, prompts
        self.lm: LanguageModel | None = None
        self.fitted = self._opened(offered.read())
        self.acceptance = offered.acceptance()
        self._writer: Writer | None = None

    def answer(self, texts: list[str], accept_at: float | None) -> list[Answer]:
        """One Answer per text. Raises ConfigError where no threshold keeps the promise asked for."""
        o = self.offered
        said = self.fitted.predict(texts, o.ctx)
        target = o.accept_at if accept_at is None else accept_at
        decided = None
        if target:
            decided = self.acceptance.decide(said, texts, target, o.ctx)
        return [self._answer(said, decided, texts[at], at) for at in range(len(texts))]

    @property
    def prompted(self) -> Prompted | None:
        """The language model with its wording, if this model writes texts; else None."""
        inner: Any = self.fitted.fitted if isinstance(self.fitted, Calibrated) else self.fitted
        asked = inner.answers(self.offered.ctx) if self.lm is not None else None
        return None if asked is None or asked.labels else asked

    @property
    def writer(self) -> Writer:
        """What writes several answers at once."""
        from tunesmith.models.continuous import Writer

        if self._writer is None:
            assert self.lm is not None
            self._writer = Writer(self.lm, kept=self._prompts)
            self._prompts = None
        return self._writer

    @property
    def prompts(self) -> Prompts | None:
        """Prompts that it has read, should they come again."""
        return self._prompts if self._writer is None else self._writer.kept

    @property
    def is_adapter(self) -> bool:
        """Whether its modules can take another adapter."""
        return self.lm is not None and self._bases.has_form(self.lm)

    @property
    def kept_tokens(self) -> int:
        """Tokens of prompts that it keeps should they come again."""
        from tunesmith.models.continuous import n_tokens

        return n_tokens(self.prompts) if self.prompts else 0

    def forget_prompts(self) -> None:
        """Forget prompts that were kept should they come again; they are read anew then."""
        self._prompts = None
        if self._writer is not None and not self._writer.active:
            self._writer.clear()

    def let_go(self, *, keep: bool = False) -> None:
        """Forget what was loaded. keep: but for modules that another adapter may take over."""
        if self.lm is not None:
            self._bases.release(self.lm, keep=keep)
            self.lm.let_go()

    @property
    def is_writing(self) -> bool:
        return self._writer is not None and bool(self._writer.active)

    def _opened(self, fitted: Fitted) -> Fitted:
        """The same with its language model from what the server holds already."""
        from tunesmith.training.prompted import lm_folder
        from tunesmith.training.prompting import PromptedFitted

        o = self.offered
        inner: Any = fitted.fitted if isinstance(fitted, Calibrated) else fitted
        if not isinstance(inner, LmFitted | PromptedFitted):
            return fitted
        adapter = inner.folder / "adapter" if isinstance(inner, LmFitted) else None
        self.lm = self._bases.open(lm_folder(inner.job, o.ctx), o.ctx.limits, adapter)
        through = inner.through(self.lm)
        return Calibrated(through, fitted.calibrator) if isinstance(fitted, Calibrated) else through

    def _answer(self, said: Predictions, decided: Decided | None, text: str, at: int) -> Answer:
        o, sure = self.offered, said.confidence
        value = said.values[at]
        p = said.probabilities if said.probabilities is not None else said.marginals
        shares: tuple[tuple[str, float], ...] = ()
        if p is not None:
            shares = tuple((o.labels[int(j)], float(p[at, j])) for j in (-p[at]).argsort(kind="stable"))
        where = placed(value, o.schema, text) if o.schema and value is not None else None
        return Answer(
            value,
            None if sure is None else float(sure[at]),
            shares,
            None if decided is None else bool(decided.accepted[at]),
            "" if decided is None else decided.reasons[at],
            None if where is None else where[0],
            None if where is None else tuple(where[1]),
        )


def plain(answer: Answer, task: Task) -> Any:
    """An answer's own form: a list of labels, a JSON value, or the text."""
    if answer.placed is not None:
        return answer.placed
    if answer.value is None or getattr(task, "cells", None) is None:
        return answer.value
    return json.loads(answer.value)


class Store:
    """Models by name, the least recently asked forgotten first. Only for the thread that computes.

    max_memory_bytes: of the whole process; None for no bound. One model is always held, however large.
    """

    def __init__(self, offered: Mapping[str, Offered], max_memory_bytes: int | None) -> None:
        self.offered = dict(offered)
        self._most = max_memory_bytes
        self._bases = Bases()
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._costs: dict[str, int] = {}
        self._prompts: OrderedDict[str, Prompts] = OrderedDict()  # of adapters that made room for others
        remember_at_most(_REMEMBERED)

    def get(self, name: str) -> Loaded:
        """The model of that name, loaded. Raises ModelError if it cannot be."""
        if name in self._loaded:
            self._loaded.move_to_end(name)
            if self._loaded[name].is_adapter:
                self._made_way(name)
            self._forget_prompts()
            return self._loaded[name]
        offered = self.offered[name]
        if not (offered.is_adapter and self._made_way(name)):
            self._make_room(self._costs.get(name) or _size(offered.folder) + _SPARE_BYTES)
        before = _resident()
        made = Loaded(offered, self._bases, self._prompts.pop(name, None))
        self._loaded[name] = made
        if name not in self._costs:
            _trim()
            self._costs[name] = max(_size(offered.folder), _resident() - before)
        self._make_room(0)
        self._forget_prompts()
        return made

    def load_what_fits(self) -> None:
        """Load models in the order they were named, until one would take the place of another. Raises ModelError."""
        for name, offered in self.offered.items():
            expected = _size(offered.folder) + _SPARE_BYTES
            if self._loaded and self._most is not None and _resident() + expected > self._most:
                return
            if not offered.is_adapter or len(self._adapters()) < _ADAPTERS:
                self.get(name)

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of what is in memory, the least recently asked first."""
        return tuple(self._loaded)

    def writing(self) -> list[Loaded]:
        """Models that are writing texts now."""
        return [one for one in self._loaded.values() if one.is_writing]

    def clear(self) -> None:
        """Forget everything."""
        while self._loaded:
            self._loaded.popitem(last=False)[1].let_go()
        self._prompts.clear()

    def _adapters(self) -> list[str]:
        """Names of the adapters on shared bases, the least recently asked first."""
        return [name for name, one in self._loaded.items() if one.is_adapter]

    def _made_way(self, asked: str) -> bool:
        """Let adapters asked longest ago make way, so that with the one that is asked no more hang than may.

        Returns whether any did. What writes keeps its place: where many write at once more hang than may, until they
        have written and an adapter is asked.
        """
        others = [name for name in self._adapters() if name != asked]
        idle = [name for name in others if not self._loaded[name].is_writing]
        going = idle[: max(0, len(others) - (_ADAPTERS - 1))]
        for name in going:
            gone = self._loaded.pop(name)
            if gone.prompts:
                self._prompts[name] = gone.prompts
            gone.let_go(keep=True)
            del gone
        if len(going) > 1:  # modules hold each other
            gc.collect()
            _trim()
        return bool(going)

    def _forget_prompts(self) -> None:
        """Have the models asked longest ago forget theirs where all keep too many."""
        from tunesmith.models.continuous import n_tokens

        held = 0
        for one in reversed(self._loaded.values()):
            held += one.kept_tokens
            if held > _KEPT_TOKENS and one is not next(reversed(self._loaded.values())):
                one.forget_prompts()
        for name in reversed(list(self._prompts)):
            held += n_tokens(self._prompts[name])
            if held > _KEPT_TOKENS:
                del self._prompts[name]

    def _make_room(self, expected: int) -> None:
        while self._most is not None and _resident() + expected > self._most:
            idle = [name for name, one in list(self._loaded.items()) if not one.is_writing]
            if not expected:  # what was loaded just now is what is wanted
                idle = [name for name in idle if name != next(reversed(self._loaded))]
            if not idle:
                return
            self._loaded.pop(idle[0]).let_go()
            self._prompts.clear()
            gc.collect()
            _trim()


def _trim() -> None:
    """Give back to the system what reading left."""
    if "torch" in sys.modules:
        from tunesmith.models.lm import release_memory

        release_memory()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)
