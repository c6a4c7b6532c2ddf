"""Turns messages into token ids, the same way in training, scoring and serving.

A prompt is rendered by the tokenizer's own chat template, or by the plain one below where the model has none
(a base model); either way it is stored with the tokenizer, so what served is what trained. The answer is tokenized
on its own and appended: the prompt's ids are then a prefix of the whole by construction, which they are not when
both are tokenized as one string and a merge crosses the border.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tunesmith.core.errors import ModelError
from tunesmith.core.files import canonical, sha256_bytes
from tunesmith.tasks import Message, Prompt, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# For models without a chat template. The answer begins with a space, which is how words begin for their tokenizers.
PLAIN = (
    "{{ bos_token or '' }}"
    "{% for m in messages %}"
    "{% if m['role'] == 'system' %}{{ m['content'] + '\\n\\n' }}"
    "{% elif m['role'] == 'user' %}{{ 'Input: ' + m['content'] + '\\n' }}"
    "{% else %}{{ 'Answer: ' + m['content'] + eos_token + '\\n\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Answer:' }}{% endif %}"
)
# A base model that was never tuned goes on with the next pair instead of ending; the answer is over there.
_PLAIN_STOP = re.compile(r"\n\s*(?:Input|Answer):")

# Some templates print today's date or open a train of thought; both would differ between training and serving.
_FIXED = {"date_string": "1 January 2025", "enable_thinking": False}
# What templates write to be read as one token: <|im_end|>, <end_of_turn>, </s>, [/INST], and with wide bars.
_CONTROL = re.compile(r"<\|[^|<>\s]+\|>|<\uff5c[^\uff5c<>\s]+\uff5c>|</?[A-Za-z]\w*>|\[/?[A-Z_]+\]")
_MARK = "\u2e3atext\u2e3a"  # never in real text; shows where a template puts the content
_ELLIPSIS = " … "


@dataclass(frozen=True)
class Template:
    """How one tokenizer writes conversations. end_id: the token that ends an assistant turn."""

    tokenizer: PreTrainedTokenizerBase
    lead: str  # what stands between the prompt and the answer's first character
    end_id: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Template:
        """The tokenizer's template, the plain one if it has none (which is then set on the tokenizer).

        Raises ModelError if the template does not print what it is given, or if the tokenizer splits or does not
        have the tokens that it is made of: the base would read letters, and learn another end than its own.
        """
        if not tokenizer.chat_template:
            tokenizer.chat_template = PLAIN
        if tokenizer.eos_token_id is None:
            raise ModelError("the tokenizer of this base model names no end token (eos_token).")
        turns: list[Message] = [{"role": "user", "content": "x"}]
        opened = _render(tokenizer, turns, opened=True)
        closed = _render(tokenizer, [*turns, {"role": "assistant", "content": _MARK}], opened=False)
        before, mark, after = closed.partition(_MARK)
        if not mark:
            raise ModelError("the chat template of this base model does not print the assistant's answer.")
        lead = before[len(opened) :] if before.startswith(opened) else ""
        special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
        after = after.lstrip()
        following = tokenizer.encode(after, add_special_tokens=False)
        end = following[0] if following and following[0] in special else tokenizer.eos_token_id
        typed = _CONTROL.match(after)
        if typed and end != following[0]:
            alone = tokenizer.encode(typed.group(), add_special_tokens=False)
            if not _is_token(tokenizer, typed.group()):
                raise _lacks(tokenizer, [typed.group()], f"ends an answer with {typed.group()!r}", len(alone))
            end = alone[0]
        _refuse_split_marks(tokenizer, typed.group() if typed else None)
        return cls(tokenizer, lead, int(end))

    @property
    def is_plain(self) -> bool:
        return bool(self.tokenizer.chat_template == PLAIN)

    @cached_property
    def _marks(self) -> re.Pattern[str]:
        """Every token with a meaning to the template, as it would be typed."""
        known = {str(t.content) for t in self.tokenizer.added_tokens_decoder.values() if t.special}
        known |= {str(t) for t in self.tokenizer.all_special_tokens}
        return re.compile("|".join(re.escape(t) for t in sorted(known, key=len, reverse=True) if t.strip()) or r"(?!)")

    def text(self, messages: Sequence[Message]) -> str:
        """The conversation as the model reads it, up to where the next answer begins.

        Control tokens typed by a person are broken by a space: data must not end a turn.
        """
        clean: list[Message] = [{"role": m["role"], "content": self.harmless(m["content"])} for m in messages]
        return _render(self.tokenizer, clean, opened=True)

    def harmless(self, text: str) -> str:
        """The text with every control token of the tokenizer broken by a space after its first character."""
        return self._marks.sub(lambda m: m.group()[0] + " " + m.group()[1:], text)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of `text(messages)`."""
        return list(self.tokenizer.encode(self.text(messages), add_special_tokens=False))

    def answer_ids(self, answer: str, *, end: bool = True) -> list[int]:
        """Token ids of an answer as they follow a prompt, with the token that ends the turn."""
        ids = list(self.tokenizer.encode(self.lead + self.harmless(answer), add_special_tokens=False))
        return [*ids, self.end_id] if end else ids

    def read(self, ids: Sequence[int]) -> str:
        """The answer that generated ids stand for, without its end."""
        kept = list(ids[: ids.index(self.end_id)]) if self.end_id in ids else list(ids)
        text = str(self.tokenizer.decode(kept, skip_special_tokens=True))
        if self.is_plain:
            text = _PLAIN_STOP.split(text, maxsplit=1)[0]
        return text.strip()

    def beyond(self, vocabulary: int) -> list[str]:
        """Tokens of a conversation that a model with so many has no embedding for, as they are written."""
        ids = {*self.prompt_ids([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}])}
        ids |= {*self.answer_ids("c"), int(self.tokenizer.eos_token_id)}
        return [str(self.tokenizer.convert_ids_to_tokens(i)) for i in sorted(ids) if i >= vocabulary]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of a rendered conversation and of its ids: differs if either would."""
        turns: list[Message] = [
            {"role": "system", "content": "S\u00e9 1."},
            {"role": "user", "content": "A  b\n7\u00bd"},
            {"role": "assistant", "content": "C."},
            {"role": "user", "content": "D?"},
        ]
        seen = [self.text(turns), self.prompt_ids(turns), self.answer_ids("Yes, 12.")]
        return sha256_bytes(canonical([*seen, str(self.tokenizer.chat_template)]))[:16]


@dataclass(frozen=True)
class Asked:
    """One row's prompt as ids. lost: tokens of the source that did not fit and were cut from its middle."""

    ids: list[int]
    lost: int = 0


@dataclass(frozen=True)
class Asker:
    """Words rows as prompts of bounded length. The same object words them for training and for prediction."""

    template: Template
    task: Task
    prompt: Prompt

    def text(self, source: str) -> str:
        """The prompt of a row as one string, uncut."""
        return self.template.text(self.task.render(source, self.prompt))

    @cached_property
    def prefix(self) -> list[int]:
        """Token ids that the prompts of all rows begin with: what two unlike rows have in common."""
        pair = zip(self._ids("0 one"), self._ids("Zwei, 2"), strict=False)
        return [a for a, _ in itertools.takewhile(lambda ab: ab[0] == ab[1], pair)]

    def ask(self, source: str, *, room: int | None = None) -> Asked:
        """The prompt of a row in at most `room` tokens (None: any number).

        A source that is too long keeps its beginning and its end. Raises ModelError if the instruction alone
        (with labels and shots) is longer than `room`.
        """
        ids = self._ids(source)
        if room is None or len(ids) <= room:
            return Asked(ids)
        tokenizer = self.template.tokenizer
        source_ids = tokenizer.encode(source, add_special_tokens=False)
        spare = room - len(self._ids("")) - len(tokenizer.encode(_ELLIPSIS, add_special_tokens=False))
        while spare > 0:
            head, tail = spare - spare // 3, spare // 3
            cut = _ELLIPSIS.join(
                str(tokenizer.decode(part, skip_special_tokens=True))
                for part in (source_ids[:head], source_ids[len(source_ids) - tail :])
            )
            ids = self._ids(cut)
            if len(ids) <= room:
                return Asked(ids, lost=len(source_ids) - head - tail)
            spare -= len(ids) - room  # tokens at the cut may split differently than they did in the whole
        raise ModelError(
            f"the instruction with its labels and shots takes {len(self._ids(''))} tokens; {room} fit.",
            hint="use a base model with a longer context, or fewer labels or shots.",
        )

    def _ids(self, source: str) -> list[int]:
        return self.template.prompt_ids(self.task.render(source, self.prompt))


def _is_token(tokenizer: PreTrainedTokenizerBase, mark: str) -> bool:
    """Whether the tokenizer reads the mark as one token of its own."""
    ids = tokenizer.encode(mark, add_special_tokens=False)
    return len(ids) == 1 and (ids[0] != tokenizer.unk_token_id or mark == tokenizer.unk_token)


def _refuse_split_marks(tokenizer: PreTrainedTokenizerBase, end: str | None) -> None:
    """Raise ModelError if marks of the template are no tokens although its author counts on it.

    Some templates name speakers in plain letters that look like a token, <|user|>, and end a turn with the tokenizer's
    end token: bases were trained that way, and are served. Where the template itself writes out its end as a token,
    marks of the same shape are meant as tokens too. What the tokenizer cannot write at all is refused in any case.
    """
    source = str(tokenizer.chat_template)
    turns: list[Message] = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}]
    printed = _render(tokenizer, [{"role": "system", "content": "x"}, *turns], opened=False)
    printed += _render(tokenizer, turns[:1], opened=True)
    shape = _shape(end) if end is not None and end in source else None
    alike = [mark for mark in dict.fromkeys(_CONTROL.findall(printed)) if mark in source]
    split = [mark for mark in alike if _shape(mark) == shape and not _is_token(tokenizer, mark)]
    split += [
        mark
        for mark in alike
        if mark not in split
        and mark != tokenizer.unk_token
        and tokenizer.unk_token_id in tokenizer.encode(mark, add_special_tokens=False)
    ]
    if split:
        pieces = len(tokenizer.encode(split[0], add_special_tokens=False))
        raise _lacks(tokenizer, split, f"writes {', '.join(map(repr, split))}", pieces)


def _shape(mark: str) -> str:
    """How a mark begins: <| or [ or <, whatever its name is."""
    return mark[:2] if mark[1] in "|\uff5c" else mark[:1]


def _lacks(tokenizer: PreTrainedTokenizerBase, marks: Sequence[str], does: str, pieces: int) -> ModelError:
    what = "which is" if len(marks) == 1 else "which are"
    return ModelError(
        f"the chat template of this base model {does}, {what} not in its tokenizer's vocabulary: "
        f"{marks[0]!r} is read as {pieces} pieces ({tokenizer.name_or_path}).",
        hint="use a tokenizer and a template of the same model, or delete the template "
        "(chat_template in tokenizer_config.json, chat_template.jinja) to train with a plain one.",
    )


def _render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, opened: bool) -> str:
    """The chat template's string; a system turn that the template refuses or drops joins the first user turn."""
    from jinja2.exceptions import TemplateError

    turns: list[dict[str, str]] = [{"role": m["role"], "content": m["content"]} for m in messages]
    system = turns[0]["content"] if turns and turns[0]["role"] == "system" else None
    try:
        text = _apply(tokenizer, turns, opened)
        if system is None or system.strip() in text:
            return text
    except TemplateError as error:
        if system is None:
            raise ModelError(f"the chat template of this base model refused a plain conversation: {error}") from error
    first, *rest = turns[1:]
    return _apply(tokenizer, [{**first, "content": f"{system}\n\n{first['content']}"}, *rest], opened)


def _apply(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], opened: bool) -> str:
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=opened, **_FIXED))
