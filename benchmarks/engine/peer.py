"""The peer: steps of TRL's trainers with PEFT's LoRA, in a fresh process of an environment of its own.

    python peer.py JOB.json RESULT.json

The same token ids, the same supervised tokens, the same rows in the same steps; timed by a callback of the trainer.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from steps import Stopwatch, peak_rss_bytes, pin


def main(job: dict[str, Any]) -> dict[str, Any]:
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    import torch
    import trl
    from transformers import TrainerCallback

    pin(job["pin"])
    torch.set_num_threads(job["threads"])
    watch = Stopwatch(job["warmup"], job["measured"], job["budget_s"], job["give_up_s"], job["until"])
    examples: list[int] = []

    class Timer(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            watch.start()

        def on_step_end(self, args: Any, state: Any, control: Any, **__: Any) -> None:
            if watch.step() and not job["whole"]:
                control.should_training_stop = True

    data = json.loads(Path(job["rows"]).read_text())
    trainer = (preferring if job["objective"] == "pairs" else answering)(job, data, Timer())
    collate = trainer.data_collator

    def counted(rows: list[dict[str, Any]]) -> Any:
        """How many rows a step has: with packing, several in one."""
        examples.append(sum(len(row["seq_lengths"]) if "seq_lengths" in row else 1 for row in rows))
        return collate(rows)

    trainer.data_collator = counted
    loaded = peak_rss_bytes()
    trainer.train()
    if job["save"]:
        trainer.model.save_pretrained(job["save"])
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        **watch.result(examples), "first_loss": losses[0], "losses": losses, "loaded_rss_bytes": loaded,
        "peak_rss_bytes": peak_rss_bytes(), "version": f"trl {trl.__version__}",
    }  # fmt: skip


def answering(job: dict[str, Any], data: dict[str, Any], timer: Any) -> Any:
    """SFTTrainer on the rows of the steps, in their order."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    variant, order = job["variant"], [i for rows in job["steps"] for i in rows]
    ids, n_prompt = [data["ids"][i] for i in order], [data["n_prompt"][i] for i in order]
    masks = [[0] * n + [1] * (len(row) - n) for row, n in zip(ids, n_prompt, strict=True)]
    length = max(map(len, ids))
    if variant["packing"]:  # so many tokens that a step has as many as the batch has on average
        length = max(length, -(-sum(map(len, ids)) // len(job["steps"])))
    return SFTTrainer(
        args=SFTConfig(
            **common(job), per_device_train_batch_size=1 if variant["packing"] else job["batch"],
            packing=variant["packing"], padding_free=variant["padding_free"] or variant["packing"],
            max_length=None if variant["padding_free"] else length, completion_only_loss=True,
        ),
        train_dataset=Dataset.from_dict({"input_ids": ids, "completion_mask": masks}), **parts(job, timer),
    )  # fmt: skip


def preferring(job: dict[str, Any], data: dict[str, Any], timer: Any) -> Any:
    """DPOTrainer on the pairs of the steps; the reference is the model without its adapter, read in every step."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    class OnIds(DPOTrainer):
        """Takes the ids as they are: tokenizing prompt and answer as one string could cut them elsewhere."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    order = [i for rows in job["steps"] for i in rows]
    columns: dict[str, list[list[int]]] = {"prompt_ids": [], "chosen_ids": [], "rejected_ids": []}
    for i in order:
        n = data["n_prompt"][2 * i]
        columns["prompt_ids"].append(data["ids"][2 * i][:n])
        columns["chosen_ids"].append(data["ids"][2 * i][n:])
        columns["rejected_ids"].append(data["ids"][2 * i + 1][n:])
    return OnIds(
        args=DPOConfig(**common(job), per_device_train_batch_size=job["batch"], max_length=None, beta=0.1),
        train_dataset=Dataset.from_dict(columns), **parts(job, timer),
    )  # fmt: skip


def common(job: dict[str, Any]) -> dict[str, Any]:
    """Settings of both trainers."""
    variant = job["variant"]
    return {
        "output_dir": job["out"], "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "use_cpu": True,
        "logging_first_step": True, "max_steps": len(job["steps"]), "bf16": variant["bf16"],
        "gradient_checkpointing": variant["checkpointing"], "train_sampling_strategy": "sequential",
        "learning_rate": job["rate"], "seed": job["seed"], "lr_scheduler_type": "linear",
        "warmup_steps": round(0.06 * len(job["steps"])), "model_init_kwargs": {"dtype": variant["weights"]},
    }  # fmt: skip


def parts(job: dict[str, Any], timer: Any) -> dict[str, Any]:
    """What both trainers are built of: the base by its path, LoRA on all linear layers."""
    from peft import LoraConfig
    from transformers import AutoTokenizer

    return {
        "model": str(job["model"]),
        "processing_class": AutoTokenizer.from_pretrained(job["model"], local_files_only=True),
        "peft_config": LoraConfig(
            r=job["rank"], lora_alpha=2 * job["rank"], target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        "callbacks": [timer],
    }


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
