"""What a request passes before it is looked at: where it comes from, whose key it has, how large and how slow it is.

A page of another site, in the browser of whoever runs the server, can send requests here: they carry its Origin, or
(where a name was bound to 127.0.0.1) a Host that is not this machine. Both are refused, key or not.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tunesmith.deploy.server.keys import Doorkeeper

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("tunesmith.serve")
_HERE = ("127.0.0.1", "localhost", "::1")
_OPEN = ("/health",)
_LONGEST = 500  # characters of a refusal
_WENT_AWAY = 499  # in the log: nobody was there any more to be told a status


@dataclass(frozen=True)
class Limits:
    """body_bytes: of a request. body_s: in which it must have arrived, and in which a piece of the answer must be
    taken. answer_s: in which it is answered, waiting included. at_once: requests under way. texts: in one request.
    new_tokens: written for one."""

    body_bytes: int = 1 << 20
    body_s: float = 10.0
    answer_s: float = 60.0
    at_once: int = 128
    texts: int = 256
    new_tokens: int = 1024


class Refused(Exception):
    """A request that is not answered: its HTTP status, what is told, and seconds after which to come again."""

    def __init__(self, status: int, message: str, *, kind: str, retry_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.retry_s = status, message, kind, retry_s

    @property
    def body(self) -> dict[str, Any]:
        """In the form that OpenAI clients read."""
        group = {401: "authentication_error", 429: "rate_limit_error", 503: "server_error"}.get(
            self.status, "invalid_request_error"
        )
        # Names of fields that a client made up may be no text at all, and as long as the request.
        message = self.message[:_LONGEST].encode("utf-8", "replace").decode()
        return {"error": {"message": message, "type": group, "param": None, "code": self.kind}}

    @property
    def headers(self) -> dict[str, str]:
        made = {} if self.retry_s is None else {"Retry-After": str(self.retry_s)}
        return {**made, "WWW-Authenticate": "Bearer"} if self.status == 401 else made


class Gate:
    """ASGI middleware. Lets a request in with its body read whole, and logs a line without its contents."""

    def __init__(self, app: Any, *, keeper: Doorkeeper, limits: Limits) -> None:
        self._app, self._keeper, self._limits = app, keeper, limits
        self._under_way = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), [0]

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                message["headers"] = [*message.get("headers", []), (b"cache-control", b"no-store"),
                                      (b"x-content-type-options", b"nosniff")]  # fmt: skip
            await send(message)

        try:
            body = await self._admitted(scope, receive)
        except Refused as refused:
            await _say(noting, refused)
        else:
            self._under_way += 1
            try:
                if body is None:
                    await self._app(scope, receive, noting)
                elif not await self._while_there(scope, body, receive, noting):
                    status[0] = _WENT_AWAY
            finally:
                self._under_way -= 1
        caller = scope.get("state", {}).get("caller")
        who = "-" if caller is None else caller.name
        took = (time.monotonic() - began) * 1000
        # Only paths that exist: anything else is what somebody typed.
        path = scope["path"] if status[0] not in (404, 405) and scope["path"].startswith(("/v1/", "/health")) else "-"
        _log.info("%s %s %s %s %.0f ms", scope["method"], path, status[0], who, took)

    async def _while_there(self, scope: Message, body: bytes, receive: Receive, send: Send) -> bool:
        """Have a request answered for as long as its client is there and takes the answer; whether it was."""
        gone = asyncio.Event()

        async def sending(message: Message) -> None:
            try:
                async with asyncio.timeout(self._limits.body_s):
                    await send(message)
            except TimeoutError:
                leave()
                await asyncio.Event().wait()  # until cancelled

        def leave() -> None:
            gone.set()
            work.cancel()

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            leave()

        work = asyncio.ensure_future(self._app(scope, _again(body, gone), sending))
        watching = asyncio.ensure_future(watch())
        try:
            await work
        except asyncio.CancelledError:
            work.cancel()
            if not gone.is_set():
                raise
            return False
        finally:
            watching.cancel()
        return True

    async def _admitted(self, scope: Message, receive: Receive) -> bytes | None:
        """The request's body; None for a request without one."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        _refuse_foreign(headers)
        if scope["path"] in _OPEN:
            return None
        caller = self._keeper.caller(headers.get(b"authorization", ""))
        if caller is None:
            wait = self._keeper.wrong()
            if wait:
                raise Refused(429, "too many wrong keys.", kind="too_many_wrong_keys", retry_s=wait)
            raise Refused(401, "send the key:  Authorization: Bearer KEY", kind="invalid_api_key")
        scope.setdefault("state", {})["caller"] = caller
        if self._under_way >= self._limits.at_once:
            raise Refused(429, "too many requests under way.", kind="busy", retry_s=1)
        wait = caller.admit()
        if wait:
            raise Refused(429, "this key has used up its limit.", kind="rate_limit_exceeded", retry_s=wait)
        if scope["method"] != "POST":
            return None
        if headers.get(b"content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "send JSON:  Content-Type: application/json", kind="unsupported_media_type")
        return await self._body(headers, receive)

    async def _body(self, headers: dict[bytes, str], receive: Receive) -> bytes:
        most = self._limits.body_bytes
        too_large = Refused(413, f"a request has at most {most:,} bytes.", kind="request_too_large")
        told = headers.get(b"content-length", "0")
        if told.isdigit() and int(told) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "the request ended early.", kind="incomplete")
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            raise Refused(408, f"the request took more than {self._limits.body_s:g} s.", kind="too_slow") from error


def _refuse_foreign(headers: dict[bytes, str]) -> None:
    host = headers.get(b"host", "")
    try:
        known = urlsplit(f"//{host}").hostname in _HERE
        origin = headers.get(b"origin")
        same = origin is None or urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        known = same = False
    if not known:
        raise Refused(421, "this server answers to 127.0.0.1 and localhost only.", kind="wrong_host")
    if not same or headers.get(b"sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Refused(403, "requests from pages of other sites are refused.", kind="cross_site")


def _again(body: bytes, gone: asyncio.Event) -> Receive:
    """A body that was read already, and after it what the client does next: nothing, until it leaves."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            await gone.wait()
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _say(send: Send, refused: Refused) -> None:
    body = json.dumps(refused.body).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **refused.headers}
    if refused.status in (408, 413):
        headers["connection"] = "close"  # what is left of the body is not read
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
