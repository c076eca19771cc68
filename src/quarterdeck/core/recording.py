"""What a session's models answered, taken out of its log so that another session can be given it again."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, JsonValue

from quarterdeck.core import events as e


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordedCall(_Part):
    """A tool call that the model asked for."""

    tool: str
    args: dict[str, JsonValue]


class RecordedAnswer(_Part):
    """One answer, without what only its provider could read."""

    text: str
    thinking: str = ""
    calls: tuple[RecordedCall, ...] = ()


class Recording(_Part):
    """A session's answers, each component's in their order."""

    session: int
    components: dict[str, tuple[RecordedAnswer, ...]]


def recording(session: int, events: Iterable[e.Event]) -> Recording:
    """All whole answers of a log; half ones were never in it."""
    found: dict[str, list[RecordedAnswer]] = {}
    for event in events:
        if isinstance(event.payload, e.ModelAnswered):
            answer = event.payload
            calls = tuple(RecordedCall(tool=call.tool, args=call.args) for call in answer.calls)
            kept = RecordedAnswer(text=answer.text, thinking=answer.thinking, calls=calls)
            found.setdefault(answer.component, []).append(kept)
    return Recording(session=session, components={name: tuple(answers) for name, answers in found.items()})
