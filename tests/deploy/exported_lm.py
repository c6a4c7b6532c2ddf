"""A language model with an adapter on, as a run would ship it, without the run."""

import torch

from tunesmith.core.context import Context, Limits
from tunesmith.core.files import write_json
from tunesmith.core.predictions import Predictions
from tunesmith.deploy.shipped import Held, Shipped
from tunesmith.evaluation.acceptance import Acceptance
from tunesmith.models.lm import LanguageModel
from tunesmith.models.methods import method as methods
from tunesmith.models.spec import ModelSpec
from tunesmith.tasks import Prompt
from tunesmith.tasks import task as tasks
from tunesmith.testing import tiny_lm
from tunesmith.training.ladder import Rung
from tunesmith.training.systems import Job, RungPlan
from tunesmith.training.systems import system as systems

LABELS = ("a kite", "a key", "the river", "the road")
TEXTS = tuple(f"{first} {second} by the river" for first in ("the red", "a small", "my old") for second in LABELS)


def tuned_lm(folder, *, task="classify"):
    """A Shipped that chooses between LABELS, or writes."""
    spec = ModelSpec("folder", str(tiny_lm(folder / "base")), "lm")
    labels = LABELS if task == "classify" else ()
    prompt = Prompt("Say what it is.", labels)
    job = Job(tasks.get(task), labels, prompt, None, spec, RungPlan("lm"))
    ctx = Context(folder, 0, Limits(threads=1))
    lm = LanguageModel.load(folder / "base", ctx.limits)
    how = methods.get("lora")
    lm.model = how.apply(lm.model, {"rank": 4}, seed=0)
    draw = torch.Generator().manual_seed(1)
    for name, weight in lm.model.named_parameters():
        if "lora_B" in name:
            weight.data.copy_(torch.randn(weight.shape, generator=draw) * 0.3)
    place = folder / "systems" / "lm"
    how.save(lm.model, place / "adapter", base=spec.uri)
    lm.template.tokenizer.save_pretrained(place / "adapter")
    about = {"version": 1, "system": "lm", "base": spec.uri, "lengths": [256, 12], "settings": {"method": "lora"}}
    write_json(place / "system.json", about)
    said = systems.get("lm").load(place, job, ctx).predict(TEXTS, ctx)
    references = tuple(value or "" for value in said.values)
    held = Held(TEXTS, references, Predictions(said.values, probabilities=said.probabilities))
    nothing = Acceptance(None, None, None)
    return Shipped(
        run="tiny", path=place, rung=Rung("lm", "tuned", "lm", "full", "", RungPlan("lm")), job=job, held=held,
        acceptance=nothing, coarse_acceptance=nothing, accept_at=None, inputs=("text",),
        leads=tasks.get(task).leads, verdict="It ships.", ctx=ctx,
    )  # fmt: skip
