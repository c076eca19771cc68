"""An agent's conversation, rebuilt from the log for the model."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import JsonValue

from quarterdeck.core import events as e


@dataclass(frozen=True)
class Said:
    """The person's (or the flow's) words."""

    text: str


@dataclass(frozen=True)
class Answered:
    """The model's earlier answer, with what its provider wants back unread."""

    text: str
    thinking: str
    calls: tuple[e.AnswerCall, ...]
    opaque: str
    model: str


@dataclass(frozen=True)
class Result:
    """What one call of an answer came to."""

    call_id: str
    provider_id: str
    tool: str
    args: dict[str, JsonValue]
    outcome: e.Outcome
    text: str


@dataclass(frozen=True)
class Results:
    """All results of one answer's calls, in the order of the calls."""

    results: tuple[Result, ...]


Message = Said | Answered | Results


@dataclass
class Conversation:
    """What the model is given: its system text, then messages in turn."""

    system: str = ""
    messages: list[Message] = field(default_factory=list[Message])


def conversation(component: str, events: Iterable[e.Event]) -> Conversation:
    """The conversation of `component` so far.

    A message that came while calls of an answer were open stands after their results, because providers want the
    results right behind the answer.
    """
    talk = Conversation()
    open_calls: dict[str, e.AnswerCall] = {}
    results: dict[str, Result] = {}
    late: list[Said] = []

    def close() -> None:
        nonlocal open_calls, results
        if open_calls:
            talk.messages.append(Results(tuple(results[i] for i in open_calls if i in results)))
        open_calls, results = {}, {}
        talk.messages.extend(late)
        late.clear()

    for event in events:
        match event.payload:
            case e.ComponentEntered(component=name) as p if name == component:
                talk.system = p.system or talk.system
                if p.user:
                    talk.messages.append(Said(p.user))
            case e.MessageAdded(component=name) as p if name in (component, ""):
                (late if open_calls else talk.messages).append(Said(p.text))
            case e.ModelAnswered(component=name) as p if name == component:
                talk.messages.append(Answered(p.text, p.thinking, p.calls, p.opaque, p.model))
                open_calls = {call.call_id: call for call in p.calls}
            case e.ToolCallFinished(call_id=i) as p if i in open_calls:
                call = open_calls[i]
                results[i] = Result(i, call.provider_id, call.tool, call.args, p.outcome, p.text)
                if len(results) == len(open_calls):
                    close()
            case _:
                pass
    return talk
