"""Asks a model behind an OpenAI-compatible endpoint that the user configured. Nothing else here ever sends a text away.

Answers are kept on disk by what was asked, so that a resumed run neither waits nor pays twice. The key is read from an
environment variable and written nowhere; redirects are not followed, since they could carry it to another host.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tunesmith.core.errors import ConfigError, ModelError, SourceUnavailable
from tunesmith.core.files import canonical, read_json, sha256_bytes, write_json
from tunesmith.tasks import Message

# Waits between tries of what may pass: too many requests, a server that is busy or starting.
_WAITS_S = (1.0, 4.0, 15.0)
_PASSING = (408, 409, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class Said:
    """One answer. seconds: from question to answer, without waits for a busy server. Tokens: None if not told."""

    text: str
    seconds: float
    tokens_in: int | None
    tokens_out: int | None


@dataclass(frozen=True)
class Endpoint:
    """url: up to and with the version, such as http://127.0.0.1:8000/v1. key_env: variable that holds the key."""

    url: str
    model: str
    key_env: str = "OPENAI_API_KEY"
    max_tokens: int = 256
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"'{self.url}' is no address of an endpoint.", hint="for example http://127.0.0.1:8000/v1"
            )
        if parts.username or parts.password:
            raise ConfigError(
                "an endpoint's address must not hold a key: it would be written into plan.yaml.",
                hint=f"put the key into the environment variable {self.key_env}.",
            )

    def ask_all(
        self,
        conversations: Sequence[Sequence[Message]],
        folder: Path,
        *,
        at_once: int = 4,
        tick: Callable[[int], object] = lambda _: None,
    ) -> list[Said]:
        """One greedy answer to each conversation, in order; those in `folder` are not asked for again.

        Raises SourceUnavailable where the endpoint does not answer, ModelError for an answer that is none.
        """
        import httpx2 as httpx

        folder.mkdir(parents=True, exist_ok=True)
        key = os.environ.get(self.key_env)
        headers = {"Authorization": f"Bearer {key}"} if key else {}

        def one(messages: Sequence[Message]) -> Said:
            place = (
                folder / f"{sha256_bytes(canonical([self.url, self.model, self.max_tokens, list(messages)]))[:32]}.json"
            )
            if place.exists():
                return Said(**read_json(place))
            made = self._ask(client, messages)
            write_json(place, asdict(made))
            tick(1)
            return made

        with (
            httpx.Client(timeout=self.timeout_s, headers=headers, follow_redirects=False) as client,
            ThreadPoolExecutor(max(1, at_once)) as pool,
        ):
            waiting = [pool.submit(one, messages) for messages in conversations]
            try:
                return [answer.result() for answer in waiting]
            except BaseException:
                for answer in waiting:
                    answer.cancel()
                raise

    def _ask(self, client: Any, messages: Sequence[Message]) -> Said:
        import httpx2 as httpx

        body = {"model": self.model, "messages": list(messages), "temperature": 0.0, "max_tokens": self.max_tokens}
        where = self.url.rstrip("/") + "/chat/completions"
        for wait in (*_WAITS_S, None):
            began = time.monotonic()
            try:
                got = client.post(where, json=body)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if wait is None:
                    raise SourceUnavailable(
                        f"{self.url} does not answer: {error or type(error).__name__}.",
                        hint="start the server, then run the same command again: answers that came are kept.",
                    ) from error
                time.sleep(wait)
                continue
            seconds = time.monotonic() - began
            if got.status_code == 200:
                return _said(got, seconds, self.url)
            if got.status_code not in _PASSING or wait is None:
                raise SourceUnavailable(
                    f"{self.url} answers {got.status_code} {got.reason_phrase}.", hint=_remedy(got.status_code, self)
                )
            time.sleep(_asked_wait(got.headers.get("retry-after"), wait))
        raise AssertionError


def _said(got: Any, seconds: float, url: str) -> Said:
    try:
        told = got.json()
        text = told["choices"][0]["message"]["content"]
        usage = told.get("usage") or {}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{url} answers with something that is no chat completion.",
            hint="give the address of an OpenAI-compatible server, up to and with /v1.",
        ) from error
    tokens = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    counts = [n if isinstance(n, int) else None for n in tokens]
    return Said(text if isinstance(text, str) else "", round(seconds, 4), counts[0], counts[1])


def _remedy(status: int, endpoint: Endpoint) -> str:
    if status in (401, 403):
        return f"put a key that is valid there into the environment variable {endpoint.key_env}."
    if status == 404:
        return f"check the address (up to and with /v1) and that it serves a model called '{endpoint.model}'."
    return "look at the server's log; answers that came are kept, the same command goes on."


def _asked_wait(header: str | None, usual: float) -> float:
    try:
        return min(_LONGEST_WAIT_S, max(0.0, float(header))) if header is not None else usual
    except ValueError:
        return usual
