"""The JSON Schema of flow files, for editors: made from the models, in the ways that a file may write them."""

from collections.abc import Iterable
from typing import cast

from pydantic import JsonValue
from pydantic.json_schema import models_json_schema

from quarterdeck.core.component import AgentComponent
from quarterdeck.core.flow import FlowInput, Prompt, ResponseSchema, Router
from quarterdeck.core.inputs import FORMATS, TYPES
from quarterdeck.flows import checks
from quarterdeck.flows.reader import ENVIRONMENTS, Top
from quarterdeck.flows.response_schemas import DRAFT
from quarterdeck.flows.shape import COMPONENTS, ENDS, REGISTRY_KEYS
from quarterdeck.flows.toolsets import BY_THEMSELVES, MCP_PREFIX

TITLE = "A flow of the registry's format v1"

_Schema = dict[str, JsonValue]
_EVENTS = {
    "AgentComponent": (*checks.AGENT_EVENTS, *checks.DELEGATION_EVENTS),
    "OneOffComponent": (*checks.AGENT_EVENTS, "on_tool_call_input"),
    "DeterministicStepComponent": checks.TOOL_EVENTS,
    "HumanInputComponent": checks.HUMAN_EVENTS,
}
_NAME: _Schema = {"type": "string", "pattern": "^[^:.]+$"}
_FLAT: _Schema = {"type": ["string", "number", "boolean", "null"]}


def json_schema(tools: Iterable[str]) -> _Schema:
    """The schema, of draft 7; `tools` are the names that toolsets may have beside those of MCP servers."""
    definitions = _definitions()
    names = [name for name in sorted(tools) if name not in BY_THEMSELVES]
    definitions["ToolName"] = {"anyOf": [{"enum": list(names)}, {"type": "string", "pattern": f"^{MCP_PREFIX}"}]}
    for kind in COMPONENTS:
        _component(definitions, kind)
    for kind in ENDS:
        definitions[kind] = _mapping({"type": {"const": kind}, "name": _NAME}, "type", "name")
    _written_ways(definitions)
    return {
        "$schema": f"{DRAFT}#",
        "title": TITLE,
        **_mapping(_top(), "version", "environment", "components"),
        "allOf": [
            {
                "if": {"properties": {"environment": {"const": "chat-partial"}}, "required": ["environment"]},
                "then": {
                    "properties": {
                        "components": {"maxItems": 1, "items": _ref("AgentComponent")},
                        "routers": {"maxItems": 0},
                        "flow": {"properties": {"entry_point": False}},
                    }
                },
                "else": {"required": ["flow"]},
            }
        ],
        "definitions": cast("JsonValue", definitions),
    }


def _definitions() -> dict[str, _Schema]:
    models = (*COMPONENTS.values(), Router, Prompt, FlowInput, ResponseSchema)
    _, made = models_json_schema(
        [(model, "validation") for model in models], by_alias=True, ref_template="#/definitions/{model}"
    )
    return cast("dict[str, _Schema]", _untitled(made["$defs"]))


def _untitled(value: JsonValue) -> JsonValue:
    """Without pydantic's titles, which only say the names again."""
    match value:
        case dict():
            titled = isinstance(value.get("title"), str)
            return {key: _untitled(inside) for key, inside in value.items() if not (titled and key == "title")}
        case list():
            return [_untitled(inside) for inside in value]
        case _:
            return value


def _top() -> _Schema:
    component: _Schema = {
        "type": "object",
        "required": ["type", "name"],
        "properties": {"type": {"enum": [*COMPONENTS, *ENDS]}},
        "allOf": [
            {"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": _ref(kind)}
            for kind in (*COMPONENTS, *ENDS)
        ],
    }
    properties: _Schema = {
        "version": {"const": "v1"},
        "environment": {"enum": list(ENVIRONMENTS)},
        "name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,100}$"},
        "description": {"type": "string"},
        "product_group": {"type": "string"},
        "coding_environment": {"enum": ["full", "none"]},
        "components": {"type": "array", "minItems": 1, "items": component},
        "routers": _list(_ref("Router")),
        "prompts": _list(_ref("Prompt")),
        "response_schemas": _list(_ref("ResponseSchema")),
        "flow": _mapping({"entry_point": {"type": "string"}, "inputs": _list(_ref("FlowInput"))}),
    }
    if properties.keys() != Top.model_fields.keys():
        raise AssertionError("the schema and the reader know different keys")
    return properties


def _component(definitions: dict[str, _Schema], kind: str) -> None:
    properties = _properties(definitions, kind)
    properties["name"] = _NAME
    properties["ui_log_events"] = {"type": "array", "items": {"enum": list(_EVENTS[kind])}}
    properties.pop("iteration_warning_offset", None)
    for key in REGISTRY_KEYS.keys() & properties.keys():
        properties[key] = {"type": "null"}
    if "tool_name" in properties:
        properties["tool_name"] = _ref("ToolName")
    if kind == AgentComponent.__name__:
        cycles: _Schema = {"type": "integer", "minimum": 1}
        offset: _Schema = {"type": "integer", "minimum": 0}
        taken_apart = _mapping({"threshold": cycles, "iteration_warning_offset": offset})
        properties["max_cycles"] = {"anyOf": [cycles, taken_apart]}


def _written_ways(definitions: dict[str, _Schema]) -> None:
    """Where a file may write shorter what a model has in full."""
    definitions["InputSource"] = {"anyOf": [{"type": "string"}, definitions["InputSource"]]}
    definitions["Compaction"] = {"anyOf": [{"type": "boolean"}, definitions["Compaction"]]}
    fixed: _Schema = {"type": ["object", "null"], "additionalProperties": _FLAT}
    definitions["ToolUse"] = {
        "anyOf": [
            _ref("ToolName"),
            {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "propertyNames": _ref("ToolName"),
                "additionalProperties": fixed,
            },
        ]
    }
    definitions["Router"] |= {"oneOf": [{"required": ["to"]}, {"required": ["condition"]}]}
    _properties(definitions, "Condition")["routes"] = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": "string"},
    }
    _properties(definitions, "ResponseSchema")["definition"] = {"type": ["object", "string"]}
    _properties(definitions, "Prompt")["params"] = _mapping({name: {} for name in checks.PROMPT_PARAMS})
    field: _Schema = {
        "type": {"enum": list(TYPES)},
        "format": {"type": "string", "examples": list(FORMATS)},
        "description": {"type": "string"},
        "optional": {"type": "boolean"},
    }
    _properties(definitions, "FlowInput")["input_schema"] = {
        "type": "object",
        "additionalProperties": _mapping(field, "type"),
    }


def _properties(definitions: dict[str, _Schema], name: str) -> _Schema:
    found = definitions[name]["properties"]
    return found if isinstance(found, dict) else {}


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/definitions/{name}"}


def _list(items: _Schema) -> _Schema:
    return {"type": ["array", "null"], "items": items}


def _mapping(properties: _Schema, *required: str) -> _Schema:
    made: _Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**made, "required": list(required)} if required else made
