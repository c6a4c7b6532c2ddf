"""A language model tuned with a parameter-efficient method: as it is, or after it has read the user's documents."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.errors import ModelError
from tunesmith.core.files import read_json, sha256_path, write_json
from tunesmith.core.meter import metered
from tunesmith.core.predictions import Predictions
from tunesmith.models.methods import BENEATH, Choice, Method, Range
from tunesmith.models.methods import method as methods
from tunesmith.tasks import Prompt
from tunesmith.tasks.wordings import PLAIN, wordings
from tunesmith.training.dials import Dial, Dials, Point
from tunesmith.training.systems import Job, Workload

if TYPE_CHECKING:
    import torch

    from tunesmith.models.lm import LanguageModel
    from tunesmith.training.batches import Encoded
    from tunesmith.training.loop import LoopResult, Recipe
    from tunesmith.training.parallel import Group
    from tunesmith.training.prompted import Lengths, Prompted
    from tunesmith.training.retention import Control, Retention

_CHECKED_ROWS = 4
_PASSED_ON = ("alpha", "dropout", "rank_stabilised", "dora", "pissa", "plus_ratio", "top_layers", "instruction")
SYSTEM = "lm"  # what checks are written for
BATCH = 8
# Steps between two dev losses cost at least this many times what the dev loss costs.
_TRAIN_PER_EVALUATION = 10
_PATIENCE = 3
_LOOKS = 8  # checkpoints of a refit under a budget of forgetting
# A training step is a forward pass, one more for the gradient of its inputs, and the adapters: measured 1.9 to 2.6.
FORWARDS_PER_TRAINED_TOKEN = 2.5
# Beside the steps, measured (2026-11-23): what the base writes and is asked again, in tokens; readings of whole rows,
# for the proofs; dev rows, before the first step and after the last; seconds of a token that is encoded.
_OWN_TOKENS, _READINGS, _DEV_ROWS_READ, _ENCODING_S = 12_500, 20, 96, 1.7e-6
# Rows of a label that were learned from until few others are looked at for an answer.
_SURE_ROWS = 16


@dataclass
class LmFitted:
    """A base named by its uri, an adapter in PEFT's layout, and how the task is worded.

    Where the base has read documents first, what it learnt from them lies in the adapter's own folder (BENEATH), and
    its hash in `about`.
    """

    job: Job
    folder: Path  # holds adapter/ and system.json
    about: dict[str, Any]
    _answers: Prompted | None = field(default=None, repr=False)

    @property
    def system(self) -> str:
        """The rung that made it."""
        return str(self.about.get("system", "lm"))

    @property
    def settings(self) -> dict[str, float | int | str | bool]:
        """Hyperparameters that fitting used or chose."""
        return dict(self.about["settings"])

    @property
    def curve(self) -> tuple[dict[str, float | None], ...]:
        """[{"step", "loss", "dev", "dev_loss"}], losses in nats per answer token."""
        return tuple(self.about["curve"])

    @property
    def method(self) -> str:
        return str(self.about["settings"]["method"])

    @property
    def forgetting(self) -> dict[str, Any]:
        """What was forgotten (training/keeping.py, Judgement); {} for what an older version trained."""
        return dict(self.about.get("forgetting") or {})

    @property
    def outcome(self) -> str:
        """What became of the training where it was rolled back, in a sentence; else nothing."""
        told = self.forgetting
        if not told.get("rolled_back"):
            return ""
        where = "the untuned model" if told["to_base"] else f"step {told['kept_step']}"
        return f"rolled back to {where}: {told['rolled_back']}"

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        return self.answers(ctx).predict(texts, ctx)

    def answers(self, ctx: Context) -> Prompted:
        """The loaded model with its wording; read from disk when first asked for."""
        from tunesmith.models.loading import load_lm
        from tunesmith.training.prompted import lm_folder

        if self._answers is None:
            adapter = self.folder / "adapter"
            self._refuse_other_documents(adapter)
            # An export may hold the whole tuned model as its base.
            lm = load_lm(lm_folder(self.job, ctx), ctx.limits, adapter=adapter if adapter.exists() else None)
            self._answers = _prompted(lm, self.job, self.about)
        return self._answers

    def _refuse_other_documents(self, adapter: Path) -> None:
        """Raise ModelError where the base would be another than the adapter was trained on."""
        read = self.about.get("domain")
        if read and adapter.exists() and sha256_path(adapter / BENEATH) != read["sha256"]:
            raise ModelError(
                f"{adapter / BENEATH} is missing or was changed: the base would not be the one that was tuned.",
                hint="copy the whole folder again, or delete the run's folders from 05-select on and run it again.",
            )

    def through(self, lm: LanguageModel) -> LmFitted:
        """The same, answered by a model that was loaded already: the tuned one, whatever form it has."""
        return replace(self, _answers=_prompted(lm, self.job, self.about))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.folder / "adapter", folder / "adapter", dirs_exist_ok=True)
        write_json(folder / "system.json", self.about)


@dataclass(frozen=True)
class TunedLm:
    """LoRA (or another method) on the language model, the loss on the answers' tokens only.

    asked_by: table of the config without which the rung takes no part: "domain" for a base that has read documents,
    whose adapter (option `domain`, training/domain.py) is folded into the base before anything is trained. What is
    forgotten is measured against the base as it was before it read them.

    Options: method, rank, rate, epochs, batch, top_layers, trunk, allow_truncation. Trains at most plan.steps, keeps
    the step with the lowest dev loss; with job.frozen, trains exactly plan.steps of the schedule that the first had.
    """

    name: str = "lm"
    asked_by: str = ""
    kind: Literal["untuned", "tuned"] = "tuned"
    needs: Literal["nothing", "encoder", "lm"] = "lm"
    outputs: tuple[str, ...] = ("label", "text", "json")

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> LmFitted:
        """The model tuned, within the budget of forgetting where there is one: controls are tried in turn until one
        keeps enough of what tuning gains (training/retention.py); of those tried the best on dev within the budget."""
        from tunesmith.training.retention import KEPT_GAIN, Retention

        ctx = self._signed(ctx)
        retention = Retention.of(job.options)
        attempts = retention.attempts
        if job.frozen and "controls" in job.options:  # refitting: with the rate and rank that it led to
            attempts = [(str(job.options["controls"]), retention.named(str(job.options["controls"])))]
        tried: list[tuple[LmFitted, float]] = []
        for number, (names, control) in enumerate(attempts):
            there = ctx if number == 0 else replace(ctx, workdir=ctx.workdir / f"attempt-{number + 1}")
            there.workdir.mkdir(parents=True, exist_ok=True)
            tried.append(self._fit(train, dev, job, there, retention, (names, control)))
            made, share = tried[-1]
            if retention.at_most is not None:
                why = f"{share:.0%} of what this training gained on dev is kept within {retention.at_most:g} points"
                ctx.emit("decision", what="train.forget.controls", choice=names, why=made.outcome or why)
            if share >= KEPT_GAIN or (job.late is not None and job.late()):
                break
        return max(tried, key=lambda one: _gain(one[0]))[0]

    def _signed(self, ctx: Context) -> Context:
        """The Context with checks recorded under this rung's name, whatever they are written for."""
        if self.name == SYSTEM:
            return ctx
        return replace(ctx, check=lambda check: ctx.check(replace(check, system=self.name)))

    def _read(self, job: Job) -> Path | None:
        """The adapter of the documents that the base has read; None where it reads none. ModelError if it is gone."""
        if not self.asked_by:
            return None
        given = job.options.get(self.asked_by)
        if given is None or not Path(str(given)).is_dir():
            raise ModelError(
                f"the rung {self.name} stands on documents, and there is nothing that was learnt from any.",
                hint="name them with --domain.",
            )
        return Path(str(given))

    def _fit(
        self, train: Rows, dev: Rows, job: Job, ctx: Context, retention: Retention, tried: tuple[str, Control]
    ) -> tuple[LmFitted, float]:
        """One training under these controls, and the share of its gain on dev that the budget left of it."""
        from tunesmith.models.lm import LanguageModel, release_memory
        from tunesmith.models.trunk import top_of
        from tunesmith.training import lm_checks as checks
        from tunesmith.training.batches import Cut, micro_batches
        from tunesmith.training.blame import not_finite
        from tunesmith.training.cut import cached_as_whole, choose_trunk
        from tunesmith.training.keeping import Keeping, no_worse_on_dev, rolled_back, share_kept
        from tunesmith.training.loop import Steering, trainable
        from tunesmith.training.loop import train as run_loop
        from tunesmith.training.losses import mean_loss
        from tunesmith.training.memory import Watched, count, fitting_for, peak_as_predicted
        from tunesmith.training.objectives import objective_of
        from tunesmith.training.packing import choose_packing, packed_as_alone
        from tunesmith.training.parallel import ALONE, world
        from tunesmith.training.prompted import asker_for, lm_folder, refuse_longer
        from tunesmith.training.workers import Training, called

        job = _worded(job, job.options)
        names, control = tried
        base, read = lm_folder(job, ctx), self._read(job)
        lm = LanguageModel.load(base, ctx.limits)
        asker = asker_for(lm, job)
        given = job.options
        goal, lengths = objective_of(lm, asker, train, dev, job, ctx)
        encoded, held_out = goal.encoded, goal.held_out
        if not given.get("allow_truncation"):
            refuse_longer(train + dev, asker, lengths, context=lm.context)
        ctx.emit("lm.encoded", rows=len(encoded), source_tokens_cut=encoded.source_lost,
                 answer_tokens_cut=encoded.answer_lost, max_tokens=lengths.max_tokens)  # fmt: skip

        settings = _settings(job, n_rows=goal.n, parameters=_parameters(lm), rate_factor=goal.rate_factor)
        settings["objective"] = goal.name
        if retention.at_most is not None:
            settings["controls"] = names
            if not job.frozen:
                settings["rate"] = float(settings["rate"]) * control.rate
                settings["rank"] = max(1, round(int(settings["rank"]) * control.rank))
        recipe = _recipe(job, settings, n_rows=goal.n, n_dev=len(held_out))
        top = top_of(settings, lm.model)
        asked = str(given.get("packing", "auto"))
        packed = choose_packing(lm.model, encoded, asked=asked, dropout=float(given.get("dropout", 0.0)))
        settings["packing"] = packed.packing
        ctx.emit("decision", what="train.packing", choice=packed.packing, why=packed.why)

        ctx.check(checks.lost_answer_tokens(encoded, allowed=bool(given.get("allow_truncation", False))))
        how = methods.get(str(settings["method"]))
        lm.model = how.prepare(lm.model)
        keeping: Keeping | None = None
        if read is not None:  # what is forgotten counts from the base as it was before the documents
            keeping = Keeping.begin(lm, retention, control, ctx, packing=packed.packing)
            lm.let_go()
            release_memory()
            lm = LanguageModel.load(base, ctx.limits, beneath=read)
            lm.model = how.prepare(lm.model)
        goal.begin(lm.model, packed.packing)
        some = micro_batches(
            encoded, range(min(_CHECKED_ROWS, len(encoded))), max_tokens=checks.AT_ONCE, max_recomputed=checks.AT_ONCE,
            packing=packed.packing,
        )  # fmt: skip
        before = mean_loss(lm.model, some)
        if not math.isfinite(before):
            raise not_finite("loss", before, 0, lm.model, again=lambda: mean_loss(lm.model, some))
        if keeping is None:
            keeping = Keeping.begin(lm, retention, control, ctx, packing=packed.packing)
        # Where so few steps will be taken that nothing can be said of ends, they are not asked for.
        end = partial(checks.end_probability, encoded=held_out, end_id=lm.template.end_id, packing=packed.packing)
        ends_before = end(lm.model) if recipe.last_step >= checks.STEPS_TO_LEARN_END else None
        lm.model = how.apply(lm.model, settings, seed=ctx.seed)
        lm.model.eval()
        kept = count(lm.model, packing=packed.packing)
        fits = fitting_for(lm.model, encoded, kept, ctx)

        cut = Cut(fits.max_tokens, fits.max_recomputed, packed.packing)
        goal.lay_out(cut)
        keeping.lay_out(cut, ctx.seed)
        every = micro_batches(encoded, range(len(encoded)), **cut.told())
        ctx.check(checks.unsupervised_rows(every, len(encoded)))
        ctx.check(checks.ends_supervised(encoded, every, lm.template.end_id))
        del every
        ctx.check(checks.untrained_adapter(before, mean_loss(lm.model, some)))
        ctx.check(packed_as_alone(lm.model, encoded, packed, system=self.name))
        ctx.check(keeping.untrained(lm.model, has_read=read is not None))

        # What the trunk's cache and other processes know how to do.
        plain = goal.name == "supervised" and retention.at_most is None and read is None
        trunk = choose_trunk(lm, [encoded, held_out], top=top, packing=packed.packing, emit=ctx.emit,
                             asked=str(given.get("trunk", "auto")) if plain else "never")  # fmt: skip
        if top is not None:
            ctx.emit("decision", what="train.trunk", choice="cached" if trunk.trunk else "none", why=trunk.why)
        loss = goal.loss if trunk.trunk is None else trunk.trunk.through(goal.loss)
        taught = keeping.loss(loss)
        draft = {"lengths": [lengths.max_tokens, lengths.max_new_tokens], "settings": settings}
        assert job.lm is not None
        training = Training(
            self.name, job.lm, ctx.limits, ctx.seed, how.name, settings, recipe, int(settings["batch"]),
            fits.max_tokens, packed.packing, fits.max_recomputed,
        )  # fmt: skip
        group = world() if plain and trunk.trunk is None else ALONE
        batches = goal.batches(training.batch, ctx.seed) if group.size == 1 else training.batches(encoded, group)
        watched = Watched(keeping.batches(batches), kept, lm.model, pooled=fits.pooled)
        start = {name: tensor.detach().clone() for name, tensor in trainable(lm.model).items()}
        with called(group, training, encoded, ctx.emit), metered() as meter:
            result = run_loop(
                lm.model,
                watched,
                taught,
                recipe=recipe,
                folder=ctx.workdir / "loop",
                emit=ctx.emit,
                steering=Steering(
                    score=(lambda: goal.score(lm.model, through=loss)) if len(held_out) and not job.frozen else None,
                    promising=_promising(lm, dev, job, ctx, draft),
                    late=job.late,
                    guard=keeping.guard(lm.model, start),
                ),
                seed=ctx.seed,
                multiples=how.rates(lm.model, settings),
                group=group,
            )
        limit = ctx.limits.max_memory_bytes
        ctx.emit("memory.peak", predicted=watched.peak.total, measured=meter.peak_rss_bytes)
        ctx.check(peak_as_predicted(watched.peak.total, meter.peak_rss_bytes, limit=limit, system=self.name))
        judgement = keeping.judged(lm.model, result, start)
        ctx.check(rolled_back(judgement, start, trainable(lm.model)))
        for check in (*judgement.checks(), no_worse_on_dev(result)):
            ctx.check(check)
        ctx.check(checks.adapter_moved(start, trainable(lm.model), back=judgement.to_base))
        result = replace(result, best_step=judgement.kept_step)
        del start
        if top is not None:
            ctx.check(cached_as_whole(lm.model, encoded, trunk, packing=packed.packing, system=self.name))
        ends = None if ends_before is None else end(lm.model)
        ctx.check(checks.end_learned(ends, ends_before, steps=result.best_step, taught=goal.teaches_ends))
        about = {
            **_about(job, asker.prompt, lm, lengths, settings, recipe, result),
            "system": self.name,
            **({} if read is None else {"domain": _about_documents(read)}),
            "on_dev": goal.about(lm.model),
            "forgetting": {
                **judgement.to_dict(),
                "controls": settings.get("controls", "none"),
                "dev": [_or_none(score) for score in (result.untuned, result.best_score, result.most)],
            },
        }
        _save_adapter(lm, how, ctx.workdir / "fitted", job, read)
        write_json(ctx.workdir / "fitted" / "system.json", about)
        share = 0.0 if judgement.to_base else share_kept(result)
        return self._verified(lm, encoded, LmFitted(job, ctx.workdir / "fitted", about), ctx, train), share

    def _verified(self, lm: LanguageModel, encoded: Encoded, fitted: LmFitted, ctx: Context, train: Rows) -> LmFitted:
        """The Fitted, once what was saved has been read back and found equal to what was trained."""
        from tunesmith.models.lm import release_memory
        from tunesmith.training import lm_checks as checks
        from tunesmith.training.prompted import asker_for

        prompts = [encoded.ids[i][: encoded.n_prompt[i]] for i in range(min(_CHECKED_ROWS, len(encoded)))]
        prompts = [prompts[i] for i in checks.few(prompts)]
        memory = checks.probe_logits(lm.model, prompts)
        lm.let_go()  # one model at a time is what the memory is planned for; what answers is read from disk
        release_memory()
        again = self.load(fitted.folder, fitted.job, ctx)
        serving = again.answers(ctx)
        ctx.check(checks.same_template(asker_for(lm, fitted.job), serving.asker, train.texts[:32]))
        ctx.check(checks.reloaded(memory, checks.probe_logits(serving.lm.model, prompts)))
        exact = checks.float32(serving.lm)
        beside = checks.probe_logits(exact.model, prompts)
        folded = methods.get(fitted.method).merge(exact.model)
        ctx.check(checks.merged(beside, checks.probe_logits(folded, prompts)))
        del again, serving, exact, folded
        release_memory()
        return fitted

    def join(self, about: dict[str, Any], group: Group) -> None:
        from tunesmith.training.workers import join_training

        join_training(about, group)

    def load(self, folder: Path, job: Job, ctx: Context) -> LmFitted:
        about = read_json(folder / "system.json")
        if job.lm is not None and about["base"].partition("@")[0] != job.lm.uri.partition("@")[0]:
            raise ModelError(
                f"this adapter was trained on {about['base']}, not on {job.lm.uri}.",
                hint=f"set model.lm to {about['base']}.",
            )
        return LmFitted(_worded(job, about["settings"]), folder, about)

    def dials(self, job: Job, *, n_rows: int) -> Dials:
        """Multiples of the rate and of the steps, rank, method, how many layers learn (0: all), how the task is worded.

        Where only upper layers learn, what the others give is stored once and read by every trial.
        """
        del n_rows
        return {
            "rate": Dial(Range(0.125, 4.0, log=True), 1.0),
            "steps": Dial(Choice((0.5, 1.0, 2.0)), 1.0),
            "rank": Dial(Choice((4, 8, 16, 32)), 16),
            "method": Dial(Choice(("lora", "ia3", "layernorm")), "lora"),
            "top_layers": Dial(Choice((0, 8)), 0),
            "wording": Dial(Choice(tuple(wordings(job.prompt))), PLAIN),
        }

    def steps(self, job: Job, *, n_rows: int) -> int:
        return max(1, round(_epochs(n_rows, text=job.task.output != "label") * n_rows / min(BATCH, max(1, n_rows))))

    def options_of(self, point: Point, job: Job) -> Point:
        options = {name: value for name, value in point.items() if name in ("rank", "method")}
        if "rate" in point:
            options["rate_times"] = point["rate"]
        if point.get("top_layers"):
            options["top_layers"] = point["top_layers"]
        if point.get("wording", PLAIN) != PLAIN:
            options["instruction"] = wordings(job.prompt)[str(point["wording"])]
        return options

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) seconds."""
        from tunesmith.training.probe import LOAD_S, answer_tokens

        speed = max(work.lm_tokens_per_s, 1e-9)
        batch = min(BATCH, max(1, work.n_train))
        steps = work.steps
        if steps is None:
            steps = round(_epochs(work.n_train, text=work.n_labels == 0) * work.n_train / batch)
        overhead = 1.0 + 1.0 / _TRAIN_PER_EVALUATION
        row = work.tokens_per_row or work.tokens_per_text
        proving = _OWN_TOKENS + _READINGS * row + _DEV_ROWS_READ * work.tokens_per_text
        training = overhead * steps * batch * work.tokens_per_text * FORWARDS_PER_TRAINED_TOKEN
        fit = 4 * LOAD_S + _ENCODING_S * work.n_train * row + (proving + training) / speed
        unsure = steps * batch < _SURE_ROWS * work.n_labels
        return fit, LOAD_S + work.n_predict * answer_tokens(work, whole_tree=unsure) / speed


def _settings(
    job: Job, *, n_rows: int, parameters: int, rate_factor: float = 1.0
) -> dict[str, float | int | str | bool]:
    given = job.options
    text = job.task.output != "label"
    name = str(given.get("method", "lora"))
    return {
        **{key: given[key] for key in _PASSED_ON if key in given},
        "method": name,
        "rank": int(given.get("rank", 16)),
        "rate": float(given.get("rate_times", 1.0))
        * float(given.get("rate", rate_factor * _rate(name, job, parameters))),
        "batch": min(int(given.get("batch", BATCH)), max(1, n_rows)),
        "epochs": float(given.get("epochs", _epochs(n_rows, text=text))),
    }


def _worded(job: Job, options: Mapping[str, Any]) -> Job:
    """The job with the instruction that the options ask for, or its own."""
    if "instruction" not in options:
        return job
    return replace(job, prompt=replace(job.prompt, instruction=str(options["instruction"])))


def _rate(name: str, job: Job, parameters: int) -> float:
    """The rate to begin with. Smaller models bear, and need, larger steps of LoRA: measured on 135 M parameters, a rule
    of thumb above. Of other methods: the middle of what is sane for them."""
    if name in ("lora", "qlora"):
        return 1e-3 if parameters < 300e6 else 5e-4 if parameters < 1e9 else 2e-4
    assert job.lm is not None
    sane = methods.get(name).search_space(job.lm)["rate"]
    assert isinstance(sane, Range)
    return math.sqrt(sane.low * sane.high)


def _epochs(n_rows: int, *, text: bool) -> float:
    """Passes over the rows where nothing limits them; early stopping may need fewer."""
    if text:
        return 3.0 if n_rows < 3000 else 2.0
    return 4.0 if n_rows < 1000 else 2.0 if n_rows < 5000 else 1.0


def _recipe(job: Job, settings: dict[str, Any], *, n_rows: int, n_dev: int) -> Recipe:
    from tunesmith.training.loop import Recipe

    batch = int(settings["batch"])
    if job.frozen and "schedule_steps" in job.options and "best_step" in job.options:
        # The same share of the same schedule, scaled to the rows there are now.
        stop = job.plan.steps or int(job.options["best_step"])
        whole = round(int(job.options["schedule_steps"]) * stop / max(1, int(job.options["best_step"])))
        # Nothing is scored, but where there is a budget what has been forgotten is looked at on the way.
        every = max(1, stop // _LOOKS) if "forget_at_most" in job.options else None
        return Recipe(max(stop, whole), float(settings["rate"]), stop_step=stop, evaluate_every=every)
    steps = job.plan.steps or max(1, round(float(settings["epochs"]) * n_rows / batch))
    # A dev row costs a third of a train row: no backward pass.
    every = max(-(-_TRAIN_PER_EVALUATION * n_dev // (3 * batch)), steps // 10, 5)
    return Recipe(
        steps, float(settings["rate"]), evaluate_every=every, patience=_PATIENCE, pause_step=job.plan.pause_steps
    )


def _promising(lm: LanguageModel, dev: Rows, job: Job, ctx: Context, draft: dict[str, Any]) -> Any:
    """At the pause: the task's own leading score on dev decides, not the loss."""
    if job.promising is None or job.plan.pause_steps is None or not len(dev):
        return None
    ask = job.promising

    def judge(_: float) -> bool:
        answers = _prompted(lm, job, draft).predict(dev.texts, ctx)
        score = job.task.score(answers, dev.references, dev.texts, job.labels)[job.task.leads]
        ctx.emit("lm.pause", score=float(score), rows=len(dev))
        return ask(float(score))

    return judge


def _prompted(lm: LanguageModel, job: Job, about: dict[str, Any]) -> Prompted:
    from tunesmith.training.prompted import Lengths, Prompted, asker_for

    lengths: Lengths = Lengths(*about["lengths"])
    # Tuned models are sure of themselves: the labels that the bounded search leaves out have no share to speak of.
    return Prompted(lm, asker_for(lm, job), lengths, job.labels, exact=False)


def _about(
    job: Job, prompt: Prompt, lm: LanguageModel, lengths: Lengths, settings: dict[str, Any], recipe: Recipe,
    result: LoopResult,
) -> dict[str, Any]:  # fmt: skip
    assert job.lm is not None
    chosen = {
        "best_step": result.best_step,
        "schedule_steps": recipe.steps,
        "max_tokens": lengths.max_tokens,
        "max_new_tokens": lengths.max_new_tokens,
    }
    return {
        "version": 1,
        "base": job.lm.uri,
        "task": job.task.name,
        "instruction": prompt.instruction,
        "labels": list(job.labels),
        "template": lm.template.fingerprint,
        "lengths": [lengths.max_tokens, lengths.max_new_tokens],
        "settings": {**settings, **chosen},
        "stopped": result.stopped,
        # What is compared on dev while training is the loss; "dev" is for the task's own metric.
        "curve": [{**at, "dev": None, "dev_loss": None if at["dev"] is None else -at["dev"]} for at in result.curve],
    }


def _about_documents(read: Path) -> dict[str, Any]:
    """What lies beneath: its hash, and how it was judged where it comes from the stage (training/domain.py)."""
    told = read.parent / "domain.json"
    record = read_json(told) if told.exists() else {}
    kept = ("before", "after", "interval", "documents", "held_out", "tokens", "trained_tokens")
    return {"sha256": sha256_path(read), **{name: record[name] for name in kept if name in record}}


def _gain(fitted: LmFitted) -> float:
    """What the kept weights gained on dev over the untuned model; minus infinity where it was not scored."""
    untuned, kept, _ = fitted.forgetting["dev"]
    if fitted.forgetting["to_base"]:
        return 0.0
    return -math.inf if untuned is None or kept is None else float(kept - untuned)


def _or_none(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None


def _save_adapter(lm: LanguageModel, how: Method, folder: Path, job: Job, read: Path | None = None) -> None:
    """PEFT's layout with the tokenizer and template beside it; the same weights give the same bytes.

    read: the adapter that lies beneath this one, which goes with it.
    """
    from tunesmith.core.files import whole
    from tunesmith.models.quiet import silent

    assert job.lm is not None
    if folder.exists():
        shutil.rmtree(folder)
    with whole(folder / "adapter") as draft, silent():
        how.save(lm.model, draft, base=job.lm.uri)
        lm.template.tokenizer.save_pretrained(draft)
        if read is not None:
            shutil.copytree(read, draft / BENEATH)


def _parameters(lm: LanguageModel) -> int:
    tensors: list[torch.Tensor] = list(lm.model.parameters())
    return sum(t.numel() for t in tensors)
