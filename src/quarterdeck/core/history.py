"""An agent's conversation, rebuilt from the log for the model."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import assert_never

from pydantic import JsonValue

from quarterdeck.core import events as e
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.text import cut


@dataclass(frozen=True)
class Image:
    """A picture as a model is shown it."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True)
class Said:
    """The person's (or the flow's) words, with the files that came with them, or the images among these, read."""

    text: str
    attachments: tuple[Attachment, ...] = ()
    images: tuple[Image, ...] = ()


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
    compacted: int = 0
    """How many answers the first message stands for; 0 when nothing was compacted."""
    seen: list[int] = field(default_factory=list[int], compare=False)
    """For each answer, in turn, the last event that its question knew of."""


INTERRUPTED = "(The person interrupted this answer here.)"
"""Stands behind what there was of an answer, so that the model knows that it is no whole one."""


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
                talk.hear(event.seq, p.user, p.attachments)
            case e.MessageAdded(component=name) as p if name in (component, ""):
                talk.hear(event.seq, p.text, p.attachments)
            case e.DelegationStarted(component=name) as p if name == component:
                talk.system = p.system or talk.system
                talk.hear(event.seq, p.user)
            case e.NoticeAdded(component=name) as p if name == component:
                talk.hear(event.seq, p.text)
            case e.ModelAnswered(component=name) as p if name == component:
                talk.answer(event.seq, p)
            case e.ModelInterrupted(component=name) as p if name == component:
                talk.interrupted(event.seq, p)
            case e.ContextCompacted(component=name) as p if name == component:
                talk.compact(p)
            case e.ToolCallFinished() as p:
                talk.result(p)
            case _:
                pass
    return talk.whole()


class _Talk:
    def __init__(self) -> None:
        self.system = ""
        self._messages: list[tuple[int, Message]] = []
        """With the `seq` of the answer's `seen`, or of what was heard."""
        self._heard: list[tuple[int, Said]] = []
        self._calls: dict[str, e.AnswerCall] = {}
        self._results: dict[str, Result] = {}
        self._seen = 0
        self._compacted = 0

    def hear(self, seq: int, text: str, attachments: tuple[Attachment, ...] = ()) -> None:
        if text or attachments:
            self._heard.append((seq, Said(text, attachments)))

    def answer(self, seq: int, answer: e.ModelAnswered) -> None:
        self._close(seq if answer.seen is None else answer.seen)
        self._seen = seq - 1 if answer.seen is None else answer.seen
        said = Answered(answer.text, answer.thinking, answer.calls, answer.opaque, answer.model)
        self._messages.append((self._seen, said))
        self._calls = {call.call_id: call for call in answer.calls}

    def interrupted(self, seq: int, answer: e.ModelInterrupted) -> None:
        self._close(seq)
        self._seen = seq - 1
        text = f"{answer.text}\n\n{INTERRUPTED}".strip()
        self._messages.append((self._seen, Answered(text, "", (), "", "")))

    def result(self, finished: e.ToolCallFinished) -> None:
        call = self._calls.get(finished.call_id)
        if call is not None:
            self._results.setdefault(call.call_id, _result(call, finished.outcome, finished.text))

    def compact(self, compacted: e.ContextCompacted) -> None:
        self.system = compacted.system
        self._compacted = compacted.answers
        left = [(seen, message) for seen, message in self._messages if self._kept(seen, message, compacted.through)]
        self._messages = [(compacted.through, Said(compacted.text)), *left]

    def _kept(self, seq: int, message: Message, through: int) -> bool:
        # An answer whose question knew of nothing behind `through` is the first that stays.
        return seq >= through if isinstance(message, Answered | Results) else seq > through

    def whole(self) -> Conversation:
        self._close()
        return Conversation(
            self.system,
            [message for _, message in self._messages],
            self._compacted,
            [seen for seen, message in self._messages if isinstance(message, Answered)],
        )

    def _close(self, seen: int | None = None) -> None:
        """Puts the results behind their answer, then what was heard up to `seen`."""
        if self._calls:
            cancelled = {
                i: _result(call, e.Outcome.CANCELLED, "This call was cancelled.") for i, call in self._calls.items()
            }
            self._messages.append((self._seen, Results(tuple(self._results.get(i, cancelled[i]) for i in self._calls))))
        self._calls, self._results = {}, {}
        self._messages += [(seq, said) for seq, said in self._heard if seen is None or seq <= seen]
        self._heard = [(seq, said) for seq, said in self._heard if seen is not None and seq > seen]


def _result(call: e.AnswerCall, outcome: e.Outcome, text: str) -> Result:
    return Result(call.call_id, call.provider_id, call.tool, call.args, outcome, text)


def bounded(talk: Conversation, characters: int) -> Conversation:
    """The conversation with at most about so many characters of results behind each answer; the longest are cut.

    The last answer's results are what no compaction takes away, so that they have to fit in by themselves.
    """
    return replace(
        talk,
        messages=[
            Results(_cut(message.results, characters)) if isinstance(message, Results) else message
            for message in talk.messages
        ],
    )


def _cut(results: tuple[Result, ...], room: int) -> tuple[Result, ...]:
    """What shorter ones leave of their share is for the longer ones."""
    lengths = sorted(len(result.text) for result in results)
    share = room
    for place, length in enumerate(lengths):
        share = room // (len(lengths) - place)
        if length > share:
            break
        room -= length
    else:
        return results
    note = "characters left out: all results of an answer have to fit in"
    return tuple(replace(result, text=cut(result.text, share, note=note)) for result in results)


def first_kept(talk: Conversation, *, messages: int, characters: int) -> int:
    """Where to cut a conversation: which of its answers is the first that stays when the rest is compacted.

    As many of the last `messages` stay as have at most `characters`, but the last answer with its results always.
    """
    places = [place for place, message in enumerate(talk.messages) if isinstance(message, Answered)]
    kept = len(places) - 1
    while kept > 1:
        rest = talk.messages[places[kept - 1] :]
        if len(rest) > messages or sum(map(size, rest)) > characters:
            break
        kept -= 1
    return kept


def size(message: Message) -> int:
    """The characters of a message."""
    match message:
        case Said():
            return len(message.text) + sum(one.characters for one in message.attachments)
        case Answered():
            return len(message.text) + sum(len(str(call.args)) for call in message.calls)
        case Results(results=results):
            return sum(len(result.text) for result in results)
        case _:
            assert_never(message)


def transcript(talk: Conversation) -> str:
    """A conversation as a text that another agent can be shown."""
    lines: list[str] = []
    for message in talk.messages:
        match message:
            case Said(text=text):
                lines.append(f"person: {text}")
                lines += [f"attached: {one.name}" for one in message.attachments]
            case Answered():
                lines += [f"agent: {message.text}"] if message.text else []
                lines += [f"agent uses {call.tool}: {call.args}" for call in message.calls]
            case Results(results=results):
                lines += [f"{result.tool} ({result.outcome}): {result.text}" for result in results]
            case _:
                assert_never(message)
    return "\n\n".join(lines)
