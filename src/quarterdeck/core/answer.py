"""A model's whole answer, before it is in the log."""

import json
from dataclasses import dataclass

from pydantic import JsonValue

from quarterdeck.core import limits
from quarterdeck.core.text import clean, clean_value, deeper
from quarterdeck.core.usage import Usage


def characters(args: dict[str, JsonValue]) -> int:
    """How long arguments are, as JSON."""
    return len(json.dumps(args, ensure_ascii=False))


@dataclass(frozen=True)
class RequestedCall:
    """A tool call as the model put it, but for characters that can't be stored.

    `fault` says why the arguments were no JSON object, or one that nobody could handle; `args` is then empty.
    """

    provider_id: str
    tool: str
    args: dict[str, JsonValue]
    fault: str = ""

    def __post_init__(self) -> None:
        """Cleans what the model wrote, and leaves out arguments that are too deep or too long to be kept."""
        fault = ""
        if deeper(self.args, limits.ARGUMENT_LEVELS):
            fault = f"The arguments nest deeper than {limits.ARGUMENT_LEVELS} levels."
        elif (size := characters(self.args)) > limits.ARGUMENT_CHARACTERS:
            most = f"{limits.ARGUMENT_CHARACTERS:,}"
            fault = f"The arguments have {size:,} characters, and {most} are allowed. Do it in parts, by several calls."
        if fault:
            object.__setattr__(self, "args", {})
            object.__setattr__(self, "fault", fault)
        object.__setattr__(self, "provider_id", clean(self.provider_id))
        object.__setattr__(self, "tool", clean(self.tool[: limits.TOOL_NAME_CHARACTERS]))
        object.__setattr__(self, "args", {clean(name): clean_value(value) for name, value in self.args.items()})


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
