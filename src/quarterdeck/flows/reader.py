"""Reads a flow of the registry's format v1, and tells everything that is wrong with it at once."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from quarterdeck.core import limits
from quarterdeck.core.component import AgentComponent
from quarterdeck.core.flow import Flow
from quarterdeck.flows import shape
from quarterdeck.flows.checks import check
from quarterdeck.flows.document import Document, Path, read
from quarterdeck.flows.shape import Draft
from quarterdeck.flows.toolsets import Tools

CUSTOM_NAME = "custom"
CUSTOM_VERSION = "0.0.0"
"""A flow that was never released has no version."""
ENVIRONMENTS = ("ambient", "chat", "chat-partial")


class Entry(BaseModel):
    """Where a flow begins, and what it wants to be started with."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    entry_point: str = ""
    inputs: JsonValue = None


class Top(BaseModel):
    """The keys at the top; the lists are read part by part."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Literal["v1"]
    environment: str
    components: JsonValue
    flow: Entry = Entry()
    routers: JsonValue = None
    prompts: JsonValue = None
    response_schemas: JsonValue = None
    name: str = CUSTOM_NAME
    description: str = ""
    product_group: str = ""
    coding_environment: Literal["full", "none"] = "full"


@dataclass(frozen=True)
class Reading:
    """What was read of a file; there is no flow when the document has faults, but maybe some of its parts."""

    document: Document
    flow: Flow | None
    draft: Draft = field(default_factory=Draft)


def read_flow(
    text: str, tools: Tools, *, name: str = "", version: str = CUSTOM_VERSION, most: int = limits.FLOW_BYTES
) -> Flow:
    """The flow in `text`; without a `name` it has the one it gives itself, else "custom".

    Raises:
        InvalidInputError: every fault, one a line, as `line:column path: what. hint`.
    """
    reading = examine(text, tools, name=name, version=version, most=most)
    reading.document.refuse("The flow")
    if reading.flow is None:
        raise AssertionError("refused above")
    return reading.flow


def examine(
    text: str, tools: Tools | None, *, name: str = "", version: str = CUSTOM_VERSION, most: int = limits.FLOW_BYTES
) -> Reading:
    """What is in `text`, with all faults and notes; without `tools` only its shape is looked at."""
    document = read(text, most)
    top = document.value
    if document.faults:
        return Reading(document, None)
    if not isinstance(top, dict):
        document.fault((), "a flow is a mapping with version, environment, components, routers and flow")
        return Reading(document, None)
    head = _head(document, top)
    draft = shape.draft(document, top)
    if not draft.components and not document.faults:
        document.fault(("components",), "there is no component in it")
    if head is not None:
        _environment(document, head, draft)
    if tools is not None:
        check(document, draft, tools)
    if head is None or document.faults:
        return Reading(document, None, draft)
    flow = Flow(
        name=name or head.name,
        version=version,
        description=head.description,
        environment=_known_environment(head.environment),
        components=tuple(draft.components.values()),
        routers=tuple(draft.routers.values()),
        entry_point=draft.entry_point,
        inputs=tuple(draft.inputs.values()),
        prompts=tuple(draft.prompts.values()),
        response_schemas=tuple(draft.schemas.values()),
        coding_environment=head.coding_environment,
    )
    return Reading(document, flow, draft)


def _known_environment(name: str) -> Literal["ambient", "chat", "chat-partial"]:
    match name:
        case "chat" | "chat-partial":
            return name
        case _:
            return "ambient"


def _head(document: Document, top: dict[str, JsonValue]) -> Top | None:
    environment = top.get("environment")
    if isinstance(environment, str) and environment not in ENVIRONMENTS:
        document.fault(
            ("environment",), f"there is no environment {environment!r}", document.closest(environment, ENVIRONMENTS)
        )
    try:
        head = Top.model_validate(top)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            document.fitting_faults((), [fault], shape.known_keys(Top, fault["loc"]))
        return None
    if head.product_group:
        document.note(("product_group",), "it has no effect")
    if not head.name.replace("_", "").replace("-", "").isalnum() or not head.name.isascii() or len(head.name) > 100:
        document.fault(("name",), "a name has letters, digits, '_' and '-', at most 100 of them")
    return head


def _environment(document: Document, head: Top, draft: Draft) -> None:
    """What an environment asks of a flow. A flow of one component begins with it, unless it works by itself."""
    draft.workspace = head.coding_environment == "full"
    if head.environment == "chat-partial":
        _partial(document, draft)
    chats = head.environment in ("chat", "chat-partial")
    if chats and not draft.entry_point and len(draft.names) == 1:
        draft.entry_point = next(iter(draft.names))
    agents = [one for one in draft.components.values() if isinstance(one, AgentComponent)]
    if chats and not agents and len(draft.names) == len(draft.components):
        document.fault(("components",), "a chat needs an AgentComponent to talk to")


def _partial(document: Document, draft: Draft) -> None:
    paths: list[Path] = [path for path, one in draft.components.items() if not isinstance(one, AgentComponent)]
    for path in paths:
        document.fault((*path, "type"), "the one component of a chat-partial flow is an AgentComponent")
    if len(draft.names) > 1:
        what = f"a chat-partial flow has one component, this one has {len(draft.names)}"
        document.fault(("components",), what, "Write environment: chat")
    if draft.routers:
        document.fault(("routers",), "a chat-partial flow has no routers", "Write environment: chat, or routers: []")
    if draft.entry_point:
        hint = "Write flow: {}"
        document.fault(("flow", "entry_point"), "a chat-partial flow has no entry point but its component", hint)
