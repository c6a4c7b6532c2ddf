"""DOMAIN: continued training of the language model on the user's documents, before it is tuned for the task.

Every token of every document is learned from those before it (Gururangan et al. 2020, *Don't stop pretraining*,
section 3), by LoRA in the same loop, packing and memory as tuning. It is judged on documents that were held out: bits
that the model needs for a byte of them, before and after, with an interval of the difference over documents. Where the
interval does not lie below zero nothing is kept, and the plain base is used.

What is kept is an adapter, which the rung `lm_domain` folds into the base before it tunes (training/tuned_lm.py). What
the base forgets is held by the same budget as in tuning (training/keeping.py).
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.core.checks import Check
from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.files import read_json, sha256_path, write_json
from tunesmith.core.meter import metered
from tunesmith.core.statistics import Interval, bootstrap_sums
from tunesmith.data.corpus import Corpus, Document, corpus_of, holding, read_documents, rows_to_keep_out
from tunesmith.models.resolve import fetch, resolve
from tunesmith.training.train import ForgetOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.models.lm import LanguageModel
    from tunesmith.training.batches import Packing
    from tunesmith.training.memory import Fitting
    from tunesmith.training.reading_on import Windows

SYSTEM = "domain"
# Fewer tokens teach nothing that would show.
LEAST_TOKENS = 4_000
_LOOKS = 8  # checkpoints at which drift is measured, where there is a budget of forgetting
_CHECKED = 4  # windows by which two forms of a model are compared


@dataclass(frozen=True)
class DomainOptions:
    """Documents to read before tuning, and how. 'auto' is filled in by the plan."""

    path: tuple[Path, ...] = field(
        default=(), metadata={"help": "documents to read before tuning: files and folders", "content": True}
    )
    column: str | None = field(
        default=None, metadata={"help": "column of a table that holds the documents; none: found by its name"}
    )
    base: str = field(default="auto", metadata={"help": "the language model; 'auto': model.lm"})
    tokens: int | Literal["auto"] = field(
        default="auto", metadata={"help": "tokens to train on; 'auto': two passes, if a third of the time allows"}
    )
    window: int = field(default=512, metadata={"help": "tokens that are read at once; halved where memory asks for it"})
    step_tokens: int = field(default=2048, metadata={"help": "tokens per optimizer step"})
    rate: float | Literal["auto"] = field(default="auto", metadata={"help": "peak learning rate"})
    rank: int = field(default=16, metadata={"help": "rank of the adapter"})
    clock_s: float | None = field(
        default=None,
        metadata={"key": False, "help": "training ends after so many seconds; a plan that is kept has none"},
    )

    def __post_init__(self) -> None:
        for name, least in (("window", 16), ("step_tokens", 16), ("rank", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"domain.{name}: expected at least {least}, got {getattr(self, name)}.")
        if self.tokens != "auto" and self.tokens < 1:
            raise ConfigError(f"domain.tokens: expected at least 1, got {self.tokens}.")

    @property
    def is_asked(self) -> bool:
        """Whether there are documents to read."""
        return bool(self.path)


@dataclass(frozen=True)
class Domain:
    """What reading the documents gave. folder: of the stage, with adapter/ where it is used.

    before, after: bits per byte on `held_out` documents. difference: after minus before, with its 95 % interval.
    documents, bytes, tokens: learned from, once; trained_tokens: as often as they were read. seconds, cpu_seconds: of
    the training. left_out: documents by reason. forgetting: the record of training/keeping.py.
    """

    folder: Path
    adopted: bool
    why: str
    base: str
    before: float
    after: float
    difference: float
    interval: Interval
    documents: int
    held_out: int
    bytes: int
    held_out_bytes: int
    tokens: int
    trained_tokens: int
    steps: int
    window: int
    parts: bool
    left_out: dict[str, int]
    rows_looked_for: int
    seconds: float
    cpu_seconds: float
    sha256: str
    curve: tuple[dict[str, float | None], ...] = ()
    forgetting: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, float | int | str | bool] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def adapter(self) -> Path | None:
        """The folder of what was learned, where it is used."""
        return self.folder / "adapter" if self.adopted else None

    def summary(self) -> str:
        """For the line of the stage."""
        low, high = self.interval
        told = f"{self.documents:,} documents, {self.held_out:,} held out"
        told += f", {n:,} left out: they hold dev or test rows" if (n := self.left_out["holds a row"]) else ""
        told += "" if self.adopted else ", not used"
        return f"{self.before:.4f} → {self.after:.4f} bits per byte ({low:+.4f} to {high:+.4f})   {told}"

    def to_json(self) -> dict[str, Any]:
        """Everything but the folder."""
        return {key: value for key, value in asdict(self).items() if key != "folder"}

    def save(self, folder: Path) -> None:
        write_json(folder / "domain.json", self.to_json())

    @classmethod
    def load(cls, folder: Path) -> Domain:
        about = read_json(folder / "domain.json")
        low, high = about["interval"]
        tuples = {name: tuple(about[name]) for name in ("curve", "warnings")}
        return cls(folder, **{**about, **tuples, "interval": (low, high)})


def uses(options: object) -> list[str]:
    """Modules of the extensions that the stage's result depends on."""
    from tunesmith.models.methods import method as methods

    return [methods.module("lora")] if isinstance(options, DomainOptions) else []


def domain(data: Dataset, options: DomainOptions, forget: ForgetOptions, ctx: Context) -> Domain:
    """Train the language model on the documents and judge it on others of them.

    options: planned, no 'auto' for base and tokens. Raises DataError where the documents are too few, ModelError where
    the base cannot be trained within the limit of memory.
    """
    if options.tokens == "auto" or options.base == "auto":
        raise ConfigError("domain: 'auto' must be planned first.", hint="run it through the pipeline.")
    corpus = read_corpus(data, options, seed=ctx.seed)
    write_json(ctx.workdir / "documents.json", _told_of(corpus))
    ctx.check(_apart(corpus, data))
    ctx.check(_disjoint(corpus))
    adapter = ctx.workdir / "adapter"
    made = _trained(corpus, options, forget, adapter, ctx)
    for work in (ctx.workdir / "loop", *ctx.workdir.glob("window-*")):
        shutil.rmtree(work)  # checkpoints have served
    if not made.adopted:
        shutil.rmtree(adapter, ignore_errors=True)
    return made


def read_corpus(data: Dataset, options: DomainOptions, *, seed: int) -> Corpus:
    """The documents that the options name, split and kept apart from the task's rows."""
    found, warnings = read_documents(options.path, column=options.column)
    return corpus_of(found, data, seed=seed, warnings=warnings)


def refuse_too_few(tokens: int) -> None:
    """Raise DataError where so many tokens are too few to learn from."""
    if tokens < LEAST_TOKENS:
        raise DataError(
            f"--domain: the documents hold {tokens:,} tokens to learn from; {LEAST_TOKENS:,} are needed.",
            hint="give more documents, or leave --domain out.",
        )


def _trained(corpus: Corpus, options: DomainOptions, forget: ForgetOptions, adapter: Path, ctx: Context) -> Domain:
    from tunesmith.models.lm import LanguageModel, release_memory
    from tunesmith.models.methods import method
    from tunesmith.training import lm_checks as checks
    from tunesmith.training import reading_on
    from tunesmith.training.batches import Cut, TokenBatches, batch_of
    from tunesmith.training.keeping import Keeping, rolled_back
    from tunesmith.training.loop import Recipe, Steering, trainable
    from tunesmith.training.loop import train as run_loop
    from tunesmith.training.losses import mean_loss
    from tunesmith.training.memory import Watched, count, fitting_for, peak_as_predicted
    from tunesmith.training.packing import choose_packing, packed_as_alone
    from tunesmith.training.retention import Retention

    def check(made: Check) -> None:
        ctx.check(replace(made, system=SYSTEM))

    spec = resolve(options.base, "lm")
    place = fetch(spec, ctx.emit)
    lm = LanguageModel.load(place, ctx.limits)
    how = method.get("lora")
    settings = _settings(options, lm)
    retention = Retention.of(forget.asked())
    controls, control = retention.attempts[0]
    settings["rate"] = float(settings["rate"]) * control.rate
    settings["controls"] = controls

    window = min(options.window, lm.context - 1)
    few = reading_on.windows(corpus.train[:_CHECKED], lm.template, window, most=1).encoded
    packed = choose_packing(lm.model, few)
    ctx.emit("decision", what="domain.packing", choice=packed.packing, why=packed.why)
    keeping = Keeping.begin(lm, retention, control, replace(ctx, check=check), packing=packed.packing)
    before = _measured(lm, corpus, window, packed.packing, ctx)  # the plain base, before an adapter is on
    some = [batch_of(few, [i], packing=packed.packing) for i in range(len(few))]
    plain = mean_loss(lm.model, some, loss=reading_on.next_token_loss)
    lm.model = how.apply(lm.model, settings, seed=ctx.seed)
    lm.model.eval()
    check(checks.untrained_adapter(plain, mean_loss(lm.model, some, loss=reading_on.next_token_loss)))
    kept = count(lm.model, packing=packed.packing)

    def fit(read: Windows) -> Fitting:
        return fitting_for(lm.model, read.encoded, kept, replace(ctx, workdir=_made_in(ctx, f"window-{read.window}")))

    chosen = ctx.workdir / "window.json"  # what the process holds may differ on resume
    window = read_json(chosen) if chosen.exists() else window
    read, fits = reading_on.fitting_windows(lm, corpus.train, window, kept, fit)
    write_json(chosen, read.window)
    refuse_too_few(read.tokens)
    cut = Cut(fits.max_tokens, fits.max_recomputed, packed.packing)
    keeping.lay_out(cut, ctx.seed)
    check(packed_as_alone(lm.model, read.encoded, packed, system=SYSTEM))
    check(keeping.untrained(lm.model))

    each = read.tokens / len(read.encoded)
    size = min(len(read.encoded), max(1, round(options.step_tokens / each)))
    steps = max(1, math.ceil(int(options.tokens) / (size * each)))
    every = max(1, steps // _LOOKS) if retention.at_most is not None else None
    recipe = Recipe(steps, float(settings["rate"]), evaluate_every=every)
    batches = TokenBatches(read.encoded, size, ctx.seed, **cut.told())
    watched = Watched(keeping.batches(batches), kept, lm.model, pooled=fits.pooled)
    start = {name: tensor.detach().clone() for name, tensor in trainable(lm.model).items()}
    with metered() as meter:
        result = run_loop(
            lm.model, watched, keeping.loss(reading_on.next_token_loss), recipe=recipe, folder=ctx.workdir / "loop",
            emit=ctx.emit, steering=Steering(late=_late(options.clock_s), guard=keeping.guard(lm.model, start)),
            seed=ctx.seed, multiples=how.rates(lm.model, settings),
        )  # fmt: skip
    limit = ctx.limits.max_memory_bytes
    ctx.emit("memory.peak", predicted=watched.peak.total, measured=meter.peak_rss_bytes)
    check(peak_as_predicted(watched.peak.total, meter.peak_rss_bytes, limit=limit, system=SYSTEM))
    judgement = keeping.judged(lm.model, result, start)
    check(rolled_back(judgement, start, trainable(lm.model)))
    for one in judgement.checks():
        check(one)
    check(checks.adapter_moved(start, trainable(lm.model), back=judgement.to_base))
    del start

    shutil.rmtree(adapter, ignore_errors=True)
    how.save(lm.model, adapter, base=spec.uri)
    prompts = [read.encoded.ids[i] for i in range(min(_CHECKED, len(read.encoded)))]
    memory = checks.probe_logits(lm.model, prompts)
    lm.let_go()
    release_memory()
    lm = LanguageModel.load(place, ctx.limits, adapter=adapter)
    check(checks.reloaded(memory, checks.probe_logits(lm.model, prompts)))
    exact = checks.float32(lm)
    beside = checks.probe_logits(exact.model, prompts)
    check(checks.merged(beside, checks.probe_logits(how.merge(exact.model), prompts)))
    del exact
    lm.let_go()
    release_memory()
    lm = LanguageModel.load(place, ctx.limits, beneath=adapter)  # as the rung will have it
    after = _measured(lm, corpus, window, packed.packing, ctx, name="after.json")

    found = compared(before, after, seed=ctx.seed)
    adopted, why = decided(found, judgement.rolled_back if judgement.to_base else "")
    ctx.emit("decision", what="domain", choice="used" if adopted else "not used", why=why)
    return Domain(
        ctx.workdir, adopted, why, spec.uri, found.before, found.after, found.difference, found.interval,
        len(corpus.train), len(corpus.held_out), sum(len(one.text.encode()) for one in corpus.train),
        int(before.size.sum()), read.tokens, round(result.steps_done * size * each), result.best_step,
        read.window, corpus.parts, {place: corpus.count(place) for place in ("copy", "holds a row")},
        corpus.rows, round(meter.wall_s, 3), round(meter.cpu_s, 3), sha256_path(adapter), tuple(result.curve),
        judgement.to_dict(), settings, corpus.warnings,
    )  # fmt: skip


@dataclass(frozen=True)
class Bits:
    """nats, size: (n,) what the model needs for the documents of each group, and their bytes."""

    nats: NDArray[np.float64]
    size: NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """Bits per byte before and after; difference: after minus before, with its 95 % interval over documents."""

    before: float
    after: float
    difference: float
    interval: Interval


def compared(before: Bits, after: Bits, *, seed: int) -> Compared:
    """The two measurements of the same documents, paired: groups of near-duplicates are drawn whole (BCa bootstrap)."""
    tables = [np.stack([one.nats, one.size], axis=1) for one in (after, before)]

    def bits(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1.0) / math.log(2.0))

    values = [float(bits(table.sum(axis=0)[None])[0]) for table in tables]
    interval, _ = bootstrap_sums(tables, bits, seed=seed)
    return Compared(values[1], values[0], values[0] - values[1], interval)


# Bits per byte below which a gain is not used: rounding alone can be in favour on every document.
_WORTH = 1e-3


def decided(found: Compared, undone: str = "") -> tuple[bool, str]:
    """(whether what was learned is used, why). undone: why the training was rolled back, if it was."""
    low, high = found.interval
    told = (
        f"{found.before:.4f} bits per byte before and {found.after:.4f} after on held-out documents, "
        f"difference {found.difference:+.4f} ({low:+.4f} to {high:+.4f})"
    )
    if undone:
        return False, f"continued training was rolled back ({undone}): the plain base is used"
    if not high < 0.0 or found.difference > -_WORTH:
        return False, f"continued training did not improve the base: {told}; the plain base is used"
    return True, told


def _measured(
    lm: LanguageModel, corpus: Corpus, window: int, packing: Packing, ctx: Context, *, name: str = "before.json"
) -> Bits:
    """Bits of the held-out documents, by groups; from disk if they were measured before."""
    from tunesmith.training import reading_on

    path = ctx.workdir / name
    if not path.exists():
        window = reading_on.judged_window(lm, window)
        read = reading_on.windows(corpus.held_out, lm.template, window, most=reading_on.MOST_JUDGED)
        nats = reading_on.nats(lm, read, packing=packing, emit=ctx.emit)
        write_json(path, {"nats": nats.tolist(), "bytes": list(read.sizes)})
    groups = np.array([one.group for one in corpus.held_out])
    _, number = np.unique(groups, return_inverse=True)
    told = {key: np.asarray(values, dtype=np.float64) for key, values in read_json(path).items()}
    nats, size = (np.zeros(number.max() + 1) for _ in range(2))
    np.add.at(nats, number, told["nats"])
    np.add.at(size, number, told["bytes"])
    return Bits(nats, size)


def _settings(options: DomainOptions, lm: LanguageModel) -> dict[str, float | int | str | bool]:
    parameters = sum(tensor.numel() for tensor in lm.model.parameters())
    usual = 5e-4 if parameters < 300e6 else 2e-4
    return {"method": "lora", "rank": options.rank, "rate": usual if options.rate == "auto" else options.rate}


def _made_in(ctx: Context, name: str) -> Path:
    """A folder of the stage's own."""
    (ctx.workdir / name).mkdir(parents=True, exist_ok=True)
    return ctx.workdir / name


def _late(clock_s: float | None) -> Callable[[], bool] | None:
    if clock_s is None:
        return None
    until = time.monotonic() + clock_s
    return lambda: time.monotonic() > until


def _apart(corpus: Corpus, data: Dataset) -> Check:
    """Documents to learn from, or to judge by, that hold a dev or test row: looked for again in what is left."""
    rows, _ = rows_to_keep_out(data)
    found = sum(holding((*corpus.train, *corpus.held_out), rows))
    return Check(
        "documents that hold a dev or test row", found, "= 0", found == 0,
        "such documents must be left out: please report it with the run folder.", SYSTEM,
    )  # fmt: skip


def _disjoint(corpus: Corpus) -> Check:
    """Groups of near-duplicates that have a document on either side."""
    shared = len({one.group for one in corpus.train} & {one.group for one in corpus.held_out})
    return Check(
        "near-duplicates of held-out documents among those learned from", shared, "= 0", shared == 0,
        "the split must keep copies together: please report it with the run folder.", SYSTEM,
    )  # fmt: skip


def _told_of(corpus: Corpus) -> list[dict[str, str]]:
    """Every document by name with what became of it; none of its text."""

    def named(some: Sequence[Document], place: str) -> list[dict[str, str]]:
        return [{"document": one.name, "place": place} for one in some]

    rest = [{"document": name, "place": place} for name, place in corpus.left_out]
    return [*named(corpus.train, "train"), *named(corpus.held_out, "held out"), *rest]
