"""Where trials run: one after the other in this process, or side by side on a Ray cluster. The trials are the same.

What a study asks for depends on the trials before it alone, and a generation of trials is asked for at once; who
makes them changes nothing in the result. A cluster of several machines must share the run's folder and the cache of
base models.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from tunesmith.core.context import Context, Limits
from tunesmith.core.errors import MissingExtra, RunError
from tunesmith.core.machine import set_threads
from tunesmith.training.embeddings import embed
from tunesmith.training.systems import system as systems
from tunesmith.training.trials import Ask, Stand, Trial, make

Engine = Literal["local", "ray"]

# Rows and what a trial is asked; Ray would take a third of the memory for it.
_STORE_BYTES = 256 << 20


def make_all(asks: Sequence[Ask], stand: Stand, ctx: Context, *, engine: Engine = "local") -> list[Trial]:
    """The trials asked for, in order. Raises MissingExtra where Ray is wanted and absent."""
    if engine == "local":
        return [make(ask, stand, ctx) for ask in asks]
    return _by_ray(asks, stand, ctx)


def _by_ray(asks: Sequence[Ask], stand: Stand, ctx: Context) -> list[Trial]:
    ray = _connected(ctx.limits.threads)
    remote = ray.remote(num_cpus=ctx.limits.threads, max_retries=1)(_on_a_worker)
    shared = ray.put(replace(stand, folder=stand.folder.resolve()))
    asked = [remote.remote(ask, shared, ctx.limits) for ask in asks]
    made = []
    for ask, reference in zip(asks, asked, strict=True):
        try:
            made.append(ray.get(reference))
        except ray.exceptions.WorkerCrashedError as error:  # killed for its memory, say: a failed trial and no end
            why = f"its process on the cluster ended: {str(error).splitlines()[0][:200]}"
            made.append(Trial(ask.number, ask.role, ask.point, ask.seed, "failed", why=why, of=ask.of))
    return made


def _connected(threads: int) -> Any:
    """The ray module, connected to the cluster of RAY_ADDRESS, or to one of its own on this machine's loopback."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("running trials on a Ray cluster", "ray") from error
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS")
        try:
            if address:
                ray.init(address=address, log_to_driver=False)
            else:
                cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
                ray.init(
                    address="local", include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1",
                    num_cpus=max(threads, cores), object_store_memory=_STORE_BYTES,
                )  # fmt: skip
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RunError(
                f"no Ray cluster at {address or 'this machine'}: {str(error).splitlines()[0]}",
                hint="start one (ray start --head), set RAY_ADDRESS, or leave --engine out.",
            ) from error
    return ray


def _on_a_worker(ask: Ask, stand: Stand, limits: Limits) -> Trial:
    """One trial in a process of the cluster; its files go where a local one's would."""
    if not stand.folder.parent.is_dir():
        raise RunError(
            f"{stand.folder.parent} is not there on a machine of the cluster.",
            hint="put the run on a disk that all of them share (--out).",
        )
    set_threads(limits.threads)
    ctx = Context(Path(stand.folder.parent), ask.seed, limits)
    if systems.get(stand.name).needs == "encoder" and stand.job.encoder is not None:
        # All in one go, as select reads them: what shares a batch moves the last digits of a vector.
        texts = [*stand.train.texts, *stand.dev.texts]
        embed(texts, stand.job.encoder, replace(ctx, workdir=stand.folder / "vectors"), keep=False)
    return make(ask, stand, ctx)
