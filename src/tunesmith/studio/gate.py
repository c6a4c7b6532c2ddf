"""Who may talk to the studio: a browser on an address that it was opened for, which has shown the token.

Every request and every WebSocket passes here before any page sees it. Three things are refused: a Host that is not
ours (a foreign name bound to this machine), a request that a page of another origin makes (which a browser would
send with our cookie, if it is another port of the same host), and anybody who has not shown the token.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Wrong tokens that are looked at in a minute; after that none is, the right one included.
GUESSES, WINDOW_S = 10, 60.0
# Bytes of a request that is no upload.
SMALL = 1 << 20
_COOKIE_S = 7 * 86_400
# NiceGUI compiles its templates in the browser and writes scripts and styles into the page; no host but ours is named.
POLICY = "; ".join(
    (
        "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval'", "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:", "font-src 'self' data:", "connect-src 'self'", "frame-src 'self'", "object-src 'none'",
        "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
    )
)  # fmt: skip
_HEADERS = {
    "content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}  # fmt: skip
_ASK = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Tunesmith studio</title><style>:root{color-scheme:light dark}
body{font:16px/1.55 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 16px}</style>
<h1>Tunesmith studio</h1><p>%s</p></html>"""


class Gate:
    """ASGI middleware around the whole application.

    hosts: values of the Host header that are ours, such as "127.0.0.1:8800". uploads: path to the bytes that a request
    to it may bring; any other may bring 1 MB. The cookie is derived from the token, so it ends with it.
    """

    def __init__(self, app: Any, *, token: str, hosts: frozenset[str], uploads: dict[str, int]) -> None:
        self.app = app
        self._token = token.encode()
        self._hosts = hosts
        self._uploads = uploads
        self._value = hmac.new(self._token, b"tunesmith studio", hashlib.sha256).hexdigest()
        # Browsers keep cookies per host, not per port: two studios on one machine must not take each other's.
        self._cookie = f"tunesmith_{self._value[:8]}"
        self._wrong: deque[float] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refused(scope, headers)
        if refused is not None:
            await _answer(scope, send, *refused)
        elif not self._is_known(headers):
            await self._admit(scope, send)
        elif scope["type"] == "websocket":
            await self.app(scope, receive, send)
        else:
            await self._within_size(scope, headers, receive, send)

    def _refused(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "").lower()
        if host not in self._hosts:
            return 421, "This address is not the studio's."
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if (origin is not None or changes) and origin != f"http://{host}":
            return 403, "Requests from other sites are refused."
        # Another port of this host is the same *site* to a browser, which then sends the cookie along.
        foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if foreign and headers.get("sec-fetch-mode") != "navigate":
            return 403, "Requests from other sites are refused."
        return None

    def _is_known(self, headers: dict[str, str]) -> bool:
        try:
            shown = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return shown is not None and hmac.compare_digest(shown.value.encode(), self._value.encode())

    async def _admit(self, scope: Scope, send: Send) -> None:
        asked = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        shown = next((value for name, value in asked if name == "token"), None)
        if shown is None or scope["type"] != "http" or scope["method"] != "GET":
            await _answer(scope, send, 401, "Open the address that <code>tunesmith studio</code> printed: it brings "
                          "the token that this page asks for.")  # fmt: skip
            return
        now = time.monotonic()
        while self._wrong and now - self._wrong[0] > WINDOW_S:
            self._wrong.popleft()
        if len(self._wrong) >= GUESSES:
            wait = str(int(WINDOW_S - (now - self._wrong[0])) + 1)
            await _answer(scope, send, 429, "Too many wrong tokens. Wait a minute.", {"retry-after": wait})
            return
        if not hmac.compare_digest(shown.encode(), self._token):
            self._wrong.append(now)
            await _answer(scope, send, 401, "That token is not this studio's: each start makes a new one.")
            return
        rest = urlencode([(name, value) for name, value in asked if name != "token"])
        where = "/" + scope["path"].lstrip("/") + (f"?{rest}" if rest else "")  # "//name" would be another host
        cookie = f"{self._cookie}={self._value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={_COOKIE_S}"
        await _answer(scope, send, 303, "", {"location": where.replace("\\", "/"), "set-cookie": cookie})

    async def _within_size(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        most = self._uploads.get(scope["path"], SMALL)
        told = headers.get("content-length", "0")
        if not told.isdecimal() or int(told) > most:
            await _answer(scope, send, 413, f"A request here may bring at most {most:,} bytes.")
            return
        brought, answering = 0, False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal brought
            message = await receive()
            brought += len(message.get("body", b""))
            if brought > most:  # without a length, or with a wrong one
                raise _TooLarge
            return message

        async def guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal answering
            if message["type"] == "http.response.start":
                answering = True
                own = {name.lower() for name, _ in message.get("headers", [])}
                added = [(k.encode(), v.encode()) for k, v in _HEADERS.items() if k.encode() not in own]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        try:
            await self.app(scope, counted, guarded)
        except _TooLarge:
            if not answering:
                await _answer(scope, send, 413, f"A request here may bring at most {most:,} bytes.")


class _TooLarge(Exception):
    """A request brought more bytes than it may."""


async def _answer(scope: Scope, send: Send, status: int, words: str, more: dict[str, str] | None = None) -> None:
    """A short page; a WebSocket is closed before it opens, which a browser sees as 403."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = _ASK.replace("%s", words).encode() if words else b""
    told = {**_HEADERS, "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    told |= {"content-type": "text/html; charset=utf-8", "content-length": str(len(body)), "connection": "close"}
    told |= more or {}
    pairs = [(name.encode(), value.encode("latin-1", "replace")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
