"""Who may talk to the studio, tried through the ASGI interface that a server uses."""

import asyncio

import pytest

from tunesmith.studio.gate import GUESSES, SMALL, Gate

TOKEN = "a-token-of-this-start"
HOST = "127.0.0.1:8800"


class Inside:
    """The application behind the gate: reads the whole body, says what reached it."""

    def __init__(self):
        self.seen = []

    async def __call__(self, scope, receive, send):
        self.seen.append((scope["type"], scope.get("path")))
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(size).encode()})


class Browser:
    """Sends requests to a gate; keeps the cookie, as a browser does."""

    def __init__(self, **given):
        self.inside = Inside()
        self.gate = Gate(self.inside, token=TOKEN, hosts=frozenset({HOST}), uploads=given or {"/uploads": 4 * SMALL})
        self.cookie = None

    def ask(self, path="/", *, method="GET", query="", kind="http", chunks=(b"",), **headers):
        told = {"host": HOST, **({"cookie": self.cookie} if self.cookie else {})}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": kind, "method": method, "path": path, "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in told.items() if v is not None],
        }  # fmt: skip
        parts = [{"type": "http.request", "body": c, "more_body": i + 1 < len(chunks)} for i, c in enumerate(chunks)]
        sent = []

        async def receive():
            return parts.pop(0)

        async def send(message):
            sent.append(message)

        asyncio.run(self.gate(scope, receive, send))
        return sent[0].get("status", sent[0]["type"]), dict(sent[0].get("headers", [])), sent

    def enter(self):
        status, headers, _ = self.ask("/runs/a", query=f"row=3&token={TOKEN}")
        assert status == 303
        self.cookie = headers[b"set-cookie"].decode().split(";")[0]
        return headers


def test_nobody_enters_without_the_token():
    browser = Browser()
    for path in ("/", "/runs/a/report.html", "/assets/studio.js", "/_nicegui_ws/socket.io"):
        assert browser.ask(path)[0] == 401
    assert browser.ask(method="POST", path="/uploads", origin=f"http://{HOST}")[0] == 401
    assert browser.ask(kind="websocket", origin=f"http://{HOST}")[0] == "websocket.close"
    assert browser.inside.seen == []


def test_the_token_is_taken_once_and_leaves_the_address():
    browser = Browser()
    headers = browser.enter()
    assert headers[b"location"] == b"/runs/a?row=3"
    cookie = headers[b"set-cookie"].decode()
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert browser.ask("/runs/a")[0] == 200


def test_a_token_cannot_be_used_to_lead_to_another_host():
    status, headers, _ = Browser().ask("//evil.example/x", query=f"token={TOKEN}")
    assert status == 303
    assert headers[b"location"] == b"/evil.example/x"


def test_guessing_is_stopped_even_before_the_right_token_comes():
    browser = Browser()
    assert [browser.ask(query=f"token={i}")[0] for i in range(GUESSES)] == [401] * GUESSES
    status, headers, _ = browser.ask(query=f"token={TOKEN}")
    assert status == 429
    assert 1 <= int(headers[b"retry-after"]) <= 61


def test_guessing_does_not_lock_out_who_is_inside():
    browser = Browser()
    browser.enter()
    stranger = browser.cookie
    browser.cookie = None
    for i in range(GUESSES + 1):
        browser.ask(query=f"token={i}")
    browser.cookie = stranger
    assert browser.ask()[0] == 200


def test_a_wrong_or_damaged_cookie_is_no_cookie():
    browser = Browser()
    browser.enter()
    name, _, value = browser.cookie.partition("=")
    for cookie in (f"{name}={value[:-1]}0x", f"{name}=", "other=1", "\x01=;;;", f"{name}={TOKEN}"):
        assert browser.ask(cookie=cookie)[0] == 401


@pytest.mark.parametrize(
    "host", ["evil.example:8800", "127.0.0.1", "127.0.0.1:9999", "", None, "127.0.0.1:8800.evil.example"]
)
def test_a_foreign_name_that_leads_here_is_refused(host):
    browser = Browser()
    browser.enter()
    assert browser.ask(host=host)[0] == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:8801", "https://127.0.0.1:8800", None]
)
def test_what_changes_something_comes_from_the_studios_own_pages_only(origin):
    browser = Browser()
    browser.enter()
    assert browser.ask("/uploads", method="POST", origin=origin)[0] == 403
    assert browser.ask("/_nicegui_ws/socket.io", kind="websocket", origin=origin)[0] == "websocket.close"
    assert browser.inside.seen == []


def test_the_studios_own_pages_may():
    browser = Browser()
    browser.enter()
    own = f"http://{HOST}"
    assert browser.ask("/uploads", method="POST", origin=own, sec_fetch_site="same-origin")[0] == 200
    assert browser.ask("/_nicegui_ws/socket.io", kind="websocket", origin=own)[0] == "websocket.accept"


def test_another_port_of_this_machine_cannot_embed_or_fetch():
    browser = Browser()
    browser.enter()
    assert browser.ask("/runs/a/report.html", sec_fetch_site="same-site", sec_fetch_mode="no-cors")[0] == 403
    assert browser.ask("/", sec_fetch_site="same-site", sec_fetch_mode="navigate")[0] == 200


def test_large_requests_are_refused_by_their_length_and_by_what_they_bring():
    browser = Browser()
    browser.enter()
    own = f"http://{HOST}"
    post = {"method": "POST", "origin": own}
    assert browser.ask("/x", content_length=str(SMALL + 1), **post)[0] == 413
    assert browser.ask("/x", content_length="-1", **post)[0] == 413
    assert browser.ask("/x", chunks=[b"a" * SMALL, b"b"], **post)[0] == 413
    assert browser.ask("/uploads", chunks=[b"a" * SMALL] * 4, **post)[0] == 200
    assert browser.ask("/uploads", chunks=[b"a" * SMALL] * 4 + [b"b"], **post)[0] == 413


def test_every_page_names_no_host_but_its_own():
    browser = Browser()
    browser.enter()
    policy = browser.ask()[1][b"content-security-policy"].decode()
    assert "connect-src 'self'" in policy
    assert "http" not in policy
    assert "*" not in policy
