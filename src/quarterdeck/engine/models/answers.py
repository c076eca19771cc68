"""A provider's answer in our words, storable whatever the model wrote."""

import json
import math
from typing import cast

from pydantic import JsonValue
from pydantic_ai import messages as theirs

from quarterdeck.core.text import clean
from quarterdeck.engine.models.model import RequestedCall


def text(response: theirs.ModelResponse) -> str:
    """What the model says; parts that it thought between stand apart."""
    return clean("\n\n".join(p.content for p in response.parts if isinstance(p, theirs.TextPart) and p.content))


def thinking(response: theirs.ModelResponse) -> str:
    """What the model let see of its thoughts."""
    return clean("\n\n".join(p.content for p in response.parts if isinstance(p, theirs.ThinkingPart) and p.content))


def calls(response: theirs.ModelResponse) -> tuple[RequestedCall, ...]:
    """The tools that the model asks for, in its order."""
    cut = " The answer reached its limit of length." if response.finish_reason == "length" else ""
    return tuple(_requested(part, cut) for part in response.parts if isinstance(part, theirs.ToolCallPart))


def size(response: theirs.ModelResponse) -> int:
    """How many characters the answer has so far, arguments of calls included."""
    return sum(
        len(part.content)
        if isinstance(part, theirs.TextPart | theirs.ThinkingPart)
        else len(part.args_as_json_str())
        if isinstance(part, theirs.ToolCallPart)
        else 0
        for part in response.parts
    )


def _requested(part: theirs.ToolCallPart, cut: str) -> RequestedCall:
    provider_id, tool = clean(part.tool_call_id), clean(part.tool_name)
    try:
        args = _storable(part.args if isinstance(part.args, dict) else json.loads(part.args or "{}"))
    except (ValueError, RecursionError) as error:
        return RequestedCall(provider_id, tool, {}, f"The arguments are no JSON: {clean(str(error))}.{cut}")
    if not isinstance(args, dict):
        return RequestedCall(provider_id, tool, {}, "The arguments are no JSON object.")
    return RequestedCall(provider_id, tool, args)


def _storable(value: object) -> JsonValue:
    """JSON that PostgreSQL takes.

    Raises:
        ValueError: a number that JSON doesn't have.
    """
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(key): _storable(inner) for key, inner in cast("dict[str, object]", value).items()}
        case list():
            return [_storable(inner) for inner in cast("list[object]", value)]
        case float() if not math.isfinite(value):
            raise ValueError(f"it has no number {value}")
        case bool() | int() | float() | None:
            return value
        case _:
            raise ValueError(f"it has nothing like {type(value).__name__}")
