"""A model's whole answer, before it is in the log."""

from dataclasses import dataclass

from pydantic import JsonValue

from quarterdeck.core.usage import Usage


@dataclass(frozen=True)
class RequestedCall:
    """A tool call as the model put it; `fault` says why the arguments were no JSON object, `args` is then empty."""

    provider_id: str
    tool: str
    args: dict[str, JsonValue]
    fault: str = ""


@dataclass(frozen=True)
class Reply:
    """A whole answer; `opaque` is what the provider wants back unread with the next question."""

    text: str
    thinking: str
    calls: tuple[RequestedCall, ...]
    opaque: str
    model: str
    usage: Usage
    duration_ms: int
