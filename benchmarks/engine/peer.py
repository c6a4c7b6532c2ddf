"""The peer: steps of TRL's SFTTrainer with PEFT's LoRA, in a fresh process of an environment of its own.

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
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    pin(job["pin"])
    torch.set_num_threads(job["threads"])
    variant = job["variant"]
    data = json.loads(Path(job["rows"]).read_text())
    order = [i for rows in job["steps"] for i in rows]
    dataset = Dataset.from_dict({
        "input_ids": [data["ids"][i] for i in order],
        "completion_mask": [
            [0] * data["n_prompt"][i] + [1] * (len(data["ids"][i]) - data["n_prompt"][i]) for i in order
        ],
    })  # fmt: skip
    length = max(len(data["ids"][i]) for i in order)
    if variant["packing"]:  # so many tokens that a step has as many as the batch has on average
        length = max(length, -(-sum(len(data["ids"][i]) for i in order) // len(job["steps"])))
    watch = Stopwatch(job["warmup"], job["measured"], job["budget_s"], job["give_up_s"], job["until"])
    examples: list[int] = []

    class Timer(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            watch.start()

        def on_step_end(self, args: Any, state: Any, control: Any, **__: Any) -> None:
            if watch.step() and not job["whole"]:
                control.should_training_stop = True

    saved = {"output_dir": job["out"], "save_strategy": "no", "report_to": "none", "disable_tqdm": True}
    trainer = SFTTrainer(
        model=str(job["model"]),
        args=SFTConfig(
            **saved, max_steps=len(job["steps"]), logging_first_step=True, use_cpu=True,
            per_device_train_batch_size=1 if variant["packing"] else job["batch"],
            gradient_checkpointing=variant["checkpointing"], bf16=variant["bf16"],
            packing=variant["packing"], padding_free=variant["padding_free"] or variant["packing"],
            max_length=None if variant["padding_free"] else length, completion_only_loss=True,
            train_sampling_strategy="sequential", learning_rate=job["rate"], seed=job["seed"],
            lr_scheduler_type="linear", warmup_steps=round(0.06 * len(job["steps"])),
            model_init_kwargs={"dtype": variant["weights"]},
        ),
        train_dataset=dataset,
        processing_class=AutoTokenizer.from_pretrained(job["model"], local_files_only=True),
        peft_config=LoraConfig(
            r=job["rank"], lora_alpha=2 * job["rank"], target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        callbacks=[Timer()],
    )  # fmt: skip
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


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
