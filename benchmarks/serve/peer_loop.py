"""The peer: transformers' `generate`, one request at a time, behind FastAPI.

    python peer_loop.py FOLDER TOKENS [--port 0]

FOLDER holds the base model; the same prompt, greedy, float32, and the rule by which *evaluate* ends a text that repeats
itself, as a stopping criterion. It prints what `tunesmith serve` prints.
"""

from __future__ import annotations

import argparse
import socket
import threading
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import Body, FastAPI
from transformers import AutoModelForCausalLM, AutoTokenizer, StoppingCriteria, StoppingCriteriaList

from tunesmith.models.written import before_loop

app = FastAPI()
_one_at_a_time = threading.Lock()
_held: dict[str, Any] = {}


class _Repeats(StoppingCriteria):
    """Ends an answer that goes on and on with the same words; prompt: tokens before it."""

    def __init__(self, prompt: int) -> None:
        self.prompt = prompt

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.tensor([before_loop(row[self.prompt :].tolist()) is not None for row in input_ids])


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/chat/completions")
def chat(body: dict[str, Any] = Body()) -> dict[str, Any]:  # noqa: B008 - FastAPI's way
    tokenizer, model = _held["tokenizer"], _held["model"]
    given = tokenizer.apply_chat_template(
        body["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    n = given["input_ids"].shape[1]
    with _one_at_a_time, torch.inference_mode():
        out = model.generate(
            **given, do_sample=False, max_new_tokens=_held["tokens"],
            stopping_criteria=StoppingCriteriaList([_Repeats(n)]),
        )  # fmt: skip
    written = out[0, n:].tolist()
    text = tokenizer.decode(written[: before_loop(written)], skip_special_tokens=True)
    return {"choices": [{"message": {"content": text}}], "usage": {"prompt_tokens": n}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("tokens", type=int)
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    _held["tokenizer"] = AutoTokenizer.from_pretrained(asked.folder, local_files_only=True)
    _held["model"] = AutoModelForCausalLM.from_pretrained(asked.folder, local_files_only=True, dtype=torch.float32)
    _held["model"].eval()
    _held["tokens"] = asked.tokens
    sock = socket.socket()
    sock.bind(("127.0.0.1", asked.port))
    sock.listen(128)
    print(f"serving base at http://127.0.0.1:{sock.getsockname()[1]}/v1")
    print("try: it", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[sock])
