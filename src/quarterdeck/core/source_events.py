"""Events as the source of an external session sends them: bounded, and without what only the server can know.

A source is whatever works elsewhere: a CI job, a script, another product. It numbers what it sends from 1, so that a
repeat is known as one. Each of its events becomes one event of the log.
"""

import json
import math
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.archive import local_id, told
from quarterdeck.core.errors import ConflictError, IllegalTransitionError, InvalidInputError
from quarterdeck.core.payload import Level
from quarterdeck.core.state import CallStatus, SessionState
from quarterdeck.core.status import Transition, after, human
from quarterdeck.core.text import clean_value
from quarterdeck.core.usage import Usage

COMPONENT = "agent"
"""Whose conversation it is; a fork goes on with the agent of that name in the session's flow."""
_LARGEST = 2**31 - 1

Name = Annotated[str, Field(min_length=1, max_length=255)]
Text = Annotated[str, Field(max_length=limits.SOURCE_TEXT_CHARACTERS)]
Url = Annotated[str, Field(max_length=2_048, pattern=r"^(https?://.*|/([^/\\].*)?)?$")]
Count = Annotated[int, Field(ge=0, le=_LARGEST)]
Values = dict[str, JsonValue]


class SourceGapError(ConflictError):
    """Events are missing before these; nothing of the batch was stored."""

    code = "source_gap"

    def __init__(self, session_id: int, first: int, expected: int) -> None:
        super().__init__(
            f"The next event of session #{session_id} is number {expected}, but the batch begins with {first}. "
            f"Nothing of it was stored; send from {expected} on."
        )
        self.expected = expected


class WrongEventError(InvalidInputError):
    """An event doesn't fit the session; nothing of its batch was stored."""

    code = "wrong_event"

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"events.{index} doesn't fit the session: {why} Nothing of the batch was stored.")
        self.index = index


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class SourceEvent(_Part):
    """What all kinds have in common."""

    record: ClassVar[bool] = False
    """Whether it may come after the end."""
    seq: int = Field(ge=1, le=2**53, description="The source's own number: from 1, one after the other.")
    at: AwareDatetime | None = Field(
        default=None, description="When it was: at most a day ago, and never before what is in the log."
    )
    level: Level | None = Field(default=None, description="The least dense view that shows it, if not the kind's own.")

    def payload(self, state: SessionState, session_id: int) -> e.AnyPayload:
        """What the log gets, where the session stands so. Raises InvalidInputError."""
        raise NotImplementedError


class SourceMessage(SourceEvent):
    """Somebody said something to the agent."""

    kind: Literal["message.added"]
    text: Text
    by: Name = "person"

    def payload(self, state: SessionState, session_id: int) -> e.AnyPayload:
        """The message."""
        return e.MessageAdded(text=self.text, by=self.by, component=COMPONENT)


class SourceCall(_Part):
    """A tool call of an answer."""

    call_id: str = Field(min_length=1, max_length=40)
    tool: str = Field(min_length=1, max_length=limits.TOOL_NAME_CHARACTERS)
    args: Values = Field(default={})


class SourceAnswer(SourceEvent):
    """The model's whole answer; each of its calls follows as `tool_call.requested`."""

    kind: Literal["model.answered"]
    text: Text = ""
    thinking: Text = ""
    calls: tuple[SourceCall, ...] = Field(default=(), max_length=limits.CALLS_PER_ANSWER)
    model: str = Field(default="", max_length=255)
    duration_ms: Count = 0

    def payload(self, state: SessionState, session_id: int) -> e.AnyPayload:
        """The answer."""
        calls = tuple(
            e.AnswerCall(
                call_id=local_id(session_id, call.call_id), provider_id=call.call_id, tool=call.tool,
                args=_storable(call.args),
            )
            for call in self.calls
        )  # fmt: skip
        return e.ModelAnswered(
            component=COMPONENT, text=self.text, thinking=self.thinking, calls=calls,
            model=self.model or state.created.model, duration_ms=self.duration_ms,
        )  # fmt: skip


class SourceToolCall(SourceEvent, SourceCall):
    """The agent uses a tool."""

    kind: Literal["tool_call.requested"]

    def payload(self, state: SessionState, session_id: int) -> e.AnyPayload:
        """The call, which is carried out elsewhere."""
        if len(state.calls) >= limits.CALLS_PER_ANSWER:
            raise InvalidInputError(f"{limits.CALLS_PER_ANSWER} calls were made since the last model.answered.")
        call_id = local_id(session_id, self.call_id)
        if call_id in state.calls:
            raise InvalidInputError(f"the call {self.call_id!r} was made already.")
        return e.ToolCallRequested(
            call_id=call_id, component=COMPONENT, tool=self.tool, args=_storable(self.args), side="executor",
            asks=False, level=self.level or Level.FULL,
        )  # fmt: skip


class SourceResult(SourceEvent):
    """A tool call ended."""

    kind: Literal["tool_call.finished"]
    call_id: str = Field(min_length=1, max_length=40)
    outcome: e.Outcome = e.Outcome.OK
    text: Text = ""
    exit_code: int | None = Field(default=None, ge=-_LARGEST, le=_LARGEST)
    duration_ms: Count = 0

    def payload(self, state: SessionState, session_id: int) -> e.AnyPayload:
        """The result of a call that was under way."""
        call_id = local_id(session_id, self.call_id)
        call = state.calls.get(call_id)
        if call is None or call.status is CallStatus.FINISHED:
            raise InvalidInputError(f"no call {self.call_id!r} is under way.")
        return e.ToolCallFinished(
            call_id=call_id, tool=call.tool, outcome=self.outcome, text=self.text, exit_code=self.exit_code,
            duration_ms=self.duration_ms,
        )  # fmt: skip


class SourceStatus(SourceEvent):
    """The session's status changes by an event of its machine."""

    kind: Literal["status.changed"]
    transition: Transition
    reason: str = Field(default="", max_length=limits.REASON_CHARACTERS)

    def payload(self, state: SessionState, session_id: int) -> e.AnyPayload:
        """The move, if the machine has it."""
        target = after(state.status, self.transition)
        if target is state.status:
            raise IllegalTransitionError(f"The session is {human(target)} already.")
        return e.StatusChanged(
            transition=self.transition, from_status=state.status, to_status=target, reason=self.reason
        )


class SourcePlan(SourceEvent):
    """The whole plan as it is now."""

    kind: Literal["plan.changed"]
    items: tuple[e.PlanItem, ...] = Field(max_length=100)

    def payload(self, state: SessionState, session_id: int) -> e.AnyPayload:
        """The plan."""
        return e.PlanChanged(items=self.items)


class SourceArtifact(SourceEvent):
    """Something that the work made."""

    kind: Literal["artifact.created"]
    artifact: Literal["branch", "commit", "merge_request", "patch", "file", "comment"]
    name: Name
    url: Url = ""

    def payload(self, state: SessionState, session_id: int) -> e.AnyPayload:
        """The artifact."""
        return e.ArtifactCreated(artifact=self.artifact, name=self.name, url=self.url)


class SourceUsage(SourceEvent):
    """What a model call used; a cost that is not given is not known."""

    record: ClassVar[bool] = True
    kind: Literal["usage.recorded"]
    model: Name
    requests: Count = 1
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    cost: Decimal | None = Field(default=None, ge=0, le=1_000_000, max_digits=20, decimal_places=12)

    def payload(self, state: SessionState, session_id: int) -> e.AnyPayload:
        """The use."""
        used = self.model_dump(exclude={"seq", "at", "level", "kind", "model"})
        return e.UsageRecorded(component=COMPONENT, model=self.model, usage=Usage.model_validate(used))


class SourceCheck(SourceEvent):
    """Something verified the work, or found it wrong."""

    record: ClassVar[bool] = True
    kind: Literal["check.recorded"]
    name: str = Field(min_length=1, max_length=1_000)
    passed: bool
    url: Url = ""

    def payload(self, state: SessionState, session_id: int) -> e.AnyPayload:
        """The check."""
        return e.CheckRecorded(name=self.name, passed=self.passed, url=self.url)


class SourceLink(SourceEvent):
    """What the work came from, or what it made."""

    record: ClassVar[bool] = True
    kind: Literal["link.added"]
    relation: Literal["source", "created"]
    target: Literal["issue", "merge_request", "pipeline", "session"]
    name: Name
    url: Url = ""

    def payload(self, state: SessionState, session_id: int) -> e.AnyPayload:
        """The link."""
        return e.LinkAdded(relation=self.relation, target=self.target, name=self.name, url=self.url)


AnySourceEvent = Annotated[
    SourceMessage
    | SourceAnswer
    | SourceToolCall
    | SourceResult
    | SourceStatus
    | SourcePlan
    | SourceArtifact
    | SourceUsage
    | SourceCheck
    | SourceLink,
    Field(discriminator="kind"),
]


class SourceBatch(_Part):
    """Events of a source, numbered one after the other."""

    events: tuple[AnySourceEvent, ...] = Field(min_length=1, max_length=limits.SOURCE_EVENTS)


_BATCH = TypeAdapter(SourceBatch)


def read(body: bytes) -> SourceBatch:
    """A batch from its JSON, in one pass over the bytes.

    Raises:
        InvalidInputError: what doesn't fit, and in which event.
    """
    try:
        if b"\\u" in body:  # a NUL or a lone surrogate hides in an escape alone
            body = json.dumps(clean_value(json.loads(body)), ensure_ascii=False).encode()
        batch = _BATCH.validate_json(body)
    except ValidationError as error:
        raise InvalidInputError(f"The batch can't be taken: {told(error)}.") from None
    except (ValueError, RecursionError):
        raise InvalidInputError("The body is no JSON.") from None
    first = batch.events[0].seq
    for place, event in enumerate(batch.events):
        if event.seq != first + place:
            raise InvalidInputError(
                f"The batch can't be taken: events.{place} has seq {event.seq}, not {first + place}."
            )
    return batch


def _storable(value: Values) -> Values:
    """Raises InvalidInputError for arguments that nest too deep or hold a number that JSON doesn't have."""
    level: list[JsonValue] = [value]
    for _ in range(limits.ARGUMENT_LEVELS):
        for one in level:
            if isinstance(one, float) and not math.isfinite(one):
                raise InvalidInputError("a number is beyond what JSON has.")
        level = [child for one in level for child in _children(one)]
        if not level:
            return value
    raise InvalidInputError(f"the arguments nest deeper than {limits.ARGUMENT_LEVELS} levels.")


def _children(value: JsonValue) -> list[JsonValue]:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value
        case _:
            return []
