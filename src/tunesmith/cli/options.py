"""Options that several commands share, and the keys of the config that they set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tunesmith.core.errors import ConfigError

Out = Annotated[Path | None, typer.Option("--out", help="run folder (default: runs/<name>-<mark>)")]
Json = Annotated[bool, typer.Option("--json", help="machine-readable result on stdout")]
Target = Annotated[list[str] | None, typer.Option(help="column with the answer (repeat to extract several fields)")]
Input = Annotated[list[str] | None, typer.Option("--input", help="input column (repeat for several)")]
TaskName = Annotated[str | None, typer.Option("--task", help="what is learned (tunesmith list tasks)")]
Schema = Annotated[Path | None, typer.Option(help="JSON Schema of the answers, for extract")]
Test = Annotated[Path | None, typer.Option(help="ready-made test file")]
Dev = Annotated[Path | None, typer.Option(help="ready-made dev file")]
Documents = Annotated[
    list[Path] | None, typer.Option("--documents", help="answer from these files and folders (repeat for several)")
]
Domain = Annotated[
    list[Path] | None,
    typer.Option("--domain", help="documents that the language model reads before it is tuned (repeat for several)"),
]
Group = Annotated[str | None, typer.Option(help="column whose equal values stay on one side of the split")]
Tests = Annotated[str | None, typer.Option(help="column with tests that judge code; 'none' for none")]
Database = Annotated[Path | None, typer.Option(help="SQLite file or script that queries are judged on")]
Time = Annotated[str | None, typer.Option(help="column to split by time: test is the latest")]
KeepLeaks = Annotated[bool, typer.Option("--keep-leaks", help="keep train rows that copy test rows")]
Budget = Annotated[str | None, typer.Option(help="wall time from command to report, such as 10m")]
Seed = Annotated[int | None, typer.Option(help="seed of every random choice")]
Threads = Annotated[int | None, typer.Option(help="threads (default: the free cores)")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or mps; for plan --base: its memory, such as 24GB")]
MaxMemory = Annotated[str | None, typer.Option(help="memory that the process may hold, such as 2GB")]
Encoder = Annotated[str | None, typer.Option(help="encoder: catalogue name, hub id, folder, or none")]
Lm = Annotated[str | None, typer.Option(help="language model: catalogue name, hub id, folder, or none")]
Only = Annotated[list[str] | None, typer.Option("--only", help="consider only this rung (repeat for several)")]
MaxLatency = Annotated[str | None, typer.Option(help="longest wait for one answer, such as 40ms")]
Licence = Annotated[str | None, typer.Option(help="of base models: permissive, or names: apache-2.0,mit")]
Languages = Annotated[str | None, typer.Option(help="that base models must know: en,fr")]
Prefer = Annotated[str | None, typer.Option(help="best, or cheap: the cheapest within one standard error")]
Tune = Annotated[str | None, typer.Option("--tune", help="time for trials of other settings, such as 5m, or none")]
Engine = Annotated[str | None, typer.Option(help="where trials run: local, or ray (a cluster; extra ray)")]
Set = Annotated[list[str] | None, typer.Option("--set", help="any option of the config: model.worth=0.5")]
AcceptAt = Annotated[
    float | None,
    typer.Option("--accept-at", help="share of given answers that is to be right, such as 0.98; the rest to a person"),
]
Wage = Annotated[float | None, typer.Option(help="money for an hour of a person's time, for the cost ledger")]
ForgetAtMost = Annotated[
    float | None, typer.Option("--forget-at-most", help="points that a tuned language model may lose elsewhere: 1.0")
]
Probe = Annotated[
    Path | None, typer.Option("--probe", help="what a tuned model should still know: texts, or questions and answers")
]
Debug = Annotated[bool, typer.Option("--debug", help="show tracebacks")]
Source = Annotated[str, typer.Argument(help="file, folder, config.yaml or run folder", show_default=False)]


def options_of(given: dict[str, Any]) -> dict[str, Any]:
    """The keys of the config that a command line names; left out what is unset, or no option of the command."""
    names = ("task", "schema", "test", "dev", "group", "time", "tests", "database", "budget", "seed", "threads",
             "device", "max_memory")  # fmt: skip
    options: dict[str, Any] = {name: given[name] for name in names if given.get(name) is not None}
    for name in ("schema", "test", "dev", "database"):
        if name in options:
            options[name] = str(options[name])
    if given.get("target"):
        options["target"] = ",".join(given["target"])
    if given.get("input_"):
        options["inputs"] = list(given["input_"])
    if given.get("documents"):
        options["documents"] = [str(path) for path in given["documents"]]
    if given.get("domain"):
        options["domain"] = {"path": [str(path) for path in given["domain"]]}
    if given.get("keep_leaks"):
        options["keep_leaks"] = True
    model = {name: given[name] for name in ("encoder", "lm", "prefer", "max_latency") if given.get(name) is not None}
    if given.get("languages"):
        model["languages"] = _listed(given["languages"])
    if given.get("licence"):
        one = given["licence"]
        model["licence"] = one if one in ("any", "permissive") else _listed(one)
    if given.get("only"):
        model["only"] = list(given["only"])
    if model:
        options["model"] = model
    if given.get("tune") is not None:
        options["tune"] = {"fits": 0.0} if given["tune"] == "none" else {"budget": given["tune"]}
    if given.get("engine") is not None:
        options.setdefault("tune", {})["engine"] = given["engine"]
    if given.get("accept_at") is not None:
        options.setdefault("evaluate", {})["accept_at"] = given["accept_at"]
    if given.get("wage") is not None:
        options["cost"] = {"wage": given["wage"]}
    forget = {"at_most": given.get("forget_at_most"), "probe": None if (p := given.get("probe")) is None else str(p)}
    if kept := {name: value for name, value in forget.items() if value is not None}:
        options.setdefault("train", {})["forget"] = kept
    for pair in given.get("set_") or []:
        _set(options, pair)
    return options


def _listed(words: str) -> list[str]:
    """What commas separate."""
    return [word.strip() for word in words.split(",") if word.strip()]


def _set(options: dict[str, Any], pair: str) -> None:
    import yaml

    key, equals, text = pair.partition("=")
    *tables, name = key.split(".")
    if not equals:
        raise ConfigError(f"--set {pair}: expected table.option=value.", hint="for example --set model.worth=0.5")
    value = yaml.safe_load(text)
    for table in tables:
        options = options.setdefault(table, {})
        if not isinstance(options, dict):
            raise ConfigError(f"--set {pair}: '{table}' is an option, not a table of them.")
    options[name] = value
