"""Writes a model in a form that other programs run, and proves it before anybody can take it for the model.

The folder appears under its name only when a fresh process has answered held rows with it and every bound was met;
until then it is a draft, and a failure leaves nothing behind. Labels, template, calibration, thresholds, licences and
what was measured lie in it beside the weights.
"""

from __future__ import annotations

import gc
import importlib.util
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.checks import require
from tunesmith.core.errors import CheckFailed, ConfigError, MissingExtra, RunError
from tunesmith.core.files import sha256_file, stored_bytes, whole, write_json, write_text
from tunesmith.deploy.exporters import Exporter, Made, Packs
from tunesmith.deploy.exporters import exporter as exporters
from tunesmith.deploy.limits import BY_CLOSENESS, UNBOUNDED, Within
from tunesmith.deploy.notices import licence_of, write_notices
from tunesmith.deploy.readme import readme
from tunesmith.deploy.runtime import ABOUT, SCOPE
from tunesmith.deploy.shipped import Held, Shipped, package_of
from tunesmith.deploy.vendoring import roots_of, vendor
from tunesmith.deploy.verifying import (
    LOGIT_ROWS,
    Compared,
    Replied,
    asked,
    compared,
    installed,
    rounding,
    same_answers,
)
from tunesmith.training.ladder import load_fitted
from tunesmith.training.linear import save_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERIFIED = "verified.json"
# Fewer rows than this say little; a run may have no more.
ROWS = 200
_TIMED = 32
# What of an export may be changed without changing its answers.
_NOT_HASHED = (ABOUT, VERIFIED, "README.md", "requirements.txt", "predict.py")
_SCRIPT = '''"""Answers texts with the model in this folder:  python predict.py "a text"   (--help for more)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from {name} import main  # noqa: E402

if __name__ == "__main__":
    raise SystemExit(main(Path(__file__).parent))
'''


@dataclass(frozen=True)
class Exported:
    """A finished export. size: bytes of the whole folder. timed: milliseconds of single answers on this machine.

    why: why this form, where limits chose it.
    """

    to: str
    quantisation: str
    folder: Path
    size: int
    compared: Compared
    timed: dict[str, float]
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "to": self.to, "quantisation": self.quantisation, "folder": str(self.folder), "size_bytes": self.size,
            "timed": self.timed, **({"why": self.why} if self.why else {}), **self.compared.to_dict(),
        }  # fmt: skip


def export(
    model: Shipped,
    to: str,
    out: Path,
    *,
    quantisation: str | None = None,
    rows: int = ROWS,
    threads: int = 1,
    within: Within = UNBOUNDED,
) -> Exported:
    """Write `model` as `to` into the folder `out`, once it has been verified on `rows` held rows (or all there are).

    within: limits that it must keep to. Raises ConfigError where the system cannot have that form, MissingExtra where
    a library is missing, TooMuch where a limit is passed, CheckFailed where the export does not answer as the original.
    """
    how = exporters.get(to)
    kind = usable(model, how, quantisation)
    _refuse_foreign(out)
    model = settled(model, rows)
    held = model.held
    with whole(out) as draft:
        draft.mkdir()
        emit = model.ctx.emit
        emit("note", text=f"writing {to}{'' if kind == 'none' else f' ({kind})'}")
        made, script = _written(model, how, draft, kind)
        within.allow_size(stored_bytes(draft))
        emit("note", text=f"asking it {len(held)} held rows in a fresh process")
        logits = LOGIT_ROWS if model.writes else 0
        said = asked(script, held.texts, made=made, logits=logits, time=_TIMED, threads=threads, emit=emit)
        within.allow_time(said.timed)
        found = compared(model, held, said, made.bounds, logits=_original_logits(model, held))
        for check in found.checks:
            require(check)
        write_text(draft / "requirements.txt", _requirements(draft, made, said))
        if isinstance(how, Packs):  # what was verified is put into one file, and that is used once more
            emit("note", text="asking the packed file once more")
            wheel = how.pack(model, draft)
            again = installed(wheel, package_of(model), held.texts, made, threads, emit=emit)
            require(same_answers(again, said))
        size = stored_bytes(draft)
        done = Exported(to, kind, out, size, found, said.timed, within.why(size, said.timed))
        write_json(draft / VERIFIED, {**_circumstances(), **done.to_dict(), "folder": out.name})
        write_text(draft / "README.md", readme(model, done, made, package_of(model)))
    return done


def export_within(
    model: Shipped,
    within: Within,
    place: Callable[[str, str], Path],
    *,
    to: str | None = None,
    quantisation: str | None = None,
    rows: int = ROWS,
    threads: int = 1,
) -> Exported:
    """The form nearest to the original that keeps to the limits: each is written and measured until one does.

    place: the folder of a form and its quantisation. to, quantisation: only these. Raises ConfigError, with what was
    measured of each, where none keeps to them.
    """
    forms = BY_CLOSENESS if to is None else [(to, kind) for kind in exporters.get(to).quantisations]
    model = settled(model, rows)
    for name, kind in forms:
        if quantisation is not None and kind != quantisation:
            continue
        try:
            return export(model, name, place(name, kind), quantisation=kind, rows=rows, threads=threads, within=within)
        except (ConfigError, MissingExtra, CheckFailed) as error:
            within = within.after(name, kind, error.message)
    raise within.refusal()


def usable(model: Shipped, how: Exporter, quantisation: str | None) -> str:
    """The quantisation that will be written. Raises ConfigError or MissingExtra where the form cannot be had."""
    refused = how.why_not(model)
    if refused is not None:
        raise ConfigError(f"--to {how.name}: {refused[0]}", hint=refused[1])
    kind = how.quantisations[0] if quantisation is None else quantisation
    if kind not in how.quantisations:
        raise ConfigError(
            f"--quantize {kind}: {how.name} knows {', '.join(how.quantisations)}.", hint="leave --quantize out."
        )
    if how.extra is not None:
        extra, modules = how.extra
        if any(importlib.util.find_spec(name) is None for name in modules):
            raise MissingExtra(f"the export to {how.name}", extra)
    return kind


def forms_for(model: Shipped) -> Iterator[tuple[str, tuple[str, ...], str | None]]:
    """(name, quantisations, why it cannot be had or None) of every form."""
    for name, how in exporters.items():
        refused = how.why_not(model)
        yield name, how.quantisations, None if refused is None else refused[0]


def settled(model: Shipped, rows: int) -> Shipped:
    """The model with at most `rows` held rows, answered by the original in the arithmetic of exports, float32.

    What a base answers in bfloat16 moves with the texts that stand beside a text, so it cannot say whether an export is
    the same model. The rows are asked once more; a check records what that changed. Raises CheckFailed if the answers
    are worse for it.
    """
    held = sample(model.held, rows, seed=model.ctx.seed)
    if model.rounded is None:
        return replace(model, held=held)
    from tunesmith.models.lm import release_memory

    model.ctx.emit("note", text=f"asking the original {len(held)} held rows in float32")
    said = load_fitted(model.name, model.path, model.job, model.ctx).predict(held.texts, model.ctx)
    gc.collect()  # parts of a model hold each other
    release_memory()
    check = rounding(model, held, said)
    require(check)
    return replace(model, held=replace(held, predictions=said), rounded=None, checks=(*model.checks, check))


def sample(held: Held, n: int, *, seed: int) -> Held:
    """At most n of the rows, drawn by the seed, in their order."""
    if len(held) <= n:
        return held
    at = np.sort(np.random.default_rng([seed, 61]).permutation(len(held))[:n])
    return Held(
        tuple(held.texts[int(i)] for i in at), tuple(held.references[int(i)] for i in at), held.predictions.take(at)
    )


def _written(model: Shipped, how: Exporter, draft: Path, kind: str) -> tuple[Made, Path]:
    """Everything but what verifying adds; the script to verify by."""
    name = package_of(model)
    made = how.write(model, draft, kind)
    coarse = not (model.rung.needs == "encoder" and made.holds_base and _has_frozen(draft))
    _write_scope(model.coarse_acceptance if coarse else model.acceptance, draft)
    what = f"Answers with the model of the run {model.run} (system {model.name})."
    vendor(roots_of(model, made.roots), draft / name, what=what)
    write_notices(model, draft)
    base, prompt = model.base, model.job.prompt
    about = {
        "format": 1, "made": how.name, "quantisation": kind, "engine": made.engine, "tunesmith": _version("tunesmith"),
        "run": model.run, "system": model.name, "verdict": model.verdict, "task": model.job.task.name,
        "needs": model.rung.needs, "labels": list(model.job.labels), "inputs": list(model.inputs),
        "prompt": {**asdict(prompt), "labels": list(prompt.labels), "shots": [list(pair) for pair in prompt.shots]},
        "accept_at": model.accept_at, "seed": model.ctx.seed, "holds_base": made.holds_base,
        "base": None if base is None else {"uri": base.uri, "licence": licence_of(base), "note": base.note},
        **made.about,
    }  # fmt: skip
    files = {
        path.relative_to(draft).as_posix(): sha256_file(path)
        for path in sorted(draft.rglob("*"))
        if path.is_file() and path.name not in _NOT_HASHED and path.relative_to(draft).parts[0] != name
    }
    write_json(draft / ABOUT, {**about, "files": files})
    script = draft / "predict.py"
    write_text(script, _SCRIPT.format(name=name))
    return made, script


def _has_frozen(draft: Path) -> bool:
    return (draft / "base" / "encoder").is_dir()


def _write_scope(acceptance: Any, draft: Path) -> None:
    """What answers are held back by: numbers of judged rows, and what texts trained on look like (no text is in it)."""
    arrays: dict[str, NDArray[Any]] = {}
    if acceptance.judged is not None:
        arrays |= {"confidence": acceptance.judged.confidence, "right": acceptance.judged.right.astype(np.uint8)}
    if acceptance.judged is None:
        return
    if acceptance.pairs is not None and acceptance.scope is not None:
        distances, sure = acceptance.pairs
        arrays |= {"distances": distances, **({} if sure is None else {"confidences": sure})}
        acceptance.scope.save(draft)
    save_arrays(draft / SCOPE / "judged.safetensors", arrays)


def _original_logits(model: Shipped, held: Held) -> NDArray[np.float32] | None:
    """The first logits of the original, where it writes with a language model."""
    if not model.writes or model.rung.needs != "lm":
        return None
    from tunesmith.models.lm import release_memory
    from tunesmith.training.systems import system as systems

    fitted: Any = systems.get(model.name).load(model.path, model.job, model.ctx)
    answers = fitted.answers(model.ctx)
    ids = [answers.asker.ask(text, room=answers.lengths.room).ids for text in held.texts[:LOGIT_ROWS]]
    found: NDArray[np.float32] = answers.lm.first_logits(ids)
    answers.lm.let_go()
    release_memory()
    return found


def _requirements(draft: Path, made: Made, said: Replied) -> str:
    """What the fresh process imported of what the sources name, in the versions that it was verified with."""
    from tunesmith.deploy.vendoring import imported_below

    named = imported_below(draft)
    known = packages_distributions()
    wanted = {dist for module in said.modules & named for dist in known.get(module, ())} | set(made.needs)
    lines = [f"{name}=={_version(name).partition('+')[0]}" for name in sorted(wanted, key=str.lower)]
    return "\n".join(lines) + "\n"


def _circumstances() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "0"


def _refuse_foreign(out: Path) -> None:
    """Raise RunError rather than replace what is no export."""
    if out.exists() and not (out / VERIFIED).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists and is no export.", hint="choose another folder with --out.")
