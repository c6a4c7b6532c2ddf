"""The adapter alone, in PEFT's layout, as servers of many adapters on one base load it (vLLM, LoRAX)."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.files import read_json, write_json
from tunesmith.deploy.exporters import EXACT, Made, exporter
from tunesmith.deploy.exporters._parts import base_folder, copy_fitted
from tunesmith.deploy.shipped import Shipped
from tunesmith.models.catalogue import catalogue
from tunesmith.models.methods import BENEATH
from tunesmith.models.spec import ModelSpec

_SERVED = """`fitted/adapter` is in PEFT's layout. On a machine with a GPU:

```
vllm serve {base} --enable-lora --max-lora-rank {rank} --lora-modules {name}=FOLDER/fitted/adapter
lorax-launcher --model-id {base}     # then adapter_id FOLDER/fitted/adapter, adapter_source local in each request
```

Ask for the model `{name}` with the system turn of `export.json` (`prompt.instruction`) and the text as the user's turn,
at temperature 0{labels}.{note}"""
_READ = """`fitted/adapter` is in PEFT's layout:
`PeftModel.from_pretrained(AutoModel.from_pretrained("{base}"), "FOLDER/fitted/adapter")`
gives the tuned model (`AutoModelForCausalLM` for a language model). What else was learnt is in `fitted/`."""
_ROUNDED = """
Its base was trained on in a rounded form ({note}) An unrounded base of the same name is another model, close but not
equal: compare its answers before you rely on them, or use `--to merged`."""


class Adapter:
    """The adapter in PEFT's layout, for vLLM, LoRAX and PEFT; for systems tuned with LoRA, IA3 or layer norms."""

    name = "adapter"
    quantisations = ("none",)
    extra = None

    def why_not(self, model: Shipped) -> tuple[str, str] | None:
        if model.adapter is None:
            return f"the system {model.name} has no adapter.", "use --to bundle."
        if not (model.adapter / "adapter_config.json").exists():
            kind = read_json(model.adapter / "method.json")["method"]
            return f"the method '{kind}' is none of PEFT's, so nothing else reads its adapter.", "use --to merged."
        if (model.adapter / BENEATH).is_dir():
            why = "its base read documents first, so that the adapter alone fits no base that others have."
            return why, "use --to merged."
        return None

    def write(self, model: Shipped, draft: Path, quantisation: str) -> Made:
        assert model.adapter is not None
        assert model.base is not None
        base = _public_name(model.base)
        config = copy_fitted(model, draft, adapter=True) / "adapter" / "adapter_config.json"
        about = read_json(config)
        write_json(config, {**about, "base_model_name_or_path": base})
        note = _ROUNDED.format(note=model.base.note) if "rounded" in model.base.note else ""
        usage = _READ.format(base=base)
        if model.rung.needs == "lm" and about["peft_type"] == "LORA" and not about.get("use_dora"):
            labels = "" if model.writes else ', with `structured_outputs: {"choice": LABELS}` so that it names a label'
            rank = _served_rank(int(about["r"]))
            usage = _SERVED.format(base=base, rank=rank, name=model.run, note=note, labels=labels)
        where = ("--base", str(base_folder(model).resolve()))
        return Made("torch", EXACT, usage=usage, holds_base=False, arguments=where)


def _public_name(base: ModelSpec) -> str:
    """What other programs call the base: its id on the hub where it has one, else what it is called here."""
    known = {entry.spec.id: entry for entry in catalogue().values()}
    if base.source == "hub":
        return base.id
    entry = known.get(base.id)
    return entry.also if entry is not None and entry.also else Path(base.id).name


def _served_rank(rank: int) -> int:
    """The smallest rank that vLLM can be told to make room for."""
    return next((r for r in (8, 16, 32, 64, 128, 256, 320, 512) if r >= rank), 512)


exporter("adapter")(Adapter())
