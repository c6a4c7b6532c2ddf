"""Language models in memory: a base is read once, and every adapter hangs on modules of its own that share its tensors.

So adapters of any method that puts its weights beside those of the base are in memory together, none has to be switched
on, and one more costs what it learnt. Tokenizers that are the same files are one object.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.core.context import Limits
from tunesmith.core.files import sha256_bytes
from tunesmith.models.methods import BENEATH, saved_with
from tunesmith.models.quiet import silent

if TYPE_CHECKING:
    from tunesmith.models.lm import LanguageModel
    from tunesmith.models.template import Template

# Methods that leave every tensor of the base as it is. What others write is read with a base of its own.
_BESIDE = ("lora", "ia3", "layernorm")
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


@dataclass
class Bases:
    """Every language model that the server holds. Not for several threads."""

    _read: dict[tuple[Path, str], LanguageModel] = field(default_factory=dict)
    _users: dict[tuple[Path, str], set[int]] = field(default_factory=dict)
    _templates: dict[str, Template] = field(default_factory=dict)

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
        # Both are copies: whoever lets go of its model lets go of no other's.
        tensors = [*base.model.parameters(), *base.model.buffers()]
        twin = copy.deepcopy(base.model, {id(tensor): tensor for tensor in tensors})
        template = base.template
        if adapter is not None:
            template = self._template(adapter) or template
            with silent():
                twin = saved_with(adapter).load(twin, adapter)
        twin.eval()
        twin.requires_grad_(False)
        made = LanguageModel(twin, template, folder)
        self._users.setdefault(key, set()).add(id(made))
        return made

    def release(self, lm: LanguageModel) -> None:
        """Say that a model is no longer used; a base that nobody uses is forgotten."""
        for key, users in list(self._users.items()):
            users.discard(id(lm))
            if not users:
                del self._users[key]
                self._read.pop(key, None)

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


def _fingerprint(folder: Path) -> str:
    """Equal for equal tokenizers: of the contents of their files."""
    parts = [name.encode() + (folder / name).read_bytes() for name in _TOKENIZER if (folder / name).exists()]
    return sha256_bytes(b"\0".join(parts))
