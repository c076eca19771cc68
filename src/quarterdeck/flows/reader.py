"""Reads a flow of the registry's format v1, and tells everything that is wrong with it at once."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from quarterdeck.core import limits
from quarterdeck.core.flow import Flow
from quarterdeck.flows import shape
from quarterdeck.flows.checks import Tools, check
from quarterdeck.flows.document import Document, read
from quarterdeck.flows.shape import LATER

CUSTOM_NAME = "custom"
CUSTOM_VERSION = "0.0.0"
"""A flow that was never released has no version."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    entry_point: str = ""
    inputs: JsonValue = None


class _Top(BaseModel):
    """The keys at the top; the lists are read part by part."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Literal["v1"]
    environment: str
    components: JsonValue
    flow: _Entry
    routers: JsonValue = None
    prompts: JsonValue = None
    response_schemas: JsonValue = None
    name: str = CUSTOM_NAME
    description: str = ""
    product_group: str = ""
    coding_environment: Literal["full", "none"] = "full"


def read_flow(text: str, tools: Tools, *, name: str = "", version: str = CUSTOM_VERSION) -> Flow:
    """The flow in `text`; without a `name` it has the one it gives itself, else "custom".

    Raises:
        InvalidInputError: every fault, one a line, as `line:column path: what. hint`.
    """
    document = read(text, limits.FLOW_BYTES)
    if document.faults:
        document.refuse("The flow")
    top = document.value
    if not isinstance(top, dict):
        document.fault((), "a flow is a mapping with version, environment, components, routers and flow")
        document.refuse("The flow")
        raise AssertionError("refused above")
    head = _head(document, top)
    draft = shape.draft(document, top)
    if not draft.components and not document.faults:
        document.fault(("components",), "there is no component in it")
    check(document, draft, tools)
    document.refuse("The flow")
    if head is None:
        raise AssertionError("refused above")
    return Flow(
        name=name or head.name,
        version=version,
        description=head.description,
        environment="ambient",
        components=tuple(draft.components.values()),
        routers=tuple(draft.routers.values()),
        entry_point=draft.entry_point,
        inputs=tuple(draft.inputs.values()),
        prompts=tuple(draft.prompts.values()),
    )


def _head(document: Document, top: dict[str, JsonValue]) -> _Top | None:
    try:
        head = _Top.model_validate(top)
    except ValidationError as error:
        document.fitting_faults((), error.errors(include_url=False), _Top.model_fields)
        return None
    match head.environment:
        case "ambient":
            pass
        case "chat" | "chat-partial":
            document.fault(("environment",), f"the environment {head.environment!r} is {LATER}", "Use ambient")
        case other:
            document.fault(("environment",), f"there is no environment {other!r}", "Use ambient")
    if head.response_schemas:
        document.fault(("response_schemas",), f"response schemas are {LATER}")
    if head.coding_environment == "none":
        document.fault(("coding_environment",), f"a flow without a workspace is {LATER}", "Use full")
    if not head.name.replace("_", "").replace("-", "").isalnum() or not head.name.isascii() or len(head.name) > 100:
        document.fault(("name",), "a name has letters, digits, '_' and '-', at most 100 of them")
    return head
