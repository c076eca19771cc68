"""Conversations and tools as pydantic-ai takes them."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import assert_never

from pydantic_ai import messages as theirs
from pydantic_ai.tools import ToolDefinition

from quarterdeck.core.events import AnswerCall, Outcome
from quarterdeck.core.history import Answered, Message, Result, Results, Said
from quarterdeck.core.limits import IMAGE_CHARACTERS
from quarterdeck.engine.models.model import Request
from quarterdeck.engine.models.opaque import restored
from quarterdeck.tools.tool import Tool

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_NINE = re.compile(r"[a-zA-Z0-9]{9}")
_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def definitions(tools: Iterable[Tool]) -> list[ToolDefinition]:
    """The tools as a provider is told of them."""
    return [
        ToolDefinition(name=tool.name, parameters_json_schema=dict(tool.schema()), description=tool.description)
        for tool in tools
    ]


def size(request: Request) -> int:
    """About how many characters a provider reads of a question."""
    tools = sum(len(tool.name) + len(tool.description) + len(json.dumps(tool.schema())) for tool in request.tools)
    return len(request.system) + tools + sum(_size(message) for message in request.messages)


def _size(message: Message) -> int:
    match message:
        case Said():
            return len(message.text) + IMAGE_CHARACTERS * len(message.images)
        case Answered():
            return len(message.text) + sum(len(call.tool) + len(json.dumps(call.args)) for call in message.calls)
        case Results(results=results):
            return sum(len(result.text) for result in results)
        case _:
            assert_never(message)


def history(
    messages: Sequence[Message], model: str, *, nine: bool = False, images: bool = True
) -> list[theirs.ModelMessage]:
    """The conversation for `model`; what another model's provider wanted back unread is left out.

    Without `images` the model is told which it can't be shown.
    With `nine` each call's id has nine letters and digits, as Mistral's models want it.
    """
    sent: list[theirs.ModelMessage] = []
    ids: dict[str, str] = {}
    for message in messages:
        match message:
            case Said():
                sent.append(theirs.ModelRequest([theirs.UserPromptPart(_said(message, model, images=images))]))
            case Answered():
                ids = _wire_ids(message.calls, same=message.model == model)
                if nine:
                    ids = {call_id: _nine(wire_id) for call_id, wire_id in ids.items()}
                answer = _answer(message, ids, model)
                if answer.parts:  # providers refuse an answer of nothing
                    sent.append(answer)
            case Results(results=results):
                sent.append(theirs.ModelRequest([_result(result, ids) for result in results]))
            case _:
                assert_never(message)
    return sent


def _said(said: Said, model: str, *, images: bool) -> str | list[theirs.UserContent]:
    if not said.images:
        return said.text
    if not images:
        names = ", ".join(f"`{one.name}`" for one in said.images)
        return f"{said.text}\n\n({names}: not shown to you, because {model} takes no images. Say so.)"
    return [said.text, *(theirs.BinaryContent(one.data, media_type=one.media_type) for one in said.images)]


def _answer(answered: Answered, ids: dict[str, str], model: str) -> theirs.ModelResponse:
    calls = [theirs.ToolCallPart(_tool_name(c.tool), dict(c.args), ids[c.call_id]) for c in answered.calls]
    if answered.model == model:
        return restored(answered, calls)
    words = [theirs.TextPart(answered.text)] if answered.text else []
    return theirs.ModelResponse(parts=[*words, *calls])


def _wire_ids(calls: Sequence[AnswerCall], *, same: bool) -> dict[str, str]:
    """By our call_id, the id that a provider reads: its own where it made one that it takes back, else ours."""
    seen = Counter(call.provider_id for call in calls)
    return {
        call.call_id: call.provider_id
        if same and seen[call.provider_id] == 1 and _CALL_ID.fullmatch(call.provider_id)
        else call.call_id
        for call in calls
    }


def _nine(wire_id: str) -> str:
    return wire_id if _NINE.fullmatch(wire_id) else sha256(wire_id.encode()).hexdigest()[:9]


def _result(result: Result, ids: dict[str, str]) -> theirs.ToolReturnPart:
    words = result.text or "(no output)"
    return theirs.ToolReturnPart(
        _tool_name(result.tool),
        words if result.outcome is Outcome.OK else f"Outcome: {result.outcome}\n{words}",
        ids.get(result.call_id, result.call_id),
    )


def _tool_name(name: str) -> str:
    """A name that providers take back in a history; models do call tools by names that they would refuse."""
    return _NOT_IN_NAMES.sub("_", name)[:64] or "unknown"
