"""Every error that Tunesmith shows to a person.

    TunesmithError            exit code 2: the user can mend it
    ├── ConfigError           a key or a value in the config or on the command line
    ├── DataError             a file, row or column
    │   └── SealedError       test targets asked for outside *evaluate*
    ├── ModelError            a base model or an adapter
    │   └── SourceUnavailable the model is named correctly but cannot be had here
    ├── MissingExtra          an optional dependency is not installed
    ├── RunError              a run folder: locked, damaged, of another format
    ├── SandboxUnavailable    this machine cannot confine a program that nobody vouches for
    └── CheckFailed           exit code 3: a recorded proof did not hold

Errors with a remedy carry it in `hint`. The CLI prints message and hint; a traceback only with --debug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TunesmithError(Exception):
    """What happened and where (`message`), and what to do about it (`hint`)."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"

    def __reduce__(self) -> tuple[object, ...]:  # keeps `hint` when crossing a process boundary
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[TunesmithError], message: str, hint: str | None) -> TunesmithError:
    return kind(message, hint=hint)


class ConfigError(TunesmithError):
    """A key or a value that Tunesmith does not understand."""


class DataError(TunesmithError):
    """A file, row or column that cannot be used as it is."""


class SealedError(DataError):
    """Test targets were asked for by something other than *evaluate*."""


class ModelError(TunesmithError):
    """A base model, tokenizer or adapter that cannot be used as it is."""


class SourceUnavailable(ModelError):
    """A base model that exists but cannot be had here (no network, no permission)."""


class MissingExtra(TunesmithError):
    """An optional dependency is missing; `hint` is the line to type."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the extra '{extra}', which is not installed.",
            hint=f'install it with:  pip install "tunesmith[{extra}]"',
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_plain, (self.message, self.hint))


def _rebuild_plain(message: str, hint: str | None) -> TunesmithError:
    return TunesmithError(message, hint=hint)


class RunError(TunesmithError):
    """A run folder that is locked, damaged or of another format."""


class SandboxUnavailable(TunesmithError):
    """A program that nobody vouches for cannot be confined on this machine."""


class CheckFailed(TunesmithError):
    """A recorded check did not hold; the run stops so that the result cannot mislead."""

    exit_code = 3


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` was probably meant to be, or None.

    Case is ignored; at least 60 % of the letters must agree (difflib's ratio).
    """
    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), list(names), n=1, cutoff=0.6)
    return names[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint sentence that names the nearest known name, or lists the known names when few."""
    names = sorted(set(known))
    guess = nearest(word, names)
    if guess is not None:
        return f"Did you mean '{guess}'?"
    return f"Known: {', '.join(names)}" if 0 < len(names) <= 12 else None
