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

    A message that came while the model thought, or while calls of its answer were open, stands behind the answer and
    its results: the model had not seen it, and providers want the results right behind the answer.
    """
    talk = _Talk()
    for event in events:
        match event.payload:
            case e.ComponentEntered(component=name) as p if name == component:
                talk.system = p.system or talk.system
                talk.hear(event.seq, p.user)
            case e.MessageAdded(component=name) as p if name in (component, ""):
                talk.hear(event.seq, p.text)
            case e.ModelAnswered(component=name) as p if name == component:
                talk.answer(event.seq, p)
            case e.ToolCallFinished() as p:
                talk.result(p)
            case _:
                pass
    return talk.whole()


class _Talk:
    def __init__(self) -> None:
        self.system = ""
        self._messages: list[Message] = []
        self._heard: list[tuple[int, Said]] = []
        self._calls: dict[str, e.AnswerCall] = {}
        self._results: dict[str, Result] = {}

    def hear(self, seq: int, text: str) -> None:
        if text:
            self._heard.append((seq, Said(text)))

    def answer(self, seq: int, answer: e.ModelAnswered) -> None:
        self._close(seq if answer.seen is None else answer.seen)
        self._messages.append(Answered(answer.text, answer.thinking, answer.calls, answer.opaque, answer.model))
        self._calls = {call.call_id: call for call in answer.calls}

    def result(self, finished: e.ToolCallFinished) -> None:
        call = self._calls.get(finished.call_id)
        if call is not None:
            self._results.setdefault(call.call_id, _result(call, finished.outcome, finished.text))

    def whole(self) -> Conversation:
        self._close()
        return Conversation(self.system, self._messages)

    def _close(self, seen: int | None = None) -> None:
        """Puts the results behind their answer, then what was heard up to `seen`."""
        if self._calls:
            cancelled = {
                i: _result(call, e.Outcome.CANCELLED, "This call was cancelled.") for i, call in self._calls.items()
            }
            self._messages.append(Results(tuple(self._results.get(i, cancelled[i]) for i in self._calls)))
        self._calls, self._results = {}, {}
        self._messages += [said for seq, said in self._heard if seen is None or seq <= seen]
        self._heard = [(seq, said) for seq, said in self._heard if seen is not None and seq > seen]


def _result(call: e.AnswerCall, outcome: e.Outcome, text: str) -> Result:
    return Result(call.call_id, call.provider_id, call.tool, call.args, outcome, text)
