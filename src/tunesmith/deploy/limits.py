"""Limits of an export's size and of the time of an answer, and the form that keeps to them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tunesmith.core.errors import ConfigError

# Forms that answer by themselves, those nearest to the original first: a limit is met by the first that keeps to it.
# A GGUF file is not among them: how fast it answers depends on the program that reads it.
BY_CLOSENESS = (
    ("bundle", "none"),
    ("onnx", "none"),
    ("merged", "f16"),
    ("onnx", "int8"),
    ("ctranslate2", "int8"),
)


class TooMuch(ConfigError):
    """An export that is larger, or answers slower, than was allowed."""


@dataclass(frozen=True)
class Within:
    """size_bytes: of the whole folder. time_ms: of one answer to one text, median, by the CPU time of one thread.

    CPU time is what an answer takes on a core that does nothing else; by the clock a busy machine would decide.
    tried: what was tried before, each with what was against it.
    """

    size_bytes: int | None = None
    time_ms: float | None = None
    tried: tuple[str, ...] = ()

    def allow_size(self, found: int) -> None:
        """Raise TooMuch for a folder that is too large."""
        if self.size_bytes is not None and found > self.size_bytes:
            raise TooMuch(f"{found / 1e6:,.1f} MB, above {self.size_bytes / 1e6:,.1f} MB")

    def allow_time(self, timed: dict[str, float]) -> None:
        """Raise TooMuch where answers take too long, or were not timed."""
        if self.time_ms is None:
            return
        found = timed.get("cpu_ms_p50")
        if found is None:
            raise TooMuch("no answer was timed")
        if found > self.time_ms:
            raise TooMuch(f"{found:,.1f} ms an answer, above {self.time_ms:,.1f} ms")

    def after(self, form: str, kind: str, against: str) -> Within:
        """The same limits, with one more form that does not do."""
        return replace(self, tried=(*self.tried, f"{told(form, kind)}: {against}"))

    def why(self, size: int, timed: dict[str, float]) -> str:
        """Why what was just measured is taken; "" without limits."""
        if self.size_bytes is None and self.time_ms is None:
            return ""
        kept = []
        if self.size_bytes is not None:
            kept.append(f"{size / 1e6:,.1f} of {self.size_bytes / 1e6:,.1f} MB")
        if self.time_ms is not None:
            kept.append(f"{timed['cpu_ms_p50']:,.1f} of {self.time_ms:,.1f} ms an answer")
        others = f"; not taken: {'; '.join(self.tried)}" if self.tried else ""
        return f"of the forms nearest to the original the first that keeps to {' and '.join(kept)}{others}."

    def refusal(self) -> ConfigError:
        """What to say where no form keeps to them."""
        limits = [] if self.size_bytes is None else [f"{self.size_bytes / 1e6:,.1f} MB"]
        limits += [] if self.time_ms is None else [f"{self.time_ms:,.1f} ms an answer"]
        return ConfigError(
            f"no form of this model keeps to {' and '.join(limits)}:\n  " + "\n  ".join(self.tried),
            hint="allow more, export a smaller rung (--system; tunesmith show RUN), or train on a smaller base.",
        )


UNBOUNDED = Within()


def told(form: str, kind: str) -> str:
    """A form with its quantisation, as it is named to people."""
    return form if kind == "none" else f"{form} {kind}"
