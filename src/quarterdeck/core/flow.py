"""A flow as the brain walks it: components, routers, prompts. `quarterdeck.flows` reads it from YAML."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from quarterdeck.core import limits

END = "end"
ABORT = "abort"


class _Definition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)


class InputSource(_Definition):
    """Where a value comes from: `context:path`, `conversation_history:component` or `status`, or a literal."""

    source: str = Field(alias="from")
    name: str = Field(default="", alias="as")
    literal: bool = False
    optional: bool = False

    @property
    def variable(self) -> str:
        """The name under which a prompt or a tool gets it: `as`, else the last part of the path."""
        return self.name or self.source.rpartition(":")[2].rpartition(".")[2]


class ToolUse(_Definition):
    """A tool in a toolset; `fixed` values override the model's."""

    name: str
    fixed: dict[str, JsonValue] = {}


class PromptTemplate(_Definition):
    """Jinja texts; their variables are the inputs' names."""

    system: str = ""
    user: str = ""
    placeholder: str = ""


class Prompt(_Definition):
    """A prompt that agents name by `prompt_id`."""

    prompt_id: str
    name: str = ""
    unit_primitives: tuple[str, ...] = ()
    prompt_template: PromptTemplate
    params: dict[str, JsonValue] = {}


class AgentComponent(_Definition):
    """A loop of model and tools."""

    type: Literal["AgentComponent"]
    name: str
    prompt_id: str
    prompt_version: str | None = None
    inputs: tuple[InputSource, ...] = (InputSource.model_validate({"from": "context:goal"}),)
    toolset: tuple[ToolUse, ...] = ()
    description: str = ""
    max_cycles: int = limits.CYCLES
    require_tool_approval: bool = False
    pre_approved_tools: tuple[str, ...] = ()
    model_tags: tuple[str, ...] = ()
    compaction: bool = True
    ui_log_events: tuple[str, ...] = ()
    ui_role_as: Literal["agent", "tool"] = "agent"


class DeterministicStepComponent(_Definition):
    """One tool, no model."""

    type: Literal["DeterministicStepComponent"]
    name: str
    tool_name: str
    toolset: tuple[ToolUse, ...] = ()
    inputs: tuple[InputSource, ...] = ()
    ui_log_events: tuple[str, ...] = ()
    ui_role_as: Literal["agent", "tool"] = "tool"


Component = Annotated[AgentComponent | DeterministicStepComponent, Field(discriminator="type")]


class Condition(_Definition):
    """Compares one value, as a string, with the keys of `routes`; `default_route` is the key for all others."""

    input: InputSource
    routes: dict[str, str]


class Router(_Definition):
    """Where the flow goes from a component: straight `to`, or by a condition."""

    source: str = Field(alias="from")
    to: str | None = None
    condition: Condition | None = None


class FlowInput(_Definition):
    """An envelope that the flow wants to be started with; `input_schema` maps field to its type."""

    category: str
    version_constraint: str = "^1.0.0"
    input_schema: dict[str, dict[str, JsonValue]] = {}


class Flow(_Definition):
    """A flow of the registry's format v1."""

    name: str
    version: str
    description: str = ""
    environment: Literal["ambient", "chat", "chat-partial"] = "ambient"
    components: tuple[Component, ...]
    routers: tuple[Router, ...] = ()
    entry_point: str
    inputs: tuple[FlowInput, ...] = ()
    prompts: tuple[Prompt, ...] = ()

    @property
    def id(self) -> str:
        """`name/version`, as a session is pinned to it."""
        return f"{self.name}/{self.version}"

    def component(self, name: str) -> Component:
        """The component of that name; KeyError when there is none, which the reader has ruled out."""
        for component in self.components:
            if component.name == name:
                return component
        raise KeyError(name)

    def prompt(self, prompt_id: str) -> Prompt:
        """The prompt of that id; KeyError when there is none, which the reader has ruled out."""
        for prompt in self.prompts:
            if prompt.prompt_id == prompt_id:
                return prompt
        raise KeyError(prompt_id)
