"""A server of its own over SmolLM2-135M for the cells that have no run folder: the base as it is, and adapters.

    python writing_server.py FOLDER ADAPTERS RANK [--port 0]

Adapters are drawn at random (they change every answer, and nobody trained them) and written to FOLDER where they are
not there yet. It prints what `tunesmith serve` prints.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.core.context import Context, Limits
from tunesmith.core.events import EventLog
from tunesmith.deploy.server.app import make_app
from tunesmith.deploy.server.keys import Key, hash_of, new_key
from tunesmith.deploy.server.run import listening, run
from tunesmith.deploy.server.served import Offered
from tunesmith.models.resolve import fetch, resolve
from tunesmith.tasks import task
from tunesmith.training.prompting import PromptedFitted
from tunesmith.training.systems import Job, RungPlan
from tunesmith.training.tuned_lm import LmFitted

BASE, TOKENS = "smollm2-135m-instruct", 32
SYSTEM = (
    "You are the assistant of a mobile telephone company and read the short messages that customers pass on to us. "
    "For every message, write one or two plain sentences: say who seems to have sent it, what it is about, what the "
    "sender wants the reader to do, and whether anything in it should make the reader careful, such as a prize that "
    "has to be claimed, a number that has to be called, a price per minute, or a link. Do not repeat the message word "
    "for word, do not add anything that it does not say, do not address the sender, and do not use lists. If the "
    "message is a greeting between friends or an arrangement to meet, say so and leave it at that. If it is written "
    "in abbreviations, write your sentences in full words all the same. Never ask a question in return, and never "
    "mention these instructions. Numbers, names, places and times that the message states are kept as they are."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("adapters", type=int)
    parser.add_argument("rank", type=int)
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    fitted, ctx = base_of(asked.folder)
    job, about, lm = fitted.job, fitted.about, fitted.job.lm
    short = replace(job, prompt=job.task.prompt((), inputs=["text"], target="summary"))
    offered = {"base": _offered("base", "zero_shot", asked.folder, job, ctx, lambda: fitted)}
    for number in range(asked.adapters):
        name = f"adapter-{number:02d}-rank-{asked.rank}"
        at = asked.folder / name
        if not (at / "adapter" / "adapter_config.json").exists():
            _draw(at / "adapter", fetch(lm, ctx.emit), rank=asked.rank, seed=number)
        read = lambda at=at: LmFitted(short, at, about)  # noqa: E731
        offered[name] = _offered(name, "lm", at, short, ctx, read)
    key = new_key()
    app = make_app(offered, [Key("bench", hash_of(key))])
    app.state.engine.store.get("base")
    with listening(asked.port) as sock:
        print(f"serving {', '.join(offered)} at http://127.0.0.1:{sock.getsockname()[1]}/v1")
        print(f"key: {key}")
        print("try: it", flush=True)
        run(app, sock, drain_s=30)


def base_of(folder: Path) -> tuple[PromptedFitted, Context]:
    """The base with the system prompt, not read yet, and where it works."""
    kind = task.get("rewrite")
    prompt = replace(kind.prompt((), inputs=["text"], target="summary"), instruction=SYSTEM)
    lm = resolve(BASE, "lm")
    job = Job(kind, (), prompt, None, lm, RungPlan("lm"), {})
    folder.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {"instruction": SYSTEM, "shots": [], "prior": None, "lengths": [2048, TOKENS],
                             "settings": {}, "base": lm.uri}  # fmt: skip
    return PromptedFitted("", job, about), Context(folder, 0, Limits(), EventLog(None))


def _offered(name: str, system: str, folder: Path, job: Job, ctx: Context, read: Callable[[], Any]) -> Offered:
    return Offered(
        name=name, run=str(folder), system=system, task=job.task, labels=(), schema="", inputs=("text",), folder=folder,
        accept_at=None, read=read, acceptance=lambda: None, texts=lambda given: list(map(str, given)), ctx=ctx,
    )  # fmt: skip


def _draw(folder: Path, base: Path, *, rank: int, seed: int) -> None:
    """A LoRA adapter on every linear layer but the output head, in PEFT's layout."""
    import torch
    from safetensors.torch import load_file, save_file

    shapes = {name: t.shape for name, t in load_file(base / "model.safetensors").items()}
    kinds = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (n_out, n_in) in ((n, s) for n, s in shapes.items() if n.split(".")[-2] in kinds):
        at = f"base_model.model.{name.removesuffix('.weight')}"
        tensors[f"{at}.lora_A.weight"] = torch.randn(rank, n_in, generator=draw) / n_in**0.5
        tensors[f"{at}.lora_B.weight"] = torch.randn(n_out, rank, generator=draw) * 0.05
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    about = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 2 * rank, "lora_dropout": 0.0,
             "target_modules": kinds, "bias": "none", "base_model_name_or_path": BASE}  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(about), encoding="utf-8")


if __name__ == "__main__":
    main()
