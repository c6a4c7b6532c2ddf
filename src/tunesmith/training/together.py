"""A tuned encoder's opinion with those of n-gram counts and of a head on the frozen encoder beside it.

Tuning an encoder on few thousand rows makes other mistakes than counting words does; whether the opinions are added
is decided on dev, and the tuned encoder always has a say.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.models.spec import ModelSpec
from tunesmith.training.calibrate import fit_temperature_to
from tunesmith.training.choice import Settings, lift_offset
from tunesmith.training.embeddings import embed, encoder_spec
from tunesmith.training.experts import CountExpert, VectorExpert, fit_counts, fit_vectors
from tunesmith.training.folds import label_codes
from tunesmith.training.heads import KernelHead
from tunesmith.training.linear import LinearHead, load_arrays, save_arrays
from tunesmith.training.mixture import choose_mixture, mix, named, with_say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.models.encoder import Encoder
    from tunesmith.training.systems import Job

_NAMES = ("tuned", "counts", "linear", "kernel")
_DEFAULT: Settings = {
    "tuned.temperature": 1.0, "tuned.weight": 1.0,
    "counts.C": 1.0, "counts.temperature": 0.2, "counts.weight": 0.0,
    "linear.head": "linear", "linear.C": 5.0, "linear.temperature": 0.8, "linear.weight": 0.0,
    "kernel.head": "kernel", "kernel.ridge": 0.3, "kernel.temperature": 0.1, "kernel.weight": 0.0,
    "temperature": 1.0, "lift": 0.0,
}  # fmt: skip
BESIDE = ("counts", "linear", "kernel")
_LEAST_DEV = 30  # rows; below it a temperature is a guess and the tuned encoder speaks alone


@dataclass(frozen=True)
class Together:
    """names: who has a say, "tuned" first. adapter: folder of the adapter in PEFT's layout."""

    labels: tuple[str, ...]
    spec: ModelSpec
    encoder: Encoder  # the tuned one, adapter merged
    adapter: Path
    experts: dict[str, CountExpert | VectorExpert]
    offset: NDArray[np.float64]
    settings: Settings

    @property
    def names(self) -> list[str]:
        """Who has a say."""
        return list(self.experts)

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        """One label per text, in order."""
        vectors = self.encoder.embed(texts)
        opinions = {name: _opinion(name, e, texts, vectors, self.spec, ctx) for name, e in self.experts.items()}
        return Predictions.from_probabilities(mix(opinions, self.settings, self.offset), self.labels)

    def save(self, folder: Path) -> None:
        """Write adapter/, a head or vocabulary per opinion, and together.json."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.adapter, folder / "adapter", dirs_exist_ok=True)
        for name, expert in self.experts.items():
            save_arrays(folder / ("head.safetensors" if name == "tuned" else f"{name}.safetensors"), expert.arrays())
        write_json(
            folder / "together.json",
            {
                "labels": list(self.labels),
                "encoder": self.spec.uri,
                "experts": self.names,
                "offset": self.offset.tolist(),
                "settings": self.settings,
            },
        )

    @classmethod
    def load(cls, folder: Path, spec: ModelSpec, ctx: Context) -> Together:
        """What `save` wrote; the base encoder comes from the cache."""
        from tunesmith.training.adapters import load_adapter

        about = read_json(folder / "together.json")
        experts: dict[str, CountExpert | VectorExpert] = {}
        for name in about["experts"]:
            arrays = load_arrays(folder / ("head.safetensors" if name == "tuned" else f"{name}.safetensors"))
            experts[name] = CountExpert.from_arrays(arrays) if name == "counts" else VectorExpert.from_arrays(arrays)
        return cls(
            tuple(about["labels"]), spec, load_adapter(folder / "adapter", spec, ctx), folder / "adapter", experts,
            np.array(about["offset"], dtype=np.float64), about["settings"],
        )  # fmt: skip


def fit_together(
    encoder: Encoder,
    adapter: Path,
    head: LinearHead | KernelHead,
    learned: tuple[Rows, NDArray[np.float32]],
    dev: Rows,
    job: Job,
    ctx: Context,
    *,
    beside: Sequence[str] = BESIDE,
) -> Together:
    """Fit the other opinions on the train rows and choose on dev who has a say.

    encoder: the tuned one. head: on its vectors. learned: the train rows and their vectors by the frozen encoder.
    beside: whose opinions may be added. With job.frozen, the mixture in job.options is taken.
    """
    rows, frozen_vectors = learned
    spec = encoder_spec(job)
    codes = label_codes(rows.targets, job.labels)
    settings: Settings = {key: job.options.get(key, value) for key, value in _DEFAULT.items()}
    choosing = not job.frozen and len(dev) >= _LEAST_DEV and len(set(rows.targets)) > 1
    experts: dict[str, CountExpert | VectorExpert] = {}
    for name in ("tuned", *beside) if choosing else with_say(settings, _NAMES):
        own = named(settings, name)
        if name == "tuned":
            experts[name] = VectorExpert(head, float(own["temperature"]))
        elif name == "counts":
            experts[name] = job.shared(
                (name, rows.ids.tobytes(), *own.items(), ctx.seed),
                partial(fit_counts, rows, own, job, seed=ctx.seed),
            )
        else:
            experts[name] = job.shared(
                (name, rows.ids.tobytes(), *own.items(), ctx.seed),
                partial(fit_vectors, frozen_vectors, rows, own, job, seed=ctx.seed),
            )
    if choosing:
        dev_codes = label_codes(dev.targets, job.labels)
        opinions = {}
        vectors = encoder.embed(dev.texts)
        for name, expert in experts.items():
            raw = _opinion(name, expert, dev.texts, vectors, spec, ctx)
            # A temperature of a normalised opinion adds up with the one before it.
            more = fit_temperature_to(raw, dev_codes)
            settings[f"{name}.temperature"] = float(settings[f"{name}.temperature"]) * more
            experts[name] = _tempered(expert, float(settings[f"{name}.temperature"]))
            opinions[name] = _opinion(name, experts[name], dev.texts, vectors, spec, ctx)
        settings |= choose_mixture(opinions, dev, dev_codes, job, with_share="tuned")
        experts = {name: experts[name] for name in with_say(settings, list(experts))}
    offset = lift_offset(settings, codes, n_labels=len(job.labels))
    return Together(job.labels, spec, encoder, adapter, experts, offset, settings)


def _tempered(expert: CountExpert | VectorExpert, temperature: float) -> CountExpert | VectorExpert:
    if isinstance(expert, CountExpert):
        return CountExpert(expert.vocabulary, expert.head, temperature)
    return VectorExpert(expert.head, temperature)


def _opinion(
    name: str,
    expert: CountExpert | VectorExpert,
    texts: Sequence[str],
    tuned: NDArray[np.float32],
    spec: ModelSpec,
    ctx: Context,
) -> NDArray[np.float64]:
    """(n, k) log-probabilities. tuned: the vectors of the texts by the tuned encoder."""
    if isinstance(expert, CountExpert):
        return expert.log_probabilities(texts)
    return expert.log_probabilities(tuned if name == "tuned" else embed(texts, spec, ctx, keep=False))
