"""The peer for labels: SetFit's trainer at its documented defaults, on the encoder that both sides have.

    python contrastive.py JOB.json RESULT.json

Pairs by oversampling, batches of 16, rate 2e-5, as many steps as the wall time allows beside embedding the train rows
for the head, which is what the last part of the fit does.
"""

from __future__ import annotations

import time
from typing import Any

from clock import Clock, main, step_seconds

_BATCH = 16
_TIMED = 8  # steps that tell how long one takes


def fit_and_answer(job: dict[str, Any]) -> dict[str, Any]:
    import setfit
    import torch
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments
    from transformers import TrainerCallback

    torch.set_num_threads(job["threads"])
    texts, answers = job["train"]["texts"], job["train"]["answers"]
    names = sorted(set(answers))
    rows = Dataset.from_dict({"text": texts, "label": [names.index(a) for a in answers]})
    clock = Clock(job["budget_s"])

    def fresh() -> Any:
        return SetFitModel.from_pretrained(job["encoder"], local_files_only=True)

    ends: list[float] = []

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            ends.append(time.monotonic())

    def trained(model: Any, steps: int) -> Trainer:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=job["work"], batch_size=_BATCH, max_steps=steps, sampling_strategy="oversampling",
                seed=job["seed"], report_to="none", save_strategy="no", show_progress_bar=False, eval_strategy="no",
            ),
            train_dataset=rows, callbacks=[Watch()],
        )  # fmt: skip
        trainer.train_embeddings(*trainer.dataset_to_parameters(rows))
        return trainer

    trained(fresh(), _TIMED)
    step_s = step_seconds(ends)
    model = fresh()
    began = time.monotonic()
    some = texts[:: max(1, len(texts) // 64)][:64]
    model.model_body.encode(some)
    head_s = 1.3 * len(texts) * (time.monotonic() - began) / len(some)
    clock.restart()
    steps = max(1, int((clock.left_s - head_s) / step_s))
    trainer = trained(model, steps)
    trained_s = clock.spent_s
    trainer.train_classifier(*trainer.dataset_to_parameters(rows))
    fit_s = clock.spent_s
    said = model.predict(job["test"], use_labels=False)
    return {
        "answers": [names[int(i)] for i in said], "fit_s": fit_s, "version": f"setfit {setfit.__version__}",
        "settings": {"steps": steps, "body_s": trained_s, "batch": _BATCH, "rate": 2e-5},
    }  # fmt: skip


if __name__ == "__main__":
    main(fit_and_answer)
