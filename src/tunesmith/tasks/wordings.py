"""Other ways of wording a task's instruction, for trials that find out whether the wording matters."""

from __future__ import annotations

from tunesmith.tasks import Prompt

PLAIN = "plain"
_IN_ONE_LINE = 8


def wordings(prompt: Prompt) -> dict[str, str]:
    """Instructions by name, "plain" (the task's own) first. All of them name the labels or carry the schema, if any."""
    made = {
        PLAIN: prompt.instruction,
        "careful": f"Take your time and read everything first.\n{prompt.instruction}",
        "strict": f"{prompt.instruction}\nGive the answer alone: no introduction, no remarks.",
    }
    if prompt.labels:
        short = len(prompt.labels) <= _IN_ONE_LINE
        made["terse"] = f"One of: {', '.join(prompt.labels)}" if short else "One of:\n" + "\n".join(prompt.labels)
    return made
