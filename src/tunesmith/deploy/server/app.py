"""The web application: own endpoints for labels and fields, and OpenAI's for texts, over the models it was given.

Models are looked up by name among those named when the server was started; nothing in a request is a path.
"""
# Annotations are read when the routes are made, so they are not postponed here.

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from tunesmith.core.errors import ConfigError, DataError, ModelError, TunesmithError
from tunesmith.deploy.server.engine import Busy, Engine, Fault, told
from tunesmith.deploy.server.gate import Gate, Limits, Refused
from tunesmith.deploy.server.keys import Doorkeeper, Key
from tunesmith.deploy.server.served import Answer, Offered, Store, plain
from tunesmith.deploy.server.wire import Chat, Completion, Rows
from tunesmith.deploy.server.wire import Wish as Asked
from tunesmith.deploy.server.writing import Piece, Text, Wish
from tunesmith.tasks import Message

_BYTES_PER_TOKEN = 4  # of texts that no language model reads, for the limits of keys
Noted = Callable[[Offered, Sequence[Any], Sequence[Answer]], None]


def make_app(
    offered: Mapping[str, Offered],
    keys: Sequence[Key],
    *,
    limits: Limits | None = None,
    max_memory_bytes: int | None = None,
    waiting: int = 512,
    noted: Noted | None = None,
) -> FastAPI:
    """The application over these models. noted: is told of rows and their answers (feedback.py)."""
    limits = limits or Limits()
    engine = Engine(Store(offered, max_memory_bytes), waiting)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        await asyncio.to_thread(engine.close)

    app = FastAPI(title="Tunesmith", docs_url=None, redoc_url=None, lifespan=life)
    app.add_middleware(Gate, keeper=Doorkeeper(keys), limits=limits)
    _Routes(app, dict(offered), engine, limits, noted)
    _errors(app)
    app.state.engine = engine
    return app


class _Routes:
    """The endpoints."""

    def __init__(
        self, app: FastAPI, offered: dict[str, Offered], engine: Engine, limits: Limits, noted: Noted | None
    ) -> None:
        self.offered, self.engine, self.limits, self.noted = offered, engine, limits, noted
        self.began = int(time.time())
        app.get("/health")(self.health)
        app.get("/v1/models")(self.models)
        app.post("/v1/classify")(self.classify)
        app.post("/v1/extract")(self.extract)
        app.post("/v1/completions", response_model=None)(self.completions)
        app.post("/v1/chat/completions", response_model=None)(self.chat)

    async def health(self) -> dict[str, str]:
        """Whether the server is there. Needs no key and says no more."""
        return {"status": "ok"}

    async def models(self) -> dict[str, Any]:
        """What `model` may name, and which endpoint answers for it."""
        loaded = set(self.engine.store.loaded)
        return {
            "object": "list",
            "data": [
                {"id": o.name, "object": "model", "created": self.began, "owned_by": "tunesmith", "task": o.task.name,
                 "system": o.system, "endpoint": f"/v1/{o.door}" if o.door else "/v1/chat/completions",
                 "inputs": list(o.inputs), "labels": list(o.labels), "loaded": o.name in loaded}
                for o in self.offered.values()
            ],
        }  # fmt: skip

    async def classify(self, rows: Rows, request: Request) -> dict[str, Any]:
        """Labels with how sure they are; `accepted` and `why_not` where a promise holds answers back."""
        offered, answers = await self._answers(rows, request, "classify")
        results = []
        for answer in answers:
            value = plain(answer, offered.task)
            name = "labels" if isinstance(value, list) else "label"
            shares = [{"label": label, "probability": p} for label, p in answer.probabilities[: rows.top]]
            results.append({name: value, **_sure(answer), "probabilities": shares})
        return {"model": offered.name, "results": results}

    async def extract(self, rows: Rows, request: Request) -> dict[str, Any]:
        """Fields, or a cited answer, with where each value stands in the text."""
        offered, answers = await self._answers(rows, request, "extract")
        results = []
        for answer in answers:
            quotes = {} if answer.quotes is None else {"quotes": list(answer.quotes)}
            results.append({"value": plain(answer, offered.task), **quotes, **_sure(answer)})
        return {"model": offered.name, "results": results}

    async def completions(self, wish: Completion, request: Request) -> Response:
        """The answer to one text, worded for the model as its run worded it."""
        text = wish.prompt if isinstance(wish.prompt, str) else wish.prompt[0]
        return await self._written(wish, [{"role": "user", "content": text}], wish.max_tokens, request, chat=False)

    async def chat(self, wish: Chat, request: Request) -> Response:
        """The answer to a conversation. One user message is the text of a row, and answered as *evaluate* answers."""
        turns: list[Message] = [
            {"role": "system" if turn.role == "developer" else turn.role, "content": turn.text}
            for turn in wish.messages
        ]
        roles = [turn["role"] for turn in turns]
        if roles[-1] != "user" or "system" in roles[1:]:
            raise Refused(400, "messages: one system message may come first, and the last is the user's.", kind="turns")
        return await self._written(wish, turns, wish.max_completion_tokens or wish.max_tokens, request, chat=True)

    async def _answers(self, rows: Rows, request: Request, door: str) -> tuple[Offered, list[Answer]]:
        offered = self._offered(rows.model)
        if offered.door != door:
            right = offered.door or "chat/completions"
            raise Refused(400, f"'{offered.name}' answers at /v1/{right}.", kind="wrong_endpoint")
        given = rows.input if isinstance(rows.input, list) else [rows.input]
        if len(given) > self.limits.texts:
            raise Refused(400, f"a request has at most {self.limits.texts} texts.", kind="too_many_texts")
        if any(isinstance(row, str) for row in given) and not all(isinstance(row, str) for row in given):
            raise Refused(400, "input: either texts or rows, not both.", kind="mixed_input")
        if not isinstance(given[0], str):
            missing = [name for name in offered.inputs if any(name not in row for row in given)]
            if missing:
                raise Refused(400, f"input: rows need {', '.join(map(repr, missing))}.", kind="missing_column")
        texts = offered.texts(given)
        answers = await self._said(offered, texts, rows.accept_at, request)
        await self._note(offered, given, answers)
        return offered, answers

    async def _said(
        self, offered: Offered, texts: list[str], accept_at: float | None, request: Request
    ) -> list[Answer]:
        future = self.engine.answer(offered.name, texts, accept_at)
        try:
            async with asyncio.timeout(self.limits.answer_s):
                answers = await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise _too_late() from error
        _spend(request, sum(len(text.encode()) for text in texts) // _BYTES_PER_TOKEN + 1)
        return answers

    async def _note(self, offered: Offered, rows: Sequence[Any], answers: Sequence[Answer]) -> None:
        """Before an answer leaves, what was asked is written down, where that is wished."""
        if self.noted is not None:
            await asyncio.to_thread(self.noted, offered, rows, answers)

    async def _written(
        self, wish: Asked, turns: list[Message], limit: int | None, request: Request, *, chat: bool
    ) -> Response:
        offered = self._offered(wish.model)
        reply = _Reply(offered.name, chat=chat)
        if not offered.writes:
            # What does not write answers a text all the same: with what it would be taken for.
            if len(turns) > 1:
                raise Refused(400, f"'{offered.name}' answers single texts: send one user message.", kind="turns")
            texts = [turns[0]["content"]]
            answer = (await self._said(offered, texts, None, request))[0]
            await self._note(offered, texts, [answer])
            piece = Piece(answer.value or "", "stop")
            if wish.stream:
                return StreamingResponse(reply.stream(_once(piece), False), media_type="text/event-stream")
            return JSONResponse(reply.whole(piece))
        asked = Wish(
            tuple(turns), limit, wish.temperature or 0.0, 1.0 if wish.top_p is None else wish.top_p, wish.seed,
            wish.stops,
        )  # fmt: skip
        text = Text(self.engine, offered.name, asked, self.limits.new_tokens, wish.stream)
        pieces = self._timed(text, offered, request)
        first = await anext(pieces)  # what is refused is refused before a stream begins
        if wish.stream:
            usage = wish.stream_options is not None and wish.stream_options.include_usage
            return StreamingResponse(reply.stream(_behind(first, pieces), usage), media_type="text/event-stream")
        last = first
        async for piece in pieces:
            last = piece
        return JSONResponse(reply.whole(last))

    async def _timed(self, text: Text, offered: Offered, request: Request) -> AsyncGenerator[Piece]:
        pieces = text.pieces()
        ends = time.monotonic() + self.limits.answer_s
        try:
            while True:
                # Not one timeout around all: a stream is read in another task than its first piece.
                piece = await asyncio.wait_for(anext(pieces), max(0.0, ends - time.monotonic()))
                if piece.finish == "cancelled":
                    raise Refused(503, "the answer was broken off; ask again.", kind="broken_off", retry_s=1)
                if piece.finish is not None:
                    _spend(request, piece.prompt_tokens + piece.written_tokens)
                    await self._note(offered, [text.wish.messages[-1]["content"]], [Answer(piece.text)])
                yield piece
                if piece.finish is not None:
                    return
        except TimeoutError as error:
            raise _too_late() from error
        finally:
            await pieces.aclose()

    def _offered(self, name: str | None) -> Offered:
        if name is None and len(self.offered) == 1:
            return next(iter(self.offered.values()))
        if name is None:
            raise Refused(400, f"model: say which of {', '.join(self.offered)}.", kind="model_missing")
        if name not in self.offered:
            raise Refused(404, f"model: there are {', '.join(self.offered)}.", kind="model_not_found")
        return self.offered[name]


class _Reply:
    """Answers in OpenAI's form."""

    def __init__(self, model: str, *, chat: bool) -> None:
        self._chat = chat
        self._kind = "chat.completion" if chat else "text_completion"
        self._base = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model,
        }  # fmt: skip

    def whole(self, piece: Piece) -> dict[str, Any]:
        """The answer at once."""
        said = {"message": {"role": "assistant", "content": piece.text}} if self._chat else {"text": piece.text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": piece.finish}
        return {**self._base, "object": self._kind, "choices": [choice], "usage": _usage(piece)}

    async def stream(self, pieces: AsyncIterator[Piece], usage: bool) -> AsyncIterator[str]:
        """Server-sent events: what is new of each piece, and [DONE]. What fails on the way is said and ends it."""
        shown = ""
        kind = "chat.completion.chunk" if self._chat else self._kind
        if self._chat:
            yield self._chunk(kind, {"delta": {"role": "assistant", "content": ""}}, None)
        try:
            async for piece in pieces:
                new = piece.text[len(shown) :]
                shown = piece.text
                if new:
                    yield self._chunk(kind, {"delta": {"content": new}} if self._chat else {"text": new}, None)
                if piece.finish is not None:
                    yield self._chunk(kind, {"delta": {}} if self._chat else {"text": ""}, piece.finish)
                    if usage:
                        yield _event({**self._base, "object": kind, "choices": [], "usage": _usage(piece)})
        except (Refused, Fault, TunesmithError) as error:
            made = error if isinstance(error, Refused) else _refused(error)
            yield _event(made.body)
            return
        yield "data: [DONE]\n\n"

    def _chunk(self, kind: str, said: dict[str, Any], finish: str | None) -> str:
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": finish}
        return _event({**self._base, "object": kind, "choices": [choice]})


def _errors(app: FastAPI) -> None:
    """Every failure in OpenAI's form, and never with what was sent in it."""

    async def refused(_: Request, error: Exception) -> JSONResponse:
        made = error if isinstance(error, Refused) else _refused(error)
        return JSONResponse(made.body, made.status, headers=made.headers)

    async def fault(_: Request, error: Exception) -> JSONResponse:
        told(error)
        made = _refused(error)
        return JSONResponse(made.body, made.status, headers=made.headers)

    async def strange(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        faults = [
            ".".join(str(at) for at in one["loc"] if at != "body") + ": " + str(one["msg"])
            for one in error.errors()[:5]
            if one["type"] != "json_invalid"
        ]
        made = Refused(400, "; ".join(faults) or "the request is no JSON.", kind="invalid_request")
        return JSONResponse(made.body, made.status)

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        made = Refused(error.status_code, str(error.detail), kind="http")
        return JSONResponse(made.body, made.status, headers=dict(error.headers or {}))

    for kind in (Refused, Busy, Fault, TunesmithError):
        app.add_exception_handler(kind, refused)
    app.add_exception_handler(RequestValidationError, strange)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, fault)


def _refused(error: Exception) -> Refused:
    if isinstance(error, Busy):
        return Refused(429, str(error), kind="busy", retry_s=error.retry_s)
    if isinstance(error, ConfigError | DataError):
        return Refused(400, error.message, kind="invalid_request")
    # A model that cannot be read is the server's affair; its message may name folders, which are nobody else's.
    what = "the model cannot be loaded." if isinstance(error, ModelError) else "this cannot be answered."
    return Refused(503, what, kind="unavailable", retry_s=30)


def _too_late() -> Refused:
    return Refused(503, "the answer took too long.", kind="timeout", retry_s=5)


def _spend(request: Request, tokens: int) -> None:
    request.state.caller.spend(tokens)


def _sure(answer: Answer) -> dict[str, Any]:
    made: dict[str, Any] = {"confidence": answer.confidence}
    if answer.accepted is not None:
        made |= {"accepted": answer.accepted, "why_not": answer.why_not}
    return made


def _usage(piece: Piece) -> dict[str, int]:
    p, w = piece.prompt_tokens, piece.written_tokens
    return {"prompt_tokens": p, "completion_tokens": w, "total_tokens": p + w}


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


async def _once(piece: Piece) -> AsyncIterator[Piece]:
    yield piece


async def _behind(first: Piece, rest: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    yield first
    async for piece in rest:
        yield piece
