"""Loss and adapter gradients of preference pairs against TRL's DPOTrainer: same token ids, adapter and reference.

    PYTHONPATH=src PYTHON-WITH-TRL benchmarks/engine/dpo_against_trl.py [--folder DIR] [--supervised W]

Runs in an environment that has TRL (1.16) beside what Tunesmith needs; TRL is no part of the product's. A small random
Llama in float32, rank-16 LoRA on all linears with random weights, pairs of unequal lengths of which two share their
prompt. Last line: JSON with both losses and the relative L2 difference of all gradients; exit code 1 above 1e-5.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

import torch

from tunesmith.core.context import Limits
from tunesmith.models.lm import LanguageModel
from tunesmith.models.methods import method
from tunesmith.testing import tiny_lm
from tunesmith.training.batches import Encoded, Packing
from tunesmith.training.preference import PreferenceLoss, pair_batches, reference_log_probs

BOUND = 1e-5
BETA = 0.1
# prompt, chosen and rejected tokens of each pair
SIZES = ((400, 12, 30), (37, 25, 4), (400, 3, 3), (120, 60, 44), (5, 1, 2), (64, 17, 90))


def pairs_of(vocabulary: int) -> list[dict[str, list[int]]]:
    """Random pairs as TRL names their parts; the third has the prompt of the first."""
    draw = torch.Generator().manual_seed(5)
    rows = []
    for sizes in SIZES:
        parts = [torch.randint(3, vocabulary, (n,), generator=draw).tolist() for n in sizes]
        rows.append(dict(zip(("prompt_ids", "chosen_ids", "rejected_ids"), parts, strict=True)))
    rows[2]["prompt_ids"] = rows[0]["prompt_ids"]
    return rows


def scatter(model: torch.nn.Module) -> None:
    """The same random adapter on both sides: nothing is left at its start."""
    draw = torch.Generator().manual_seed(11)
    for _, tensor in sorted((adapter_name(n), t) for n, t in model.named_parameters() if t.requires_grad):
        tensor.data.copy_(0.1 * torch.randn(tensor.shape, generator=draw))


def adapter_name(name: str) -> str:
    """A trained weight's name, whatever the adapter and the wrappers around the model are called."""
    return name[name.index("layers.") :].replace(".default", "")


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Gradients by adapter_name."""
    return {adapter_name(n): t.grad.clone() for n, t in model.named_parameters() if t.grad is not None}


def of_trl(folder: Path, rows: list[dict[str, list[int]]], supervised: float) -> tuple[float, dict[str, torch.Tensor]]:
    """What DPOTrainer computes for one batch; its reference is the model with the adapter switched off."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    more: dict[str, Any] = {}
    if supervised:
        more = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, supervised]}
    args = DPOConfig(
        output_dir=str(folder.parent / "trl"), beta=BETA, use_cpu=True, bf16=False, max_length=None, report_to=[],
        gradient_checkpointing=False, per_device_train_batch_size=len(rows), **more,
    )  # fmt: skip
    trainer = DPOTrainer(
        model,
        args=args,
        train_dataset=Dataset.from_dict({"prompt": ["a"], "chosen": ["b"], "rejected": ["c"]}),
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    scatter(trainer.model)
    trainer.model.train()
    batch = trainer.data_collator(rows)
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return float(loss.detach()), gradients(trainer.model)


def of_tunesmith(
    folder: Path, rows: list[dict[str, list[int]]], supervised: float, packing: Packing, max_tokens: int
) -> tuple[float, dict[str, torch.Tensor]]:
    """The mean over pairs, as the training loop makes it from the micro-batches' sums."""
    ids = [(*r["prompt_ids"], *r[answer]) for r in rows for answer in ("chosen_ids", "rejected_ids")]
    prompts = [len(r["prompt_ids"]) for r in rows for _ in range(2)]
    pairs = Encoded(tuple(ids), tuple(prompts), (1,) * len(ids), (1.0,) * len(ids))
    model = LanguageModel.load(folder, Limits()).model
    reference = reference_log_probs(model, pairs, max_tokens=max_tokens, packing=packing)
    model = method.get("lora").apply(model, {"rank": 16, "alpha": 32}, seed=0)
    scatter(model)
    model.train()
    loss = PreferenceLoss(BETA, supervised=supervised)
    total = 0.0
    for batch in pair_batches(pairs, reference, range(len(rows)), max_tokens=max_tokens, packing=packing):
        part, _ = loss(model, batch)
        (part / len(rows)).backward()
        total += float(part.detach()) / len(rows)
    return total, gradients(model)


def main() -> int:
    """Compare, print, and say by the exit code whether they are the same."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, help="where the small model is written")
    parser.add_argument("--supervised", type=float, default=0.0, help="weight of TRL's 'sft' term")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = tiny_lm((asked.folder or Path(scratch)) / "tiny")
        rows = pairs_of(vocabulary=700)
        if asked.supervised:  # TRL's mean is over the batch's tokens, ours over each answer's: equal for equal lengths
            rows = [{**row, "chosen_ids": (row["chosen_ids"] * 20)[:20]} for row in rows]
        loss, theirs = of_trl(folder, rows, asked.supervised)
        worst: dict[str, Any] = {"gradient_error": 0.0, "loss_error": 0.0}
        for packing in get_args(Packing):
            for max_tokens in (10_000, 200):  # 200: several micro-batches, activations recomputed
                ours_loss, ours = of_tunesmith(folder, rows, asked.supervised, packing, max_tokens)
                if ours.keys() != theirs.keys():
                    raise SystemExit(f"trained weights differ: {sorted(ours.keys() ^ theirs.keys())[:4]}")
                off = sum(float((ours[n] - theirs[n]).double().square().sum()) for n in ours) ** 0.5
                whole = sum(float(theirs[n].double().square().sum()) for n in ours) ** 0.5
                print(f"{packing:7s} {max_tokens:6d}  loss {ours_loss:.8f}  gradients off by {off / whole:.2e}")
                worst["gradient_error"] = max(worst["gradient_error"], off / whole)
                worst["loss_error"] = max(worst["loss_error"], abs(ours_loss - loss) / abs(loss))
        met = worst["gradient_error"] <= BOUND and worst["loss_error"] <= BOUND
        print(json.dumps({"peer": "TRL DPOTrainer", "peer_loss": loss, **worst, "bound": BOUND, "met": met,
                          "tensors": len(theirs), "pairs": len(rows), "supervised": asked.supervised}))  # fmt: skip
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
