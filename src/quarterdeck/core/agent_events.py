"""Events around an agent's conversation: delegation, questions, notices, compaction, interruption."""

from typing import ClassVar, Literal

from quarterdeck.core.payload import Level, Payload


class DelegationStarted(Payload):
    """An agent gave a part of its work to a subagent, whose own events carry `component` from here on."""

    kind: Literal["delegation.started"] = "delegation.started"
    default_level: ClassVar[Level] = Level.CONCISE
    call_id: str
    component: str
    """The agent path: `lead:researcher:1`, the names from the flow's agent down, each subagent with its number."""
    system: str = ""
    """The subagent's own prompt; empty when an earlier conversation goes on."""
    user: str


class DelegationEnded(Payload):
    """The subagent is done, or gave up; what it came to is the result of the call."""

    kind: Literal["delegation.ended"] = "delegation.ended"
    default_level: ClassVar[Level] = Level.CONCISE
    call_id: str
    component: str


class QuestionAnswered(Payload):
    """A person answered a question of an agent or of the flow."""

    kind: Literal["question.answered"] = "question.answered"
    default_level: ClassVar[Level] = Level.RESULT
    approval_id: str
    text: str
    by: str
    door: str


class NoticeAdded(Payload):
    """The server told an agent something, as a message of its conversation."""

    kind: Literal["notice.added"] = "notice.added"
    component: str
    about: Literal["iterations", "wrap_up", "correction"]
    text: str


class ContextCompacted(Payload):
    """A conversation was near its model's limit; `text` stands for all of it up to event `through`."""

    kind: Literal["context.compacted"] = "context.compacted"
    default_level: ClassVar[Level] = Level.CONCISE
    component: str
    text: str
    through: int
    answers: int
    """How many answers of the agent `text` stands for, earlier compactions included."""
    system: str
    """The agent's prompt, so that nothing before `through` need be read again."""
    size: int
    """What is left of the conversation, in characters."""


class ModelInterrupted(Payload):
    """A person interrupted the answer; `text` is what there was of it, and stays in the conversation."""

    kind: Literal["model.interrupted"] = "model.interrupted"
    default_level: ClassVar[Level] = Level.RESULT
    component: str
    text: str
    by: str
