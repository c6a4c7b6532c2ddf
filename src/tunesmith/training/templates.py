"""Text answers as a choice: which of the answers of the train rows, with its slots filled from the source.

Where answers come back (queries, standard replies, reports), choosing one is far easier to learn than writing it. The
choice is made by a System for labels, found in the registry; an answer is then always one that a person wrote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.tasks import task as tasks
from tunesmith.training.slots import Filler, Form, form_of
from tunesmith.training.systems import Fitted, Job, Workload
from tunesmith.training.systems import system as systems

MOST = 1000  # templates that are told apart; of more, the most frequent
_REPEATED = 0.5  # share of rows that must share their template with another for a choice to be worth learning


@dataclass(frozen=True)
class Answers:
    """What may be answered. filler: None where answers come back word for word and no slot is needed."""

    templates: tuple[str, ...]
    filler: Filler | None

    @classmethod
    def of(cls, rows: Rows, *, slots: bool, most: int = MOST) -> tuple[Answers, list[int]]:
        """(answers, most frequent first; the code of each row's, -1 beyond the first `most`)."""
        forms = _forms(rows, slots=slots)
        counts = Counter(form.template for form in forms)
        templates = tuple(sorted(counts, key=lambda t: (-counts[t], t))[:most])
        code = {template: at for at, template in enumerate(templates)}
        filler = Filler.learn(rows.texts, forms) if slots else None
        return cls(templates, filler), [code.get(form.template, -1) for form in forms]

    def say(self, code: int, source: str) -> str:
        """The template with this code, its slots filled from the source."""
        template = self.templates[code]
        return template if self.filler is None else self.filler.fill(template, source)

    def asked(self, texts: Sequence[str]) -> tuple[str, ...]:
        """What is compared to choose an answer: the texts, without their values where answers have slots."""
        return tuple(texts) if self.filler is None else tuple(map(self.filler.masked, texts))

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "templates": list(self.templates),
            "filler": None if self.filler is None else self.filler.to_dict(),
        }

    @classmethod
    def from_dict(cls, about: dict[str, Any]) -> Answers:
        """The inverse of `to_dict`."""
        filler = None if about["filler"] is None else Filler.from_dict(about["filler"])
        return cls(tuple(about["templates"]), filler)


def slots_pay(rows: Rows) -> bool:
    """Whether there are fewer different answers with slots than word for word."""
    return len({form.template for form in _forms(rows, slots=True)}) < len(set(rows.targets))


def why_not(rows: Rows) -> str | None:
    """Why choosing among the answers of these rows is not worth learning; None if it may be."""
    if not len(rows):
        return "there are no train rows"
    counts = Counter(form.template for form in _forms(rows, slots=slots_pay(rows)))
    repeated = sum(n for n in counts.values() if n > 1) / len(rows)
    if repeated >= _REPEATED:
        return None
    return f"only {100 * repeated:.0f} % of the answers come back: there is little to choose from"


@dataclass(frozen=True)
class TemplateFitted:
    """Answers, and the System for labels that chooses among them (None: there is one answer only)."""

    system: str
    answers: Answers
    chooser: Fitted | None
    slots: bool
    labels: ClassVar[str] = "answer {:04d}"

    @property
    def settings(self) -> dict[str, float | int | str | bool]:
        """What the chooser chose, and whether answers have slots."""
        return {**getattr(self.chooser, "settings", {}), "slots": self.slots}

    @property
    def curve(self) -> tuple[dict[str, float | None], ...]:
        """The chooser's, if it trains by gradient."""
        return tuple(getattr(self.chooser, "curve", ()))

    @property
    def method(self) -> str:
        """What the chooser is."""
        inner = "one answer" if self.chooser is None else self.chooser.system
        return f"{len(self.answers.templates)} templates by {getattr(self.chooser, 'method', None) or inner}"

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        if self.chooser is None or not texts:
            return Predictions(tuple(self.answers.say(0, text) or None for text in texts))
        chosen = self.chooser.predict(self.answers.asked(texts), ctx).values
        codes = [0 if value is None else int(value.split()[1]) for value in chosen]
        return Predictions(tuple(self.answers.say(c, t) or None for c, t in zip(codes, texts, strict=True)))

    def save(self, folder: Path) -> None:
        about = {"version": 1, "slots": self.slots, "chooser": None, **self.answers.to_dict()}
        if self.chooser is not None:
            about["chooser"] = self.chooser.system
            (folder / "chooser").mkdir(parents=True, exist_ok=True)
            self.chooser.save(folder / "chooser")
        write_json(folder / "templates.json", about)


@dataclass(frozen=True)
class TemplateSystem:
    """A rung that chooses one of the answers of the train rows and fills its slots. Options: those of its chooser.

    chooser: the System for labels that tells the templates apart; tuned if it is.
    """

    name: str
    kind: Literal["untuned", "tuned"]
    chooser: str
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("text",)

    def why_not(self, train: Rows) -> str | None:
        """Why it would be no use for these rows; None if it may be."""
        return why_not(train)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> TemplateFitted:
        return fit_templates(self.name, self.chooser, train, dev, job, ctx)

    def load(self, folder: Path, job: Job, ctx: Context) -> TemplateFitted:
        return load_templates(self.name, folder, job, ctx)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) seconds."""
        return seconds_of(self.chooser, work)


def fit_templates(name: str, chooser: str, train: Rows, dev: Rows, job: Job, ctx: Context) -> TemplateFitted:
    """Fit the System called `chooser` to tell which template answers a text. name: the rung's."""
    slots = bool(job.options["slots"]) if job.frozen and "slots" in job.options else slots_pay(train)
    answers, codes = Answers.of(train, slots=slots)
    if len(answers.templates) < 2:
        return TemplateFitted(name, answers, None, slots)
    known = {template: code for code, template in enumerate(answers.templates)}
    dev_codes = [known.get(form.template, -1) for form in _forms(dev, slots=slots)]
    ctx.emit("templates", system=name, templates=len(answers.templates), slots=slots)
    inner = _job(chooser, job, len(answers.templates))
    fitted = systems.get(chooser).fit(
        _relabelled(train, codes, answers), _relabelled(dev, dev_codes, answers), inner, ctx
    )
    return TemplateFitted(name, answers, fitted, slots)


def load_templates(name: str, folder: Path, job: Job, ctx: Context) -> TemplateFitted:
    """What `TemplateFitted.save` wrote."""
    about = read_json(folder / "templates.json")
    answers, chooser = Answers.from_dict(about), about["chooser"]
    fitted = None
    if chooser is not None:
        fitted = systems.get(chooser).load(folder / "chooser", _job(chooser, job, len(answers.templates)), ctx)
    return TemplateFitted(name, answers, fitted, about["slots"])


def seconds_of(chooser: str, work: Workload) -> tuple[float, float]:
    """Forecast (fit, predict): the chooser's, with a label for about ten rows."""
    labels = max(2, min(MOST, work.n_train // 10))
    fit, answer = systems.get(chooser).seconds(replace(work, n_labels=labels))
    return fit + 1e-4 * work.n_train, answer + 1e-4 * work.n_predict


def _job(chooser: str, job: Job, n: int) -> Job:
    labels = tuple(TemplateFitted.labels.format(code) for code in range(n))
    task = tasks.get("classify")
    options = {key: value for key, value in job.options.items() if key != "slots"}
    return replace(
        job, task=task, labels=labels, prompt=task.prompt(labels, inputs=("text",), target="answer"),
        plan=replace(job.plan, name=chooser), options=options, promising=None,
    )  # fmt: skip


def _relabelled(rows: Rows, codes: Sequence[int], answers: Answers) -> Rows:
    """The rows that have a code, with it as their target, and as they are compared."""
    kept = rows.take(np.flatnonzero(np.array(codes, dtype=np.int64) >= 0))
    targets = tuple(TemplateFitted.labels.format(code) for code in codes if code >= 0)
    return replace(kept, texts=answers.asked(kept.texts), targets=targets, rejected=(), tests=())


def _forms(rows: Rows, *, slots: bool) -> list[Form]:
    if not slots:
        return [Form(target, ()) for target in rows.targets]
    return [form_of(text, target) for text, target in zip(rows.texts, rows.targets, strict=True)]
