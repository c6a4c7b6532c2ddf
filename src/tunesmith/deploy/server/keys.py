"""Who may ask, and how much: keys of which only the hash is stored, each with limits of its own.

    {"name": "anna", "sha256": "…", "requests_per_minute": 600, "tokens_per_minute": 60000}

One JSON object a line. A key has 256 random bits, so that a plain hash gives nothing to guess from.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.core.errors import ConfigError

# Wrong keys a minute that are answered as such; beyond it whoever sends one is told to wait.
_WRONG_PER_MINUTE = 60.0


@dataclass(frozen=True)
class Key:
    """A key's hash and its limits; None: no limit. sha256: 64 hex digits."""

    name: str
    sha256: str
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


def new_key() -> str:
    """A key nobody can guess."""
    return "ts-" + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def read_keys(path: Path) -> list[Key]:
    """The keys of a file. Raises ConfigError, with the line, for what is no key."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}.", hint="make it with:  --new-key NAME") from error
    found: list[Key] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            key = Key(**json.loads(line))
            limits = (key.requests_per_minute, key.tokens_per_minute)
            if len(bytes.fromhex(key.sha256)) != 32 or not isinstance(key.name, str):
                raise ValueError("sha256 has 64 hex digits, and name is a text")
            if any(limit is not None and not limit > 0 for limit in limits):
                raise ValueError("limits are above 0")
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{path} line {number}: no key: {error}.", hint="make one with:  --new-key NAME"
            ) from error
        if any(key.name == other.name for other in found):
            raise ConfigError(f"{path} line {number}: there are two keys called '{key.name}'.", hint="delete one.")
        found.append(key)
    if not found:
        raise ConfigError(f"{path}: there is no key in it.", hint="make one with:  --new-key NAME")
    return found


def add_key(
    path: Path, name: str, *, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
) -> str:
    """Append a new key's hash to the file (made for its owner alone) and return the key, which is nowhere else."""
    if path.exists() and any(key.name == name for key in read_keys(path)):
        raise ConfigError(f"{path}: there is a key called '{name}' already.", hint="choose another name.")
    key = new_key()
    about = {"name": name, "sha256": hash_of(key), "requests_per_minute": requests_per_minute,
             "tokens_per_minute": tokens_per_minute}  # fmt: skip
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as handle:  # noqa: PTH123
        handle.write(json.dumps(about) + "\n")
    return key


@dataclass
class Bucket:
    """A limit of so many a minute: what is left, refilled as time goes. Refuses while less than 1 is left."""

    per_minute: float
    clock: Callable[[], float] = time.monotonic
    _left: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._most = max(1.0, self.per_minute)
        self._left, self._at = self._most, self.clock()

    def wait_s(self) -> int:
        """0 if something is left, else the whole seconds until there is."""
        self._refill()
        return 0 if self._left >= 1 else max(1, math.ceil((1 - self._left) * 60.0 / self.per_minute))

    def take(self, n: float) -> None:
        """Take n off, below 0 if need be."""
        self._refill()
        self._left -= n

    def _refill(self) -> None:
        now = self.clock()
        self._left = min(self._most, self._left + (now - self._at) * self.per_minute / 60.0)
        self._at = now


class Caller:
    """A key in use."""

    def __init__(self, key: Key) -> None:
        self.name = key.name
        self._hash = bytes.fromhex(key.sha256)
        self._requests = None if key.requests_per_minute is None else Bucket(key.requests_per_minute)
        self._tokens = None if key.tokens_per_minute is None else Bucket(key.tokens_per_minute)

    def is_it(self, digest: bytes) -> bool:
        """Compared in the same time whatever is wrong."""
        return hmac.compare_digest(self._hash, digest)

    def admit(self) -> int:
        """0 and one request is taken off, or the seconds to wait."""
        wait = max((bucket.wait_s() for bucket in (self._requests, self._tokens) if bucket is not None), default=0)
        if not wait and self._requests is not None:
            self._requests.take(1)
        return wait

    def spend(self, tokens: int) -> None:
        """Take tokens off that a request has cost."""
        if self._tokens is not None:
            self._tokens.take(tokens)


class Doorkeeper:
    """Finds out who asks. Every key is compared, so that the time says nothing of which was near."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._callers = [Caller(key) for key in keys]
        self._wrong = Bucket(_WRONG_PER_MINUTE)

    def caller(self, header: str) -> Caller | None:
        """Whose key an Authorization header holds, or None."""
        scheme, _, key = header.partition(" ")
        digest = bytes.fromhex(hash_of(key.strip()))
        matching = [caller for caller in self._callers if caller.is_it(digest)]
        return matching[0] if matching and scheme.lower() == "bearer" else None

    def wrong(self) -> int:
        """Count a wrong key; the seconds to wait if there were too many, else 0."""
        wait = self._wrong.wait_s()
        if not wait:
            self._wrong.take(1)
        return wait
