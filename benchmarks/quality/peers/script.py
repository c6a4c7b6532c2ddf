"""The usual script: TRL's SFTTrainer with PEFT's LoRA on a small instruct model, then transformers' generate.

    python script.py JOB.json RESULT.json

The rate is the one that TRL's guide to PEFT gives (2e-4, about ten times that of full tuning), on all linear layers;
batches of 8; the three epochs that the trainer takes by itself, or as many steps as the wall time allows, with the
schedule ending there. Prompts hold the text and, where answers are few labels, nothing else: the labels are learned.
"""

from __future__ import annotations

import time
from typing import Any

from clock import Clock, main, step_seconds

_BATCH = 8
_RATE = 2e-4
_TIMED = 6  # steps that tell how long one takes
_EPOCHS = 3


def fit_and_answer(job: dict[str, Any]) -> dict[str, Any]:
    import torch
    import trl
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(job["threads"])
    tokenizer = AutoTokenizer.from_pretrained(job["lm"], local_files_only=True)

    def asked(text: str) -> list[dict[str, str]]:
        return [*job["system"], {"role": "user", "content": text}]

    rows = Dataset.from_dict(
        {
            "prompt": [asked(text) for text in job["train"]["texts"]],
            "completion": [[{"role": "assistant", "content": a}] for a in job["train"]["answers"]],
        }
    ).shuffle(seed=job["seed"])
    clock = Clock(job["budget_s"])

    ends: list[float] = []

    class Late(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            ends.append(time.monotonic())
            control.should_training_stop = control.should_training_stop or (len(ends) > _TIMED and clock.left_s <= 0)

    def trained(steps: int) -> Any:
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(job["lm"], local_files_only=True, dtype="float32"),
            args=SFTConfig(
                output_dir=job["work"], per_device_train_batch_size=_BATCH, learning_rate=_RATE, max_steps=steps,
                max_length=job["longest"], completion_only_loss=True, seed=job["seed"], report_to="none",
                save_strategy="no", use_cpu=True, bf16=False, gradient_checkpointing=False, disable_tqdm=True,
                warmup_steps=max(1, steps // 20),
            ),
            train_dataset=rows, processing_class=tokenizer, callbacks=[Late()],
            peft_config=LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, target_modules="all-linear",
                                   task_type="CAUSAL_LM"),
        )  # fmt: skip
        trainer.train()
        return trainer

    trained(_TIMED)
    most = _EPOCHS * -(-len(rows) // _BATCH)
    clock.restart()
    steps = max(1, min(most, int(0.95 * clock.left_s / step_seconds(ends))))
    trainer = trained(steps)
    fit_s = clock.spent_s
    model = trainer.model.eval()
    tokenizer.padding_side = "left"
    said = []
    for start in range(0, len(job["test"]), _BATCH):
        some = [asked(text) for text in job["test"][start : start + _BATCH]]
        given = tokenizer.apply_chat_template(
            some, add_generation_prompt=True, padding=True, truncation=True, max_length=job["longest"],
            return_tensors="pt", return_dict=True,
        )  # fmt: skip
        with torch.no_grad():
            made = model.generate(**given, max_new_tokens=job["answer_tokens"], do_sample=False)
        said += tokenizer.batch_decode(made[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
    return {
        "answers": [text.strip() for text in said], "fit_s": fit_s, "version": f"trl {trl.__version__}",
        "settings": {"steps": trainer.state.global_step, "planned": steps, "batch": _BATCH, "rate": _RATE},
    }  # fmt: skip


if __name__ == "__main__":
    main(fit_and_answer)
