"""The rungs of the ladder, one file each: what can be fitted to Examples and then predicts.

A System of any family looks the same from outside: fit, cross_fit where it is cheap, load; its Fitted
predicts and saves. It sees train and dev Rows, never the test targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast, runtime_checkable

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.library import Library
from tunesmith.core.predictions import Predictions
from tunesmith.core.registry import Registry
from tunesmith.models.spec import ModelSpec
from tunesmith.tasks import Prompt, Task
from tunesmith.training.dials import Dials, Point

if TYPE_CHECKING:
    from tunesmith.training.parallel import Group

T = TypeVar("T")


@dataclass(frozen=True)
class RungPlan:
    """What one rung may do, decided before the work (plan.yaml) and obeyed on resume. None means "all".

    steps: optimizer steps for rungs that train by gradient. test_rows: of the fixed random test subset.
    """

    name: str
    run: bool = True
    train_rows: int | None = None
    dev_rows: int | None = None
    test_rows: int | None = None
    steps: int | None = None
    pause_steps: int | None = None  # go on beyond this step only if promising (successive halving)
    why: str = ""
    fit_s: float | None = None  # forecast of fitting and of answering; None: not forecast
    answer_s: float | None = None
    one_s: float | None = None  # of one answer to a text that no other rung has read


@dataclass(frozen=True)
class Workload:
    """What a forecast is made from: how much there is to do, and how fast this machine is.

    n_predict: texts to answer. n_labels: 0 where the answer is a text. lm_tokens_per_s: of a forward pass.
    tokens_per_text: prompt and answer. steps: None for as many as the System would take by itself.
    cross_fits: fits on most of the rows, with settings already chosen, besides the one on all.
    library_texts: how many texts of usual length the library would fill, where the task needs retrieval.
    encoder_texts_per_s: texts as they come, as in training. reading_texts_per_s, answering_texts_per_s: the frozen
    encoder's, which reads texts of equal length together: all of them at once, or a piece of the test; 0: as they come.
    characters_per_text: 0 where only the tokens are known.
    after: rungs of the same plan that run before this one: what they make of the rows is not made again.
    tokens_per_row: of instruction, text and answer for a language model, nothing shared; 0: as tokens_per_text.
    label_tokens: of all labels for it, what they begin with in common once; 0: some five a label.
    written_tokens: of an answer that is a text; 0: as many as of the text.
    asked_token: what a token costs whose logits are asked for, in tokens that are only read.
    """

    n_train: int
    n_predict: int
    n_labels: int
    encoder_texts_per_s: float
    lm_tokens_per_s: float
    tokens_per_text: float
    steps: int | None = None
    cross_fits: int = 0
    library_texts: float = 0.0
    reading_texts_per_s: float = 0.0
    answering_texts_per_s: float = 0.0
    characters_per_text: float = 0.0
    after: tuple[str, ...] = ()
    tokens_per_row: float = 0.0
    label_tokens: float = 0.0
    written_tokens: float = 0.0
    asked_token: float = 1.0

    @property
    def reading_s(self) -> float:
        """Seconds of a text that the frozen encoder reads together with all others."""
        return 1.0 / max(self.reading_texts_per_s or self.encoder_texts_per_s, 1e-9)

    @property
    def answering_s(self) -> float:
        """Seconds of a text that the frozen encoder reads together with a few hundred."""
        return 1.0 / max(self.answering_texts_per_s or self.encoder_texts_per_s, 1e-9)


@dataclass(frozen=True)
class Job:
    """Everything a System needs to know about the work besides the rows."""

    task: Task
    labels: tuple[str, ...]
    prompt: Prompt
    encoder: ModelSpec | None = None
    lm: ModelSpec | None = None
    plan: RungPlan = field(default_factory=lambda: RungPlan("unplanned"))
    options: dict[str, float | int | str | bool] = field(default_factory=dict)  # the rung's own, from train: and model:
    # Refitting: `options` hold every setting that an earlier fit chose (Fitted.settings); choose nothing anew.
    frozen: bool = False
    # Whether training should go on past plan.pause_steps, given the dev score so far; None: always.
    promising: Callable[[float], bool] | None = None
    # Whether the time for training is up; None: there is no end to it.
    late: Callable[[], bool] | None = None
    # What answers are looked for in, where the task needs retrieval. Given when fitting; a Fitted keeps its own copy.
    library: Library | None = None
    # What jobs on the same rows have made already, by what it was made from; None: every job makes its own.
    made: dict[tuple[object, ...], object] | None = field(default=None, compare=False, repr=False)

    def shared(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """What `make` gives, made once for all jobs with this `made`. key: everything that it depends on."""
        if self.made is None:
            return make()
        if key not in self.made:
            self.made[key] = make()
        return cast("T", self.made[key])


class Fitted(Protocol):
    """What predicts, of any family."""

    @property
    def system(self) -> str:
        """Name of the System that made it."""
        ...

    # A Fitted may also have: `settings` (hyperparameters it chose, to be given back in Job.options when
    # refitting; "best_step" for what trains by gradient), `curve` ([{"step", "loss", "dev"}]) and `method`.

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        """One answer per text, in order."""
        ...

    def save(self, folder: Path) -> None:
        """Everything needed to predict again, but for the base model (named by its uri, found in the cache)."""
        ...


class System(Protocol):
    """One rung of the ladder.

    kind:  "tuned" if it changes weights of a pre-trained model, or learns how passages are ranked; else "untuned".
    needs: which base model it stands on.
    outputs: which Task.output values it can serve.
    """

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Literal["untuned", "tuned"]: ...
    @property
    def needs(self) -> Literal["nothing", "encoder", "lm"]: ...
    @property
    def outputs(self) -> tuple[str, ...]: ...

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> Fitted:
        """Fit on train; dev may steer early stopping and nothing else."""
        ...

    def load(self, folder: Path, job: Job, ctx: Context) -> Fitted:
        """The Fitted that `save` wrote."""
        ...

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast of (fitting, answering) in seconds."""
        ...


class CrossFits(Protocol):
    """A System that is cheap enough to be cross-fitted."""

    def cross_fit(self, rows: Rows, folds: Sequence[Sequence[int]], job: Job, ctx: Context) -> Predictions:
        """Out-of-fold predictions for every row; folds: disjoint lists of held-out positions."""
        ...


@runtime_checkable
class Declines(Protocol):
    """A System that is no use for some data, and says so before any time is planned for it."""

    def why_not(self, train: Rows) -> str | None:
        """Why it would be no use for these rows, in a sentence; None if it may be."""
        ...


@runtime_checkable
class Asked(Protocol):
    """A System that takes part only where a table of the config asks for it."""

    @property
    def asked_by(self) -> str:
        """Name of the table; "" for none: it always takes part."""
        ...


@runtime_checkable
class Tunes(Protocol):
    """A System whose settings *tune* may vary.

    It trains plan.steps of a schedule, asks job.promising at plan.pause_steps, and names in Fitted.settings, among what
    it chose, "schedule_steps". A dial "steps" is a multiple of the default's steps, and *tune*'s own affair.
    """

    def dials(self, job: Job, *, n_rows: int) -> Dials:
        """What may be varied for so many train rows. A dial of an option that the user set is left alone."""
        ...

    def steps(self, job: Job, *, n_rows: int) -> int:
        """Optimizer steps that it would take by itself on so many rows."""
        ...

    def options_of(self, point: Point, job: Job) -> Point:
        """A point of the dials as options of the rung (Job.options)."""
        ...


@runtime_checkable
class Joins(Protocol):
    """A System whose training several processes can share; the others run on the main process alone."""

    def join(self, about: dict[str, Any], group: Group) -> None:
        """A worker's part of a training that the main process called with `workers.called`."""
        ...


system: Registry[System] = Registry("system", __name__)
