"""The page in an export's folder: what it is, how to use it, and what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.core.files import read_json
from tunesmith.deploy.exporters import Made
from tunesmith.deploy.notices import licence_of
from tunesmith.deploy.shipped import Shipped

if TYPE_CHECKING:
    from tunesmith.deploy.export import Exported


def readme(model: Shipped, done: Exported, made: Made, package: str) -> str:
    """Markdown. It holds no text of the data."""
    c = done.compared
    form = done.to if done.quantisation == "none" else f"{done.to}, {done.quantisation}"
    base = model.base
    script = " ".join(["python predict.py", *(["--base FOLDER"] if not made.holds_base else []), '"a text"'])
    where = 'Predictor("FOLDER")' if made.holds_base else 'Predictor("FOLDER", base="BASE")'
    several = "" if len(model.inputs) < 2 else _SEVERAL.format(first=model.inputs[0], second=model.inputs[1])
    labels = ", ".join(model.job.labels[:20]) + (" …" if len(model.job.labels) > 20 else "")
    gap = "none stated" if c.logits is None else f"largest {c.logits[0]:.2g}, mean {c.logits[1]:.2g} (n = {c.logits_n})"
    time = done.timed
    told = "not measured"
    if time:
        told = f"{time['cpu_ms_p50']:.1f} ms of one core (95 %: {time['cpu_ms_p95']:.1f} ms)"
        told += f", {time['wall_ms_p50']:.1f} ms by the clock"
    lines = [
        f"# {model.run} ({form})",
        "",
        f"Task `{model.job.task.name}`, system `{model.name}`. {model.verdict}",
        *([f"Labels: {labels}", ""] if labels else [""]),
        *([f"Chosen form: {done.why}", ""] if done.why else []),
        "```",
        "pip install -r requirements.txt",
        script,
        "```",
        "",
        "```python",
        f"from {package} import Predictor   # with this folder on sys.path",
        "",
        f"model = {where}",
        'for answer in model.answer(["a text", "another"]):',
        "    print(answer.value, answer.confidence, answer.accepted, answer.why_not)",
        "```",
        "",
        *([several, ""] if several else []),
        *([made.usage.strip(), ""] if made.usage else []),
        "Confidence is calibrated. `accept_at=0.95` holds back answers so that, of those accepted, 95 % are right",
        "(where the run has rows enough to promise that); texts unlike those trained on are held back as well.",
        "",
        "## Verified",
        "",
        f"In a fresh process without Tunesmith, on {c.n} held rows (`verified.json` has every number and bound):",
        "",
        "| | |",
        "|---|---|",
        f"| answers equal to the original's | {c.agreement:.1%} ({c.agreement_interval[0]:.1%} to "
        f"{c.agreement_interval[1]:.1%}) |",
        f"| {c.metric} | {c.score:.3f}, original {c.original_score:.3f} (difference {c.difference:+.4f}, "
        f"{c.interval[0]:+.4f} to {c.interval[1]:+.4f}) |",
        f"| difference of logits | {gap} |",
        *(f"| {check.name} | {check.value} |" for check in model.checks),
        f"| size | {done.size / 1e6:,.1f} MB |",
        f"| one answer, one thread, median | {told} |",
        "",
        "## Licences",
        "",
        f"See `NOTICE`. Base model: {'none' if base is None else f'{base.id}, {licence_of(base)}'}.{_documents(model)}",
    ]
    return "\n".join(lines) + "\n"


def _documents(model: Shipped) -> str:
    """What the base read before it was tuned; "" for nothing."""
    about = model.path / "system.json"
    read = read_json(about).get("domain") if about.exists() else None
    if not read:
        return ""
    told = ""
    if "before" in read:
        told = (
            f" ({read['documents']:,} of them; {read['before']:.4f} bits per byte before and {read['after']:.4f} "
            f"after, on {read['held_out']:,} others)"
        )
    return f" It read documents of its owner before it was tuned{told}."


_SEVERAL = """A text is made of several columns, as in training: each under its name, in order:

```
{first}: ...
{second}: ...
```"""
