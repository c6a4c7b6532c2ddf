"""A text on its way from the thread that computes to the client: whole, or in the pieces that no longer change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunesmith.core.errors import ConfigError
from tunesmith.deploy.server.engine import Engine, Wanted
from tunesmith.deploy.server.served import Loaded
from tunesmith.tasks import Message

if TYPE_CHECKING:
    from tunesmith.models.continuous import Writing
    from tunesmith.training.prompted import Prompted

# A task that reads this as it stands reads every answer so, and its answers can be sent piece by piece.
_FENCED = "```\nx\n```"


@dataclass(frozen=True)
class Wish:
    """How a text is to be written. limit: tokens at most; None: as many as *evaluate* lets the model write.

    temperature: 0 for the likeliest token each time, as *evaluate* writes. stops: texts that end it.
    """

    messages: tuple[Message, ...]
    limit: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stops: tuple[str, ...] = ()


@dataclass
class Piece:
    """What is known so far. text: all that will not change. finish: None while more may come."""

    text: str
    finish: str | None = None
    prompt_tokens: int = 0
    written_tokens: int = 0


_Put = Callable[[Piece | BaseException], None]


@dataclass(eq=False)
class Text:
    """One text that is being written; `pieces` may be read once."""

    engine: Engine
    name: str
    wish: Wish
    most_tokens: int
    in_pieces: bool
    _queue: asyncio.Queue[Piece | BaseException] = field(default_factory=asyncio.Queue)
    _writing: Writing | None = None
    _sent: str = ""

    async def pieces(self) -> AsyncGenerator[Piece]:
        """Growing texts, the last with `finish`. Raises what the model raised, Busy before anything is begun."""
        loop = asyncio.get_running_loop()

        def put(piece: Piece | BaseException) -> None:
            loop.call_soon_threadsafe(self._queue.put_nowait, piece)

        wanted = Wanted(self.name, lambda loaded: self._begin(loaded, put), put)
        self.engine.write(wanted)
        try:
            while True:
                piece = await self._queue.get()
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
                if piece.finish is not None:
                    return
        finally:
            wanted.cancelled = True
            if self._writing is not None:
                self._writing.cancelled = True

    def _begin(self, loaded: Loaded, put: _Put) -> Writing:
        """In the thread that computes: the Writing that this text is."""
        import torch

        from tunesmith.models.continuous import Writing

        asked = loaded.prompted
        assert asked is not None
        ids, limit = self._prompt(asked)
        bound = asked.bound
        draw = None
        if self.wish.temperature > 0:
            draw = torch.Generator()
            if self.wish.seed is not None:
                draw.manual_seed(self.wish.seed)
            else:
                draw.seed()
        self._writing = Writing(
            ids, limit, lambda one: self._took(one, asked, put), walk=None if bound is None else bound.begin(),
            temperature=self.wish.temperature, top_p=self.wish.top_p, draw=draw,
        )  # fmt: skip
        return self._writing

    def _prompt(self, asked: Prompted) -> tuple[list[int], int]:
        """The prompt's ids and the tokens that may be written. A single text is asked as *evaluate* asks it."""
        given, own = self.wish.messages, asked.asker.prompt.instruction
        lengths = asked.lengths
        limit = min(self.wish.limit or lengths.max_new_tokens, self.most_tokens)
        if given[0]["role"] == "system" and given[0]["content"] == own:
            given = given[1:]
        if len(given) == 1 and given[0]["role"] == "user":
            ids = asked.asker.ask(given[0]["content"], room=lengths.room).ids
        else:
            if given[0]["role"] != "system":
                given = ({"role": "system", "content": own}, *given)
            ids = asked.asker.template.prompt_ids(given)
        room = asked.lm.context - len(ids)
        if room < 1:
            raise ConfigError(f"the messages take {len(ids)} tokens; the model reads {asked.lm.context}.")
        return ids, min(limit, room)

    def _took(self, one: Writing, asked: Prompted, put: _Put) -> None:
        p, w = len(one.ids), len(one.written)
        if one.finish is not None:
            text = _whole(one.written, asked)
            text, stopped = _cut(text, self.wish.stops)
            put(Piece(text, "stop" if stopped else one.finish, p, w))
            return
        if not (self.in_pieces or self.wish.stops):
            return
        text = self._settled(one, asked)
        cut, stopped = _cut(text, self.wish.stops)
        if stopped:
            one.cancelled = True
            put(Piece(cut, "stop", p, w))
        elif self.in_pieces:
            shown = text[: len(text) - _begun(text, self.wish.stops)]
            if len(shown) > len(self._sent) and shown.startswith(self._sent):
                self._sent = shown
                put(Piece(shown, None, p, w))

    def _settled(self, one: Writing, asked: Prompted) -> str:
        """What of the answer can no longer change, whatever comes."""
        from tunesmith.models.continuous import settled

        template, task, prompt = asked.asker.template, asked.asker.task, asked.asker.prompt
        if one.walk is not None or task.parse(_FENCED, prompt) != _FENCED:
            return ""
        text = template.read(one.written[: settled(one.written)])
        if template.is_plain and "\n" in text:  # a new pair of the plain template may begin behind it
            text = text[: text.rindex("\n")].rstrip()
        return text.rstrip("\ufffd")  # the rest of a character is still to come


def _whole(ids: Sequence[int], asked: Prompted) -> str:
    """The answer as *evaluate* reads it; "" where it reads none."""
    if asked.bound is not None:
        return asked.bound.read(ids)
    task, prompt = asked.asker.task, asked.asker.prompt
    return task.parse(asked.asker.template.read(ids), prompt) or ""


def _cut(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    places = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return (text[: min(places)], True) if places else (text, False)


def _begun(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end may be the beginning of a stop."""
    return max((n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
