"""Language models in memory: a base is read once, and every adapter hangs on modules of its own that share its tensors.

So adapters of any method that puts its weights beside those of the base are in memory together, none has to be switched
on, and one more costs what it learnt. The modules of one that is let go wait for the next of the same form, whose
weights are then read into them: making modules takes a second, reading weights 20 ms. Tokenizers that are the same
files are one object.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.core.context import Limits
from tunesmith.core.files import canonical, read_json, sha256_bytes
from tunesmith.models.methods import BENEATH, saved_with
from tunesmith.models.methods._peft import OnPeft
from tunesmith.models.quiet import silent

if TYPE_CHECKING:
    from torch import nn

    from tunesmith.models.lm import LanguageModel
    from tunesmith.models.template import Template

# Methods that leave every tensor of the base as it is. What others write is read with a base of its own.
_BESIDE = ("lora", "ia3", "layernorm")
# Adapters, of all forms, whose modules wait for others of their form.
_WAITING = 2
_Form = tuple[tuple[Path, str], str]
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


@dataclass
class Bases:
    """Every language model that the server holds. Not for several threads."""

    _read: dict[tuple[Path, str], LanguageModel] = field(default_factory=dict)
    _users: dict[tuple[Path, str], set[int]] = field(default_factory=dict)
    _templates: dict[str, Template] = field(default_factory=dict)
    _forms: dict[int, _Form] = field(default_factory=dict)  # by id of the model in use
    _waiting: list[tuple[_Form, nn.Module]] = field(default_factory=list)

    def open(self, folder: Path, limits: Limits, adapter: Path | None) -> LanguageModel:
        """The base in `folder`, with the adapter if there is one. Raises ModelError as LanguageModel.load does."""
        from tunesmith.models.lm import LanguageModel

        # A base that has read documents first is no other model's.
        if adapter is not None and (saved_with(adapter).name not in _BESIDE or (adapter / BENEATH).is_dir()):
            return LanguageModel.load(folder, limits, adapter=adapter)
        key = (folder, limits.dtype)
        if key not in self._read:
            base = LanguageModel.load(folder, limits)
            self._templates.setdefault(_fingerprint(folder), base.template)
            self._read[key] = base
        base = self._read[key]
        template = base.template
        form = None
        if adapter is not None:
            template = self._template(adapter) or template
            form = _form(key, adapter)
        twin = None if form is None or adapter is None else self._exchanged(form, adapter)
        if twin is None:
            # A copy: whoever lets go of its model lets go of no other's.
            tensors = [*base.model.parameters(), *base.model.buffers()]
            twin = copy.deepcopy(base.model, {id(tensor): tensor for tensor in tensors})
            if adapter is not None:
                with silent():
                    twin = saved_with(adapter).load(twin, adapter)
            twin.eval()
            twin.requires_grad_(False)
        made = LanguageModel(twin, template, folder)
        self._users.setdefault(key, set()).add(id(made))
        if form is not None:
            self._forms[id(made)] = form
        return made

    def has_form(self, lm: LanguageModel) -> bool:
        """Whether the model's modules can take another adapter."""
        return id(lm) in self._forms

    def release(self, lm: LanguageModel, *, keep: bool = False) -> None:
        """Say that a model is no longer used; a base that nobody uses is forgotten.

        keep: its modules may wait for another adapter. Otherwise nothing of any that waits is kept either.
        """
        form = self._forms.pop(id(lm), None)
        if not keep:
            self._waiting.clear()
        elif form is not None:
            self._waiting = [*self._waiting, (form, lm.model)][-_WAITING:]
        for key, users in list(self._users.items()):
            users.discard(id(lm))
            if not users and all(form[0] != key for form, _ in self._waiting):
                del self._users[key]
                self._read.pop(key, None)

    def _exchanged(self, form: _Form, adapter: Path) -> nn.Module | None:
        """Modules that waited, with this adapter's weights in them; None if none did."""
        at = next((at for at, (other, _) in enumerate(self._waiting) if other == form), None)
        if at is None:
            return None
        _, twin = self._waiting.pop(at)
        how = saved_with(adapter)
        assert isinstance(how, OnPeft)
        how.exchange(twin, adapter)
        return twin

    def _template(self, folder: Path) -> Template | None:
        """The template in an adapter's folder; None if it has none."""
        from transformers import AutoTokenizer

        from tunesmith.models.template import Template

        if not (folder / "tokenizer_config.json").exists():
            return None
        mark = _fingerprint(folder)
        if mark not in self._templates:
            with silent():
                words = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            self._templates[mark] = Template.of(words)
        return self._templates[mark]


def _form(key: tuple[Path, str], adapter: Path) -> _Form | None:
    """Equal for adapters that fit each other's modules: base, dtype, method and config; None: for those of no other."""
    how = saved_with(adapter)
    if not isinstance(how, OnPeft) or not (adapter / "adapter_config.json").is_file():
        return None
    about = {**read_json(adapter / "adapter_config.json"), "base_model_name_or_path": None}
    return (key, sha256_bytes(canonical([how.name, about])))


def _fingerprint(folder: Path) -> str:
    """Equal for equal tokenizers: of the contents of their files."""
    parts = [name.encode() + (folder / name).read_bytes() for name in _TOKENIZER if (folder / name).exists()]
    return sha256_bytes(b"\0".join(parts))
