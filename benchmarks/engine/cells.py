"""The named cells of the table: what each measures, its bar and its aim (issue 3)."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import measure
import report
import rounds
import tasks

Asked = argparse.Namespace
Row = dict[str, Any]
MEMORY_BAR, MEMORY_AIM = 0.8, 0.5
# Rates that either side may choose from, on one seed, by the loss on rows of its own.
RATES = {"lora": (3e-4, 1e-3, 2e-3), "full": (2e-5, 5e-5, 1e-4)}
_EVALUATIONS = 8
# Rows that LoRA and full tuning both learn from, and times that the held-out rows are scored on the way.
_COMPARED = {"b20": (1000, _EVALUATIONS), "sms": (500, 3)}
# What training holds is predicted for: name, method, its options, dtype of the base, --max-memory.
FOOTPRINTS: tuple[tuple[str, str, dict[str, Any], str, int | None], ...] = (
    ("lora", "lora", {}, "float32", None),
    ("lora, 1.3 GB at most", "lora", {}, "float32", 1_300_000_000),
    ("lora, bfloat16 base", "lora", {}, "bfloat16", None),
    ("lora, weight-decomposed", "lora", {"dora": True}, "float32", None),
    ("lora, PiSSA", "lora", {"pissa": True}, "float32", None),
    ("lora, top 8 layers", "lora", {"top_layers": 8}, "float32", None),
    ("ia3", "ia3", {}, "float32", None),
    ("layernorm", "layernorm", {}, "float32", None),
    ("head", "head", {}, "float32", None),
    ("full", "full", {}, "float32", None),
    ("qlora", "qlora", {}, "float32", None),
)
_TOPS = (8, 4, 2)  # layers that trials train
_FULL = "full fine-tuning, same engine"


def _command(asked: Asked, cell: str) -> str:
    return f"python benchmarks/engine/run.py --only {cell} --threads {asked.threads}"


def _on(asked: Asked) -> str:
    return f"{asked.threads} thread{'s' if asked.threads > 1 else ''}"


def step_cell(name: str, *, bar: float, aim: float) -> Callable[[Asked, float], list[Row]]:
    """Time and memory of an optimizer step on a named table."""

    def cell(asked: Asked, began: float) -> list[Row]:
        source = tasks.NAMED[name](asked.shared)
        found = measure.step_times(source, asked, began)
        return step_rows(name, found, asked, bar=bar, aim=aim)

    return cell


def step_rows(name: str, found: Row, asked: Asked, *, bar: float, aim: float) -> list[Row]:
    """The step's time, and the peak memory of the same processes."""
    common = {
        "peer": found["peer"],
        "n": found["n"],
        "seeds": found["rounds"],
        "command": _command(asked, f"step_{name}"),
    }
    time_row = report.row(
        f"step time, {name}, batch {found['batch']}, {_on(asked)}", found["ratio"], bar=bar, unit="x", aim=aim,
        interval=found["ratio_spread"], ours=found["s_per_example"], peer_value=found["peer_s_per_example"],
        details=found, **common,
    )  # fmt: skip
    ratio = found["peak_rss_bytes"] / found["peer_peak_rss_bytes"]
    memory_row = report.row(
        f"peak resident memory, {name}, {_on(asked)}", ratio, bar=MEMORY_BAR, unit="x", higher=False, aim=MEMORY_AIM,
        ours=found["peak_rss_bytes"] / 1e9, peer_value=found["peer_peak_rss_bytes"] / 1e9, **common,
    )  # fmt: skip
    return [time_row, memory_row]


def dpo(asked: Asked, began: float) -> list[Row]:
    """A step of preference pairs whose prompts have 400 tokens."""
    found = measure.pair_times(asked, began, prompt_tokens=400)
    return [
        report.row(
            f"step time, DPO, 400-token prompts, batch {found['batch']}, {_on(asked)}", found["ratio"], bar=2.0,
            unit="x", aim=3.0, interval=found["ratio_spread"], ours=found["s_per_example"], peer=found["peer"],
            peer_value=found["peer_s_per_example"], n=found["n"], seeds=found["rounds"], details=found,
            command=_command(asked, "dpo_400"),
        )
    ]  # fmt: skip


def labels(asked: Asked, began: float) -> list[Row]:
    """Choosing a label against transformers' constrained generate, answers equal; b77, fresh processes in turn."""
    folder = measure.base(asked)
    source, test = tasks.banking(asked.shared), tasks.banking(asked.shared, "test")
    names = sorted(set(source.targets))
    asker = tasks.worded(source, folder, names)
    many = 16 if asked.quick else 48
    work = asked.work / "labels"
    work.mkdir(parents=True, exist_ok=True)
    sides: dict[str, list[Row]] = {"generate": [], "batched": [], "ours": []}
    for round_ in range(1 if asked.quick else asked.rounds or 3):
        at = random.Random(round_).sample(range(len(test)), many)
        told = {
            "prompts": [asker.ask(test.texts[i]).ids for i in at], "prefix": asker.prefix,
            "labels": [asker.template.answer_ids(name) for name in names],
        }  # fmt: skip
        (work / "asked.json").write_text(json.dumps(told))
        for side, results in sides.items():
            job = {
                "side": side, "model": str(folder), "asked": str(work / "asked.json"), "threads": asked.threads,
                "batch": asked.batch, "pin": asked.threads if asked.pin else 0,
            }  # fmt: skip
            results.append(rounds.fresh("choosing.py", sys.executable, job, work))
    clock = _clock([r for results in sides.values() for r in results], asked)
    seconds = {side: statistics.median(r[clock] for r in results) for side, results in sides.items()}
    peer = min(("generate", "batched"), key=lambda side: seconds[side])
    both = list(zip(sides["ours"], sides["generate"], strict=True))
    equal = sum(a == b for mine, theirs in both for a, b in zip(mine["chosen"], theirs["chosen"], strict=True))
    n = sum(r["examples"] for r in sides["ours"])
    ratios = sorted(theirs[clock] / mine[clock] for mine, theirs in zip(sides["ours"], sides[peer], strict=True))
    return [
        report.row(
            f"label choice, b77, {_on(asked)}", statistics.median(ratios) if equal == n else 1.0, bar=8.0, unit="x",
            aim=20.0, interval=[ratios[0], ratios[-1]], ours=seconds["ours"], peer=f"transformers generate, {peer}",
            peer_value=seconds[peer], n=n, seeds=len(ratios), equal=f"{equal} of {n}", seconds=seconds, clock=clock,
            command=_command(asked, "labels"),
        )
    ]  # fmt: skip


def _clock(results: Sequence[Row], asked: Asked) -> str:
    """CPU seconds where other programs had the cores, else wall seconds."""
    busy = rounds.wall_over_cpu(results, (), asked.threads)
    return "s_per_example" if busy <= rounds.BUSY else "cpu_s_per_example"


def trials(asked: Asked, began: float) -> list[Row]:
    """Ten tuning trials of the top k layers with the trunk stored; beside the same adapters without it, and all layers.

    A trial's work does not depend on its rate: of what stores nothing three of the ten are run, and count for ten.
    """
    source = tasks.banking(asked.shared, intents=20)
    rows, many = (64, 3) if asked.quick else (400, 10)
    made = _prepared(source, source, asked, rows=rows, held_rows=100)
    rates = [10 ** (-3.7 + 0.12 * i) for i in range(many)]
    some = rates[:: max(1, many // 3)][-3:]

    def run(top: int | None, *, cached: bool) -> Row:
        job = {**made["job"], "held": str(made["files"]["dev"]), "rates": rates if cached else some, "top": top,
               "cached": cached, "epochs": 1}  # fmt: skip
        with tempfile.TemporaryDirectory() as empty:  # so that the trunk has to be made
            found = rounds.fresh("trials.py", sys.executable, job, made["work"], cache=empty)
        return {**found, "losses": {t["rate"]: t["loss"] for t in found["trials"]}}

    whole = run(None, cached=False)
    both = {top: (run(top, cached=True), run(top, cached=False)) for top in _TOPS[: 1 if asked.quick else None]}
    busy = max(r["wall_s"] * asked.threads / r["cpu_s"] for pair in both.values() for r in (*pair, whole))
    clock = "wall_s" if busy <= rounds.BUSY else "cpu_s"
    told = []
    for top, (cached, anew) in both.items():
        mine, other, all_layers = (found[clock] * many / len(found["trials"]) for found in (cached, anew, whole))
        told.append(
            report.row(
                f"{many} tuning trials, top {top} layers, b20, {_on(asked)}", other / mine, bar=3.0, aim=8.0, unit="x",
                ours=mine, peer="the same without stored activations", peer_value=other, n=made["n"], clock=clock,
                largest_loss_difference=max(abs(cached["losses"][rate] - anew["losses"][rate]) for rate in some),
                trunk_bytes=cached["stored_bytes"], best_loss=min(cached["losses"].values()),
                best_loss_of_some=min(cached["losses"][rate] for rate in some), against_all_layers=all_layers / mine,
                all_layers_s=all_layers, all_layers_best_loss_of_some=min(whole["losses"].values()),
                command=_command(asked, "trials"),
            )
        )  # fmt: skip
    return told


def memory(asked: Asked, began: float) -> list[Row]:
    """The worst of the tables whose steps were measured; nothing is measured here."""
    rows = [r for r in report.read() if r["measure"].startswith("peak resident memory, ") and r.get("cell") != "memory"]
    if not rows:
        sys.exit("memory is read off the step cells: measure those first.")
    worst = max(rows, key=lambda r: r["value"])
    return [
        report.row(
            f"peak resident memory, worst of {len(rows)}", worst["value"], bar=MEMORY_BAR, unit="x", higher=False,
            aim=MEMORY_AIM, ours=worst["ours"], peer=worst["peer"], peer_value=worst["peer_value"], n=len(rows),
            command=_command(asked, "memory"), worst=worst["measure"],
        )
    ]  # fmt: skip


def predicted_memory(asked: Asked, began: float) -> list[Row]:
    """Predicted beside measured peaks, method by method; one of them with a limit that only recomputing can keep."""
    made = _prepared(tasks.banking(asked.shared, intents=20), tasks.banking(asked.shared, intents=20), asked,
                     rows=64, held_rows=8)  # fmt: skip
    rows = []
    for name, how, settings, dtype, limit in FOOTPRINTS[: 2 if asked.quick else None]:
        job = {**made["job"], "method": how, "settings": {"rank": 16, **settings}, "dtype": dtype, "limit": limit,
               "steps": 3}  # fmt: skip
        found = rounds.fresh("footprints.py", sys.executable, job, made["work"])
        off = found["measured"] / found["predicted"]["total"] - 1.0
        rows.append(
            report.row(
                f"predicted peak memory, {name}", abs(off), bar=0.15, unit="", higher=False,
                ours=found["measured"] / 1e9, peer="predicted", peer_value=found["predicted"]["total"] / 1e9, off=off,
                n=3 * asked.batch, details=found, command=_command(asked, "predicted_memory"),
            )
        )  # fmt: skip
        print(f"{name}: {off:+.1%}", file=sys.stderr, flush=True)
    return rows


def flops(asked: Asked, began: float) -> list[Row]:
    """Which share of the machine's quickest product the useful arithmetic of a step reaches, on both sides."""
    steps = [r for r in report.read() if r["measure"].startswith("step time, ") and r.get("threads") == asked.threads]
    if not steps:
        sys.exit("flops are read off the step cells: measure those first, with as many threads.")
    job = {"threads": asked.threads, "pin": asked.threads if asked.pin else 0}
    peaks = rounds.fresh("gemm.py", sys.executable, job, asked.work / "gemm")
    made = []
    for step in steps:
        found = step["details"]
        key, clock = ("flop_per_s", "wall") if found["clock"] == "wall" else ("flop_per_cpu_s", "cpu")
        dtype = max(("float32", "bfloat16"), key=lambda name: peaks[name][key])
        useful = found["useful_gflop_per_example"] * 1e9
        ours, peer = (
            useful / seconds / peaks[dtype][key] for seconds in (step["ours"], step["peer_value"])
        )  # of the same useful arithmetic
        made.append(
            report.row(
                step["measure"].replace("step time", "share of the GEMM peak"), ours, bar=None, unit="", ours=ours,
                peer=step["peer"], peer_value=peer, n=found["n"], command=_command(asked, "flops"), clock=clock,
                peak_dtype=dtype, peaks=peaks, useful_gflop_per_example=found["useful_gflop_per_example"],
            )
        )  # fmt: skip
    return made


def _prepared(source: tasks.Source, held: tasks.Source, asked: Asked, *, rows: int, held_rows: int) -> Row:
    """Files of train, dev and held-out rows, and what every process is told. dev: rows that rates are chosen on."""
    folder = measure.base(asked)
    labels = tuple(sorted(set(source.targets))) if source.task == "classify" else ()
    draw = random.Random(asked.seed)
    at = draw.sample(range(len(source)), min(len(source), rows + held_rows // 2))
    parts = {
        "train": source.take(at[:rows]), "dev": source.take(at[rows:]),
        "held": held.take(draw.sample(range(len(held)), min(len(held), held_rows))),
    }  # fmt: skip
    work = asked.work / f"learn-{source.name}"
    files = {}
    for part, some in parts.items():
        data, asker = tasks.encoded(some, folder, labels)
        files[part] = work / f"{part}.json"
        tasks.store(files[part], data, asker)
    return {
        "folder": folder, "work": work, "files": files, "n": len(parts["train"]), "n_held": len(parts["held"]),
        "job": {
            "model": str(folder), "rows": str(files["train"]), "held": str(files["held"]), "batch": asked.batch,
            "threads": asked.threads, "pin": asked.threads if asked.pin else 0, "rank": 16, "dtype": "",
            "evaluate": _EVALUATIONS, "method": "lora", "objective": "answers",
        },
    }  # fmt: skip


def _kept(path: Path, make: Callable[[], Row]) -> Row:
    """A result that is there already, else a new one, written as it ends."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make()))
    found: Row = json.loads(path.read_text())
    return found


def _learned(made: Row, *, held: str = "held", **more: Any) -> Row:
    """One whole training of ours."""
    job = {**made["job"], "held": str(made["files"][held]), **more}
    top = "" if job.get("top") is None else f"-top{job['top']}"
    name = f"ours-{job['method']}-{job['rate']:g}-{job['epochs']:g}ep-{job['seed']}{top}-{held}-{job['threads']}.json"

    def make() -> Row:
        with tempfile.TemporaryDirectory() as empty:  # what the lower layers give is made anew each time
            return rounds.fresh("learn.py", sys.executable, job, made["work"], cache=empty)

    return _kept(made["work"] / name, make)


def _taught(made: Row, asked: Asked, *, rate: float, epochs: float, variant: str) -> Row:
    """One whole training of the peer, then scored by our code: {"seconds", "dev", "held"}."""
    from tunesmith.training.batches import sample, steps_per_epoch

    adapter = made["work"] / f"peer-{rate:g}"
    steps = round(epochs * steps_per_epoch(made["n"], asked.batch))
    order = [sample(made["n"], size=asked.batch, seed=0, step=step).tolist() for step in range(steps)]
    job = {
        **made["job"], "steps": order, "warmup": 0, "measured": steps, "budget_s": float("inf"), "rate": rate,
        "give_up_s": float("inf"), "until": float("inf"), "seed": 0, "whole": True, "save": str(adapter),
        "variant": asdict(rounds.VARIANTS[variant]), "out": str(made["work"] / "peer-out"),
    }  # fmt: skip

    def make() -> Row:
        found = rounds.fresh("peer.py", asked.peer_python, job, made["work"])
        scores = {}
        for part in ("dev", "held"):
            scored = {**made["job"], "adapter": str(adapter), "held": str(made["files"][part])}
            scores[part] = rounds.fresh("learn.py", sys.executable, scored, made["work"])["points"][0]
        return {"wall_s": sum(found["step_wall_s"]), "cpu_s": sum(found["step_cpu_s"]), **scores}

    return _kept(made["work"] / f"peer-{rate:g}-{asked.threads}.json", make)


# How often the peer's passes ours may take, shortest first, and the shares of the layers that may learn.
_SCHEDULES = (1.0, 1.25, 1.5, 2.0)
_DEPTHS = (1.0, 0.5, 0.25)
# The score that decides, and those that stand beside it.
_SCORES = {"b20": ("exact_match", "loss"), "mts": ("loss",)}


def time_to_score(name: str) -> Callable[[Asked, float], list[Row]]:
    """Seconds of training until ours is as good on held-out rows as the peer is in the end.

    The peer tries three rates on one seed and keeps the one with the least dev loss. Ours takes that rate, and of a few
    depths and schedules the one that is soonest as good on dev as the peer is in the end, or the best. b20: exact match
    of greedy answers, and beside it the loss; mts: loss per answer token. Scoring is not on the clock, which is the
    wall's, or the CPU's where other programs were busy.
    """
    rows, held_rows, epochs = {"b20": (1000, 400, 1.0), "mts": (200, 100, 2.0)}[name]

    def cell(asked: Asked, began: float) -> list[Row]:
        if name == "b20":
            source, held = tasks.banking(asked.shared, intents=20), tasks.banking(asked.shared, "test", intents=20)
        else:
            source, held = tasks.dialogues(asked.shared), tasks.dialogues(asked.shared, "test")
        made = _prepared(source, held, asked, rows=rows, held_rows=held_rows)
        variant = _best_variant(name)
        peers = {rate: _taught(made, asked, rate=rate, epochs=epochs, variant=variant) for rate in RATES["lora"]}
        peer_rate = min(peers, key=lambda rate: peers[rate]["dev"]["loss"])
        peer = peers[peer_rate]
        trials: list[Row] = []
        for share in _DEPTHS:
            trials += _tried(made, share, epochs, peer_rate, peer["dev"], _SCORES[name], trials[:1])
        good = [way for way in trials if way["good"]]
        way = min(good, key=lambda w: w["cpu_s"]) if good else min(trials, key=lambda w: w["loss"])
        ours = _learned(made, **way["trial"])
        points = ours["points"]
        clock = "wall" if all(run["cpu_s"] >= 0.95 * run["wall_s"] for run in (peer, points[-1])) else "cpu"
        common = {
            "peer": f"TRL, {variant}, rate {peer_rate:g}", "n": made["n_held"], "clock": clock,
            "command": _command(asked, f"time_to_score_{name}"),
            "peer_score": {k: peer["held"][k] for k in ("loss", "exact_match")}, "peer_cpu_s": peer["cpu_s"],
            "points": [{k: v for k, v in p.items() if k != "right"} for p in points], "rate": peer_rate,
            "passes": way["trial"]["epochs"], "top_layers": way["trial"]["top"], "peer_passes": epochs,
            "trials": [{k: v for k, v in way.items() if k != "points"} for way in trials],
        }  # fmt: skip
        made_rows = []
        for score in _SCORES[name]:
            there = next((p for p in points if _as_good(p, peer["held"], score)), None)
            measure_name = f"time to the peer's final {score.replace('_', ' ')}, {name}, {rows} rows, {_on(asked)}"
            main = {"bar": 5.0, "aim": 12.0} if score == _SCORES[name][0] else {"bar": None}
            took = peer[f"{clock}_s"]
            reached = {} if there is None else {
                "ours": there[f"{clock}_s"], "ratio_cpu": peer["cpu_s"] / there["cpu_s"],
                "ratio_wall": peer["wall_s"] / there["wall_s"], "reached_at_step": there["step"],
            }  # fmt: skip
            value = took / reached["ours"] if reached else 0.0
            made_rows.append(report.row(measure_name, value, unit="x", peer_value=took, **main, **reached, **common))
        return made_rows

    return cell


def time_to_score_mean(asked: Asked, began: float) -> list[Row]:
    """Geometric mean over the tables; nothing is measured here."""
    rows = [r for r in report.read() if r["measure"].startswith("time to the peer's final ") and r["bar"] is not None]
    rows = [r for r in rows if r.get("threads") == asked.threads and r.get("cell") != "time_to_score"]
    if len(rows) < 2:
        sys.exit("time_to_score is the mean of time_to_score_b20 and time_to_score_mts: measure those first.")
    mean = 1.0
    for r in rows:
        mean *= r["value"] ** (1 / len(rows))
    return [
        report.row(
            f"time to the peer's final score, geometric mean, {_on(asked)}", mean, bar=5.0, aim=12.0, unit="x",
            n=len(rows), peer="TRL", command=_command(asked, "time_to_score"),
        )
    ]  # fmt: skip


def _tried(
    made: Row, share: float, epochs: float, rate: float, peer: Row, scores: Sequence[str], whole: Sequence[Row]
) -> list[Row]:
    """Trainings of a share of the layers, judged on dev: longer ones until one is as good as the peer, or overfits.

    whole: the first training of all layers. A depth that ends no better than that was in the same time is left.
    """
    layers = json.loads((made["folder"] / "config.json").read_text())["num_hidden_layers"]
    tried: list[Row] = []
    for times in _SCHEDULES:
        trial = {
            "rate": rate, "epochs": times * epochs, "seed": 0, "method": "lora",
            "top": None if share == 1.0 else round(share * layers),
        }  # fmt: skip
        points = [{k: p[k] for k in ("loss", "exact_match", "cpu_s", "wall_s")}
                  for p in _learned(made, held="dev", **trial)["points"]]  # fmt: skip
        end = points[-1]
        good = all(_as_good(end, peer, score) for score in scores)
        tried.append({"trial": trial, "good": good, **end, "points": points})
        there = [p["loss"] for one in whole for p in one["points"] if p["cpu_s"] <= end["cpu_s"]]
        overfits = end["loss"] > min(one["loss"] for one in tried)
        if good or overfits or (there and end["loss"] >= there[-1]):
            break
    return tried


def _best_variant(name: str) -> str:
    """What the step cell of the table found to be the peer's quickest."""
    for r in report.read():
        if r.get("cell") == f"step_{name}" and r["measure"].startswith("step time"):
            return min(r["details"]["peer_variants"], key=lambda v: r["details"]["peer_variants"][v])
    sys.exit(f"the peer's best variant is known from step_{name}: measure that first.")


def _as_good(ours: Row, peer: Row, score: str) -> bool:
    return bool(ours["loss"] <= peer["loss"] if score == "loss" else ours[score] >= peer[score])


def peft_vs_full(asked: Asked, began: float) -> list[Row]:
    """LoRA against full fine-tuning, two tables, three seeds: quality, and what equal quality costs axis by axis."""
    made_rows: list[Row] = []
    sets = {
        "b20": (tasks.banking(asked.shared, intents=20), tasks.banking(asked.shared, "test", intents=20)),
        "sms": (tasks.messages(asked.shared), tasks.messages(asked.shared, "test")),
    }
    for name, (source, held) in sets.items():
        rows, times = _COMPARED[name]
        made = _prepared(source, held, asked, rows=rows, held_rows=400)
        runs: dict[str, list[Row]] = {}
        rates: dict[str, float] = {}
        for method, options in RATES.items():
            trial = {"epochs": 1.0, "method": method}
            tried = {r: _learned(made, held="dev", rate=r, seed=0, evaluate=1, **trial) for r in options}
            dev = {rate: run["points"][-1]["loss"] for rate, run in tried.items()}
            rates[method] = min(dev, key=lambda rate: dev[rate])
            runs[method] = [_learned(made, rate=rates[method], seed=seed, evaluate=times, **trial) for seed in range(3)]
        made_rows += _quality_rows(name, runs, rates, asked, n=made["n_held"])
    return made_rows


def _quality_rows(name: str, runs: dict[str, list[Row]], rates: dict[str, float], asked: Asked, *, n: int) -> list[Row]:
    """Difference in exact match (paired over rows, mean of seeds), and the cost to full tuning's score less 1 point."""
    import numpy as np

    right = {m: np.array([run["points"][-1]["right"] for run in some], dtype=float) for m, some in runs.items()}
    gap = (right["lora"] - right["full"]).mean(axis=0)  # per row
    draw = np.random.default_rng(0)
    means = np.array([gap[draw.integers(0, len(gap), len(gap))].mean() for _ in range(4000)])
    low, high = (float(q) for q in np.quantile(means, [0.025, 0.975]))
    target = float(right["full"].mean()) - 0.01
    command = _command(asked, "peft_vs_full")
    scores = {m: [run["points"][-1]["exact_match"] for run in some] for m, some in runs.items()}
    rows = [
        report.row(
            f"LoRA less full tuning, {name}, exact match", round(float(gap.mean()), 9) + 0.0, bar=None, unit="",
            interval=[low, high], ours=float(right["lora"].mean()), peer=_FULL,
            peer_value=float(right["full"].mean()), n=n, seeds=3, command=command,
            not_inferior_by_1_point=low >= -0.01, rates=rates, scores=scores,
        )
    ]  # fmt: skip
    axes: dict[str, Callable[[Row], float | None]] = {
        "CPU-seconds to equal quality": lambda run: _cpu_to(run["points"], target),
        "peak memory, bytes": lambda run: run["peak_rss_bytes"],
        "optimizer state, bytes": lambda run: run["optimizer_bytes"],
        "stored, bytes": lambda run: run["stored_bytes"],
    }
    for axis, read in axes.items():
        found = {m: [read(run) for run in some] for m, some in runs.items()}
        reached = {m: [v for v in values if v is not None] for m, values in found.items()}
        whole = all(len(reached[m]) == len(found[m]) for m in found)
        mean = {m: float(np.mean(values)) if values else None for m, values in reached.items()}
        saved = 1 - mean["lora"] / mean["full"] if whole and mean["lora"] is not None and mean["full"] else None
        rows.append(
            report.row(
                f"saved by LoRA, {name}: {axis}", saved, bar=None, unit="of full", ours=mean["lora"],
                peer=_FULL, peer_value=mean["full"], n=n, seeds=3, command=command, target=target, per_seed=found,
            )
        )  # fmt: skip
    return rows


def _cpu_to(points: Sequence[Row], target: float) -> float | None:
    """CPU seconds of training at the first point that reaches the score; None if none does."""
    return next((float(p["cpu_s"]) for p in points if p["exact_match"] >= target), None)


CELLS: dict[str, Callable[[Asked, float], list[Row]]] = {
    "step_b20": step_cell("b20", bar=5.0, aim=10.0),
    "step_b77": step_cell("b77", bar=5.0, aim=15.0),
    "step_mts": step_cell("mts", bar=1.8, aim=4.0),
    "step_sms": step_cell("sms", bar=2.0, aim=5.0),
    "dpo_400": dpo,
    "labels": labels,
    "trials": trials,
    "memory": memory,
    "predicted_memory": predicted_memory,
    "flops": flops,
    "peft_vs_full": peft_vs_full,
    "time_to_score_b20": time_to_score("b20"),
    "time_to_score_mts": time_to_score("mts"),
    "time_to_score": time_to_score_mean,
}
# Cells that need no peer's environment.
WITHOUT_PEER = frozenset(("labels", "trials", "memory", "predicted_memory", "flops", "peft_vs_full", "time_to_score"))
