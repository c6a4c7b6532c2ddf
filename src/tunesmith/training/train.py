"""TRAIN: refits what may ship on train + dev, with the settings that *select* chose, and calibrates it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tunesmith.core.checks import Kept
from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset, Rows
from tunesmith.core.files import read_json, stored_bytes, whole, write_json
from tunesmith.core.library import Library
from tunesmith.core.meter import Cost, Meter
from tunesmith.models.methods import method as methods
from tunesmith.tasks import task as tasks
from tunesmith.training.calibrate import copy_calibrator
from tunesmith.training.embeddings import metered_alone
from tunesmith.training.ladder import Ladder, Rung, Trained
from tunesmith.training.probe_file import read_probe
from tunesmith.training.retention import Retention
from tunesmith.training.systems import system as systems


@dataclass(frozen=True)
class DpoOptions:
    """How preference pairs are weighed (training/preference.py)."""

    beta: float = field(default=0.1, metadata={"help": "how firmly the model is held to the untrained one"})
    smoothing: float = field(
        default=0.0, metadata={"help": "share of pairs that may be labelled the wrong way round, below 0.5"}
    )
    chosen_weight: float = field(
        default=0.0, metadata={"help": "weight of learning the chosen answer as it stands beside the preference"}
    )


@dataclass(frozen=True)
class DistillOptions:
    """How a teacher is asked and weighed (training/distillation.py)."""

    teacher_share: float = field(default=0.5, metadata={"help": "of its probabilities in the loss, 0 to 1"})
    temperature: float = field(default=1.0, metadata={"help": "above 1 its unlikely tokens count for more"})
    teacher_top: int = field(default=16, metadata={"help": "likeliest tokens that a local teacher gives per position"})
    teacher_writes: bool = field(
        default=False, metadata={"help": "a local teacher writes the answers; else it judges those in the data"}
    )


@dataclass(frozen=True)
class ForgetOptions:
    """What a tuned language model may forget (training/retention.py)."""

    at_most: float | None = field(
        default=None,
        metadata={"help": "points of accuracy it may lose on other text, such as 1.0; none: measured only"},
    )
    probe: str | None = field(
        default=None,
        metadata={"help": "what it should still know: a table of texts, or of questions and answers", "content": True},
    )
    controls: tuple[str, ...] | Literal["auto"] = field(
        default="auto", metadata={"help": "what is tried to keep the budget, in order: hold, replay, slow, small"}
    )

    def __post_init__(self) -> None:
        self.asked()

    def asked(self) -> dict[str, float | int | str | bool]:
        """As rungs take it. Raises ConfigError for a budget or a control that is none."""
        given: dict[str, float | int | str | bool] = {}
        if self.at_most is not None:
            given["forget_at_most"] = self.at_most
        if self.probe is not None:
            given["forget_probe"] = self.probe
        if self.controls != "auto":
            given["forget_controls"] = ",".join(self.controls)
        Retention.of(given)
        return given

    def require_probe(self) -> None:
        """Read the probe file, if one is named: DataError before anything is spent where it cannot be used."""
        if self.probe is not None:
            read_probe(Path(self.probe))


@dataclass(frozen=True)
class TrainOptions:
    """How rungs that train by gradient do it, and what is refitted. 'auto' leaves a value to the rung."""

    method: str = field(default="auto", metadata={"help": "parameter-efficient method (tunesmith list methods)"})
    rate: float | Literal["auto"] = field(default="auto", metadata={"help": "peak learning rate"})
    rank: int | Literal["auto"] = field(default="auto", metadata={"help": "rank of the adapters"})
    alpha: float | Literal["auto"] = field(default="auto", metadata={"help": "adapters' scale; auto: twice the rank"})
    dropout: float = field(default=0.0, metadata={"help": "of the adapters; above 0 rows no longer share beginnings"})
    rank_stabilised: bool = field(default=False, metadata={"help": "divide by the root of the rank (rsLoRA)"})
    dora: bool = field(default=False, metadata={"help": "learn the columns' lengths apart (DoRA)"})
    pissa: bool = field(default=False, metadata={"help": "start at the largest singular directions (PiSSA)"})
    plus_ratio: float = field(default=1.0, metadata={"help": "rate of B over that of A (LoRA+ recommends 16)"})
    epochs: float | Literal["auto"] = field(default="auto", metadata={"help": "passes over the train rows"})
    batch: int | Literal["auto"] = field(default="auto", metadata={"help": "Examples per optimizer step"})
    packing: Literal["auto", "tree", "padded"] = field(
        default="auto",
        metadata={"help": "'tree': rows share their beginnings; 'padded': side by side; 'auto' tries"},
    )
    top_layers: int | Literal["auto"] = field(
        default="auto",
        metadata={"help": "adapt only so many layers, counted from the top; 'auto': all"},
    )
    trunk: Literal["auto", "never"] = field(
        default="auto",
        metadata={"help": "with top_layers: 'auto' keeps what the other layers give on disk for all fits; 'never'"},
    )
    base_dtype: Literal["auto", "float32", "bfloat16"] = field(
        default="auto", metadata={"help": "of a language model's weights where max_memory asks for another than dtype"}
    )
    allow_truncation: bool = field(default=False, metadata={"help": "go on when answers lose tokens to the context"})
    objective: Literal["auto", "supervised", "dpo", "distill"] = field(
        default="auto",
        metadata={"help": "what the language model is trained for; 'auto': dpo where the data has rejected answers"},
    )
    teacher: str | None = field(
        default=None,
        metadata={"help": "to distil from: a .parquet or .jsonl file, or the name of a model", "content": True},
    )
    dpo: DpoOptions = field(default_factory=DpoOptions, metadata={"help": "preference pairs"})
    distill: DistillOptions = field(default_factory=DistillOptions, metadata={"help": "a teacher"})
    forget: ForgetOptions = field(default_factory=ForgetOptions, metadata={"help": "what may be forgotten"})
    domain: Path | None = field(
        default=None,
        metadata={"help": "adapter that `lm_domain` folds into its base; a run with domain.path makes it itself",
                  "content": True},
    )  # fmt: skip
    refit: tuple[str, ...] | Literal["auto"] = field(
        default="auto",
        metadata={"help": "rungs to refit on train + dev; 'auto': the ones that may ship, if time allows"},
    )

    def for_rungs(self) -> dict[str, float | int | str | bool]:
        """The settings that are not 'auto', as rungs take them."""
        named = {
            "method": self.method,
            "rate": self.rate,
            "rank": self.rank,
            "epochs": self.epochs,
            "batch": self.batch,
            "packing": self.packing,
            "top_layers": self.top_layers,
            "trunk": self.trunk,
            "alpha": self.alpha,
        }
        given: dict[str, Any] = {key: value for key, value in named.items() if value != "auto"}
        if self.method != "auto":
            methods.get(self.method)  # an unknown name is refused here, before anything is spent
        plain = {key: value for key, value in self._extras().items() if value not in (0.0, False)}
        if plain.get("plus_ratio") == 1.0:
            del plain["plus_ratio"]
        read = {} if self.domain is None else {"domain": str(self.domain)}
        told = {**self._aims(), **self.forget.asked(), **read}
        return {**given, **plain, **told, "allow_truncation": self.allow_truncation}

    def _aims(self) -> dict[str, float | int | str | bool]:
        """The objective with what differs from its defaults."""
        given: dict[str, Any] = {} if self.objective == "auto" else {"objective": self.objective}
        if self.teacher is not None:
            given["teacher"] = self.teacher
        for options, usual in ((self.dpo, DpoOptions()), (self.distill, DistillOptions())):
            given |= {k: v for k, v in asdict(options).items() if v != getattr(usual, k)}
        return given

    def _extras(self) -> dict[str, float | bool]:
        return {
            "dropout": self.dropout,
            "rank_stabilised": self.rank_stabilised,
            "dora": self.dora,
            "pissa": self.pissa,
            "plus_ratio": self.plus_ratio,
        }


def uses(options: object) -> list[str]:
    """Modules of the extensions that the stage's result depends on."""
    del options
    return [systems.module(name) for name in systems.names()] + [tasks.module(name) for name in tasks.names()]


def train(data: Dataset, ladder: Ladder, options: TrainOptions, ctx: Context) -> Trained:
    """Refit candidate and reference; a rung that is not in `options.refit` ships as *select* left it.

    Settings are frozen: what cross-validation chose for cheap rungs, the best step (scaled to the larger
    set) for rungs trained by gradient. The calibrator is the one fitted on answers that the rung gave to
    rows it had not seen.
    """
    rows = data.rows("train") + data.rows("dev")
    wanted = [name for name in (ladder.reference, ladder.candidate) if name is not None]
    refitted, costs, why = [], {}, {}
    for name in wanted:
        reason = _reason_against(ladder[name], options.refit)
        if reason:
            why[name] = reason
            continue
        folder = ctx.workdir / "systems" / name
        done = ctx.workdir / f"{name}.json"
        if done.exists():
            Kept.replay(ctx.check, ctx.workdir / f"{name}.checks.json")
        else:
            proofs = Kept(ctx.check, ctx.workdir / f"{name}.checks.json")
            meter = _refit(name, ladder, rows, options, folder, replace(ctx, check=proofs.record), library=data.library)
            proofs.save()
            stored = stored_bytes(folder) if folder.exists() else ladder[name].cost.stored_bytes or 0
            write_json(done, _cost(meter, ladder[name], stored).to_dict())
        costs[name] = Cost(**read_json(done))
        if folder.exists():
            refitted.append(name)
        else:
            why[name] = "the refit was rolled back to the untuned model: it ships as it was fitted on train alone"
    return Trained(ctx.workdir, tuple(refitted), costs, why)


def _refit(
    name: str,
    ladder: Ladder,
    rows: Rows,
    options: TrainOptions,
    folder: Path,
    ctx: Context,
    *,
    library: Library | None = None,
) -> Meter:
    """Fit the rung on `rows` with frozen settings into `folder`; what it cost.

    There is no folder where the training did harm and had to be undone altogether (training/guard.py).
    """
    rung = ladder[name]
    job = ladder.job(name, options={**options.for_rungs(), **rung.settings})
    plan = replace(rung.plan, steps=_scaled_steps(rung, len(rows)), pause_steps=None, train_rows=None)
    work = ctx.workdir / "work" / name
    work.mkdir(parents=True, exist_ok=True)
    with metered_alone() as meter:
        job = replace(job, plan=plan, frozen=True, library=library)
        fitted = systems.get(name).fit(rows, rows.take([]), job, replace(ctx, workdir=work))
    if not (getattr(fitted, "forgetting", None) or {}).get("to_base"):
        with whole(folder) as draft:
            draft.mkdir()
            fitted.save(draft)
            copy_calibrator(ladder.folder / str(rung.path), draft)
    shutil.rmtree(work, ignore_errors=True)
    return meter


def _reason_against(rung: Rung, refit: Sequence[str] | Literal["auto"]) -> str | None:
    if rung.kind == "tuned" and rung.settings.get("best_step") == 0:
        return "not refitted: its training was rolled back to the untuned model"
    if refit != "auto":
        return None if rung.name in refit else "not refitted: the plan leaves no time for it"
    return None if rung.kind == "untuned" else "not refitted: the plan leaves no time for it"


def _scaled_steps(rung: Rung, n_rows: int) -> int | None:
    """As many passes over the larger set as made the best dev score on the smaller one."""
    best = rung.settings.get("best_step")
    if best is None or not rung.train_rows:
        return rung.plan.steps
    return max(1, round(float(best) * n_rows / rung.train_rows))


def _cost(meter: Meter, rung: Rung, stored: int) -> Cost:
    return rung.cost.but(
        train_cpu_s=round((rung.cost.train_cpu_s or 0.0) + meter.cpu_s, 3),
        train_wall_s=round((rung.cost.train_wall_s or 0.0) + meter.wall_s, 3),
        peak_rss_bytes=max(rung.cost.peak_rss_bytes or 0, meter.peak_rss_bytes),
        stored_bytes=stored,
    )
