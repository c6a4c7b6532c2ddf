"""Label choice for some texts in a fresh process: ours, or transformers' constrained `generate`.

    python choosing.py JOB.json RESULT.json

job["side"]: "ours" (LanguageModel.choose_labels), "generate" (greedy, prefix_allowed_tokens_fn, one text at a time),
"batched" (the same, job["batch"] texts at once, padded on the left). Labels end with the template's end token.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from steps import peak_rss_bytes, pin


def main(job: dict[str, Any]) -> dict[str, Any]:
    from tunesmith.core.context import Limits
    from tunesmith.core.machine import set_threads
    from tunesmith.models.lm import LanguageModel

    pin(job["pin"])
    set_threads(job["threads"])
    lm = LanguageModel.load(Path(job["model"]), Limits(threads=job["threads"]))
    asked = json.loads(Path(job["asked"]).read_text())
    labels: list[list[int]] = asked["labels"]

    def answers(prompts: list[list[int]]) -> list[int]:
        if job["side"] == "ours":
            return list(lm.choose_labels(prompts, labels, prefix=asked["prefix"]))
        size = job["batch"] if job["side"] == "batched" else 1
        return [
            labels.index(written)
            for start in range(0, len(prompts), size)
            for written in generated(lm, prompts[start : start + size], labels)
        ]

    answers(asked["prompts"][:2])  # what is only done once in a process
    began = (time.perf_counter(), time.process_time())
    chosen = answers(asked["prompts"])
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    n = len(chosen)
    return {
        "s_per_example": wall / n, "cpu_s_per_example": cpu / n, "examples": n, "chosen": chosen,
        "peak_rss_bytes": peak_rss_bytes(),
    }  # fmt: skip


def generated(lm: Any, prompts: list[list[int]], labels: list[list[int]]) -> list[list[int]]:
    """The label that transformers writes after each prompt, as token ids with the end."""
    import torch

    pad = int(lm.template.end_id)
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
    live = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    after: dict[tuple[int, ...], list[int]] = {}
    for label in labels:
        for n in range(len(label)):
            after.setdefault(tuple(label[:n]), []).append(label[n])

    def allowed(_: int, so_far: torch.Tensor) -> list[int]:
        return sorted(set(after.get(tuple(so_far[width:].tolist()), [pad])))

    with torch.inference_mode():
        found = lm.model.generate(
            input_ids=ids, attention_mask=live, do_sample=False, num_beams=1, max_new_tokens=max(map(len, labels)),
            prefix_allowed_tokens_fn=allowed, eos_token_id=pad, pad_token_id=pad,
        )  # fmt: skip
    return [row[: row.index(pad) + 1] for row in found[:, width:].tolist()]


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
