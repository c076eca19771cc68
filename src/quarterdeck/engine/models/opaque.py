"""What a provider wants back unread with the next question, like the signatures of a model's thoughts."""

from collections.abc import Iterator
from dataclasses import replace

from pydantic import ValidationError
from pydantic_ai import messages as theirs
from pydantic_core import PydanticSerializationError

from quarterdeck.core.history import Answered


def kept(response: theirs.ModelResponse) -> str:
    """It as JSON; empty when there is nothing of the kind.

    The answer's parts without their texts and arguments: those are in the log in the open, where they are redacted.
    """
    if not any(isinstance(part, theirs.ThinkingPart) or _marked(part) for part in response.parts):
        return ""
    skeleton = theirs.ModelResponse(
        parts=[_emptied(part) for part in response.parts],
        model_name=response.model_name,
        provider_name=response.provider_name,
        provider_url=response.provider_url,
        canonical_system=response.canonical_system,
    )
    try:
        return theirs.ModelMessagesTypeAdapter.dump_json([skeleton]).decode()
    except PydanticSerializationError:  # lone surrogates: no thought that was signed has them
        return ""


def restored(answered: Answered, calls: list[theirs.ToolCallPart]) -> theirs.ModelResponse:
    """The answer as its provider gave it, with text and `calls` as the log has them.

    What `kept` made in a version of the library that this one can't read is left out.
    """
    skeleton = _skeleton(answered.opaque)
    return replace(skeleton, parts=list(_filled(skeleton, answered.text, calls)))


def _marked(part: theirs.ModelResponsePart) -> bool:
    return isinstance(part, theirs.TextPart | theirs.ToolCallPart) and bool(part.provider_details)


def _emptied(part: theirs.ModelResponsePart) -> theirs.ModelResponsePart:
    match part:
        case theirs.TextPart():
            return replace(part, content="", citations=None)
        case theirs.ToolCallPart():
            return replace(part, args=None)
        case _:
            return part


def _skeleton(opaque: str) -> theirs.ModelResponse:
    try:
        messages = theirs.ModelMessagesTypeAdapter.validate_json(opaque or "[]")
    except ValidationError:
        messages = []
    return next((message for message in messages if isinstance(message, theirs.ModelResponse)), _EMPTY)


_EMPTY = theirs.ModelResponse(parts=[])


def _filled(
    skeleton: theirs.ModelResponse, words: str, calls: list[theirs.ToolCallPart]
) -> Iterator[theirs.ModelResponsePart]:
    """The parts of the skeleton with their contents, then what it has no place for."""
    left = list(calls)
    for part in skeleton.parts:
        match part:
            case theirs.TextPart():
                if words:
                    yield replace(part, content=words)
                words = ""
            case theirs.ToolCallPart():
                if left:
                    call = left.pop(0)
                    yield replace(part, tool_name=call.tool_name, args=call.args, tool_call_id=call.tool_call_id)
            case _:
                yield part
    if words:
        yield theirs.TextPart(words)
    yield from left
