"""The components of a flow: agents, tool steps, questions to people."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from quarterdeck.core import limits

RoleShown = Literal["agent", "tool"]


class Definition(BaseModel):
    """A part of a flow as its file defines it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)


class InputSource(Definition):
    """Where a value comes from: `context:path`, `conversation_history:component` or `status`, or a literal."""

    source: str = Field(alias="from")
    name: str = Field(default="", alias="as")
    literal: bool = False
    optional: bool = False

    @property
    def variable(self) -> str:
        """The name under which a prompt or a tool gets it: `as`, else the last part of the path."""
        return self.name or self.source.rpartition(":")[2].rpartition(".")[2]

    @property
    def history_of(self) -> str:
        """The component whose conversation it is; empty when it is none."""
        target, _, rest = self.source.partition(":")
        return rest if target == "conversation_history" and not self.literal else ""


_GOAL = (InputSource.model_validate({"from": "context:goal"}),)


class ToolUse(Definition):
    """A tool in a toolset; `fixed` values override the model's."""

    name: str
    fixed: dict[str, JsonValue] = {}


class Compaction(Definition):
    """When a conversation is compacted, and what of it stays as it is."""

    enabled: bool = True
    max_recent_messages: int = Field(default=10, ge=1)
    recent_messages_token_budget: int = Field(default=40_000, ge=1)
    trim_threshold: float = Field(default=0.7, gt=0, le=1)
    """The part of the model's context at which it happens."""
    max_context_tokens: int | None = Field(default=None, ge=100)
    """Less than the model could read; None is all of it."""


class SubagentUse(Definition):
    """An agent of the same flow that this one may delegate to."""

    name: str


class AgentComponent(Definition):
    """A loop of model and tools."""

    type: Literal["AgentComponent"]
    name: str
    prompt_id: str
    prompt_version: str | None = None
    inputs: tuple[InputSource, ...] = _GOAL
    toolset: tuple[ToolUse, ...] = ()
    description: str = ""
    response_schema_id: str | None = None
    response_schema_version: str | None = None
    subagents: tuple[SubagentUse, ...] = ()
    max_delegations: int | None = Field(default=None, ge=1)
    """How often it may delegate in a session; None is as often as it likes."""
    max_cycles: int = Field(default=limits.CYCLES, ge=1)
    """Answers to one prompt or message; then it has to come to an end."""
    iteration_warning_offset: int = 0
    """So many answers before that it is told; 0 is never."""
    max_wrap_up_retries: int = Field(default=limits.WRAP_UP_RETRIES, ge=0)
    require_tool_approval: bool = False
    pre_approved_tools: tuple[str, ...] = ()
    model_tags: tuple[str, ...] = ()
    model_size_preference: str | None = None
    compaction: Compaction = Compaction()
    ui_log_events: tuple[str, ...] = ()
    ui_role_as: RoleShown = "agent"


class DeterministicStepComponent(Definition):
    """One tool, no model."""

    type: Literal["DeterministicStepComponent"]
    name: str
    tool_name: str
    toolset: tuple[ToolUse, ...] = ()
    inputs: tuple[InputSource, ...] = ()
    ui_log_events: tuple[str, ...] = ()
    ui_role_as: RoleShown = "tool"


class OneOffComponent(Definition):
    """One round of tool calls by a model, corrected while they fail."""

    type: Literal["OneOffComponent"]
    name: str
    prompt_id: str
    prompt_version: str | None = None
    inputs: tuple[InputSource, ...] = _GOAL
    toolset: tuple[ToolUse, ...]
    max_correction_attempts: int = Field(default=limits.CORRECTION_ATTEMPTS, ge=0)
    model_tags: tuple[str, ...] = ()
    model_size_preference: str | None = None
    compaction: Compaction = Compaction()
    ui_log_events: tuple[str, ...] = ()
    ui_role_as: RoleShown = "tool"


class HumanInputComponent(Definition):
    """Asks a person: whether a plan is right, or for something to know."""

    type: Literal["HumanInputComponent"]
    name: str
    sends_response_to: str
    """The component whose conversation the person's words go into."""
    message_template: str
    """Jinja; its variables are the inputs' names."""
    inputs: tuple[InputSource, ...] = ()
    interaction_type: Literal["approval", "input"] = "approval"
    ui_log_events: tuple[str, ...] = ()


Component = Annotated[
    AgentComponent | DeterministicStepComponent | OneOffComponent | HumanInputComponent, Field(discriminator="type")
]
Prompted = AgentComponent | OneOffComponent
"""What asks a model."""
