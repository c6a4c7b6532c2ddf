"""Base x method x size before the ladder: the tuned rungs' variants compete, one is trained whole.

What came of it is an event and contest.json: every reading, what was expected of each with its interval, and why the
others were left. Decided once: a reading that is on disk is not made again.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import write_json
from tunesmith.models.resolve import resolve
from tunesmith.training.halving import Halving, halve
from tunesmith.training.systems import Job, RungPlan
from tunesmith.training.systems import system as systems
from tunesmith.training.variants import Comparison, variants

if TYPE_CHECKING:
    from tunesmith.training.select import SelectOptions

SHARES = (1 / 16, 1 / 4)


def hold(
    plans: Sequence[RungPlan], train: Rows, dev: Rows, base: Job, options: SelectOptions, ctx: Context
) -> tuple[tuple[RungPlan, ...], Job]:
    """The plans with one tuned rung left to run, and the job with the winner's options and base.

    With fewer than two variants nothing is compared.
    """
    names = [plan.name for plan in plans if plan.run and systems.get(plan.name).kind == "tuned"]
    lms = [spec for spec in (base.lm, *(resolve(name, "lm") for name in options.others)) if spec is not None]
    ways = variants(base.task.output, names, lms=lms)
    if len(ways) < 2:
        return tuple(plans), base
    comparison = Comparison(ways, train, dev, base, replace(ctx, workdir=ctx.workdir / "contest"))
    found = halve(
        [way.name for way in ways], comparison.read, shares=SHARES, limit=options.compare, kinds=comparison.kinds
    )
    shutil.rmtree(comparison.ctx.workdir, ignore_errors=True)
    why = told(found)
    write_json(ctx.workdir / "contest.json", {**asdict(found), "why": why})
    ctx.emit("decision", what="model.compare", choice=found.best, why=why)
    won = comparison.ways[found.best]
    competed = {way.system for way in ways}
    kept = tuple(
        replace(plan, run=False, why=f"{found.best} won in short runs: {why}")
        if plan.run and plan.name in competed and plan.name != won.system
        else plan
        for plan in plans
    )
    return kept, replace(base, lm=won.lm or base.lm, options={**base.options, **won.options})


def told(found: Halving) -> str:
    """Why the best is the default, in a sentence."""
    best = found.outlooks[0]
    sure = f"{100 * best.value:.1f} expected ({100 * best.low:.1f} to {100 * best.high:.1f})"
    level = f"; indistinguishable by what was seen: {', '.join(found.level)}" if found.level else ""
    share = 100 * found.spent / max(found.whole, 1e-9)
    unread = sum(why.startswith("not begun") for why in found.left.values())
    ways = f"{len(found.outlooks)} ways" + (f" ({unread} more were not begun)" if unread else "")
    return f"{sure} of {ways}, for {share:.0f} % of the cost of all{level}"
