"""A flow as the brain walks it: components, routers, prompts. `quarterdeck.flows` reads it from YAML."""

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, JsonValue

from quarterdeck.core.component import Component, Definition, InputSource

END = "end"
ABORT = "abort"
NAME = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_-]{1,100}")
"""What a flow can be called."""


@dataclass(frozen=True)
class Examined:
    """What a flow's text says of itself, also when it can't be used."""

    name: str
    """Empty when it gives itself none, or none that a flow can have."""
    description: str
    faults: tuple[str, ...]
    environment: str = ""
    """Empty when it can't be used."""
    workspace: bool = False
    """Whether it works on files."""


class PromptTemplate(Definition):
    """Jinja texts; their variables are the inputs' names."""

    system: str = ""
    user: str = ""
    placeholder: str = ""


class Prompt(Definition):
    """A prompt that agents name by `prompt_id`."""

    prompt_id: str
    name: str = ""
    unit_primitives: tuple[str, ...] = ()
    prompt_template: PromptTemplate
    params: dict[str, JsonValue] = Field(default={})


class Condition(Definition):
    """Compares one value, as a string, with the keys of `routes`; `default_route` is the key for all others."""

    input: InputSource
    routes: dict[str, str]


class Router(Definition):
    """Where the flow goes from a component: straight `to`, or by a condition."""

    source: str = Field(alias="from")
    to: str | None = None
    condition: Condition | None = None


class FlowInput(Definition):
    """An envelope that the flow wants to be started with; `input_schema` maps field to its type."""

    category: str
    version_constraint: str = "^1.0.0"
    input_schema: dict[str, dict[str, JsonValue]] = Field(default={})


class ResponseSchema(Definition):
    """The form that an agent's final answer must have: a JSON Schema of draft 7."""

    schema_id: str
    definition: dict[str, JsonValue]


class Flow(Definition):
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
    response_schemas: tuple[ResponseSchema, ...] = ()
    coding_environment: Literal["full", "none"] = "full"
    """Whether it works on files at all."""

    @property
    def chats(self) -> bool:
        """Whether its sessions rest and take a follow-up when there is nothing more to do, rather than finish."""
        return self.environment != "ambient"

    @property
    def workspace(self) -> bool:
        """Whether it works on files, in the workspace of a runner."""
        return self.coding_environment == "full"

    @property
    def id(self) -> str:
        """`name/version`, as a session is pinned to it."""
        return f"{self.name}/{self.version}"

    def component(self, path: str) -> Component:
        """The component of that name or agent path; KeyError when there is none, which the reader has ruled out."""
        parts = path.split(":")
        name = parts[-2] if len(parts) > 1 else path
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

    def response_schema(self, schema_id: str) -> ResponseSchema:
        """The response schema of that id; KeyError when there is none, which the reader has ruled out."""
        for schema in self.response_schemas:
            if schema.schema_id == schema_id:
                return schema
        raise KeyError(schema_id)
