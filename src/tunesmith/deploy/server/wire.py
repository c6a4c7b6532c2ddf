"""What requests hold: read strictly, as nobody vouches for them. Loaded only where pydantic is (extra `serve`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _sound(text: str) -> str:
    """The text; ValueError for half a character (a lone surrogate), which no model can be given."""
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("half a character (a lone surrogate)")
    return text


Text = Annotated[str, AfterValidator(_sound)]
Row = Text | dict[Text, Text | int | float | bool | None]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1, le=1 << 20)]


class Rows(BaseModel):  # type: ignore[misc]
    """A request to /v1/classify or /v1/extract. input: a text, a row with the run's input columns, or a list of them.

    model may be left out where one is served. accept_at: hold back what is not so sure (0: nothing).
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    input: Row | Annotated[list[Row], Field(min_length=1)]
    model: Text | None = None
    accept_at: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    top: Annotated[int, Field(ge=0, le=1000)] = 5


class Part(BaseModel):  # type: ignore[misc]
    """A piece of a message."""

    type: Literal["text"]
    text: Text


class Turn(BaseModel):  # type: ignore[misc]
    """A message. Only texts are read."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[Part]

    @property
    def text(self) -> str:
        """All of it."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(BaseModel):  # type: ignore[misc]
    """include_usage: a last chunk with the token counts."""

    include_usage: bool = False


class TextOnly(BaseModel):  # type: ignore[misc]
    """The only form that is chosen here; a run's schema binds its answers by itself."""

    type: Literal["text"]


class Wish(BaseModel):  # type: ignore[misc]
    """What both endpoints of OpenAI's form take. What would change the answer and is not served is refused."""

    model: Text
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    stop: Text | Annotated[list[Text], Field(max_length=4)] | None = None
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    response_format: TextOnly | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    presence_penalty: Annotated[float, Field(ge=0.0, le=0.0)] | None = None
    frequency_penalty: Annotated[float, Field(ge=0.0, le=0.0)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end an answer."""
        some = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in some if text)


class Chat(Wish):
    """A request to /v1/chat/completions."""

    messages: Annotated[list[Turn], Field(min_length=1)]
    max_completion_tokens: Count | None = None


class Completion(Wish):
    """A request to /v1/completions. prompt: a text as a row holds it; the run's own template is put around."""

    prompt: Text | Annotated[list[Text], Field(min_length=1, max_length=1)]
    best_of: Literal[1] | None = None
    echo: Literal[False] | None = None
    suffix: Literal[""] | None = None
