"""The parts of a flow file, each brought from the ways YAML may write it into the shape of `core.flow`."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TypeVar, get_args

from pydantic import BaseModel, JsonValue, ValidationError

from quarterdeck.core import limits
from quarterdeck.core.component import (
    AgentComponent,
    Component,
    DeterministicStepComponent,
    HumanInputComponent,
    OneOffComponent,
)
from quarterdeck.core.flow import ABORT, END, FlowInput, Prompt, ResponseSchema, Router
from quarterdeck.flows import response_schemas
from quarterdeck.flows.document import Document, Path

COMPONENTS: dict[
    str,
    type[AgentComponent] | type[DeterministicStepComponent] | type[OneOffComponent] | type[HumanInputComponent],
] = {
    "AgentComponent": AgentComponent,
    "DeterministicStepComponent": DeterministicStepComponent,
    "OneOffComponent": OneOffComponent,
    "HumanInputComponent": HumanInputComponent,
}
ENDS = {"EndComponent": END, "AbortComponent": ABORT}
"""Components that every flow has; one that is written all the same gives the end another name."""
REGISTRY_KEYS = {
    "prompt_version": ("prompts", "prompts"),
    "response_schema_version": ("response schemas", "response_schemas"),
}
"""Keys that ask for what lies in a registry, which isn't part of a flow; with the place in the file to write it."""
LATER = "not supported yet"

Mapping = dict[str, JsonValue]
_Part = TypeVar("_Part", bound=BaseModel)


@dataclass
class Draft:
    """What could be read of a flow, by its path in the file; `names` are those of broken components too."""

    components: dict[Path, Component] = field(default_factory=dict[Path, Component])
    routers: dict[Path, Router] = field(default_factory=dict[Path, Router])
    prompts: dict[Path, Prompt] = field(default_factory=dict[Path, Prompt])
    schemas: dict[Path, ResponseSchema] = field(default_factory=dict[Path, ResponseSchema])
    inputs: dict[Path, FlowInput] = field(default_factory=dict[Path, FlowInput])
    names: set[str] = field(default_factory=set[str])
    prompt_ids: set[str] = field(default_factory=set[str])
    schema_ids: set[str] = field(default_factory=set[str])
    ends: dict[str, str] = field(default_factory=dict[str, str])
    """Other names for `end` and `abort`."""
    entry_point: str = ""
    workspace: bool = True

    @property
    def subagents(self) -> set[str]:
        """The agents that others delegate to."""
        agents = {one.name: one for one in self.components.values() if isinstance(one, AgentComponent)}
        return {use.name for one in agents.values() for use in one.subagents if use.name in agents}


def draft(document: Document, top: Mapping) -> Draft:
    """All parts of the file that can be read; what can't is noted in the document."""
    flow = top.get("flow")
    flow = flow if isinstance(flow, dict) else {}
    entry_point = flow.get("entry_point")
    parts = Draft(entry_point=entry_point if isinstance(entry_point, str) else "")
    for path, raw in _items(document, top.get("components"), ("components",)):
        if raw.get("type") in ENDS:
            parts.ends.update(_end(document, raw, path))
            continue
        parts.names.update(_word(raw, "name"))
        component = _component(document, raw, path)
        if component is not None:
            parts.components[path] = component
    for path, raw in _items(document, top.get("prompts"), ("prompts",)):
        parts.prompt_ids.update(_word(raw, "prompt_id"))
        _keep(parts.prompts, path, _part(document, Prompt, raw, path))
    for path, raw in _items(document, top.get("routers"), ("routers",)):
        _keep(parts.routers, path, _part(document, Router, _router(document, parts, raw, path), path))
    for path, raw in _items(document, top.get("response_schemas"), ("response_schemas",)):
        parts.schema_ids.update(_word(raw, "schema_id"))
        read = {key: response_schemas.definition(document, value, (*path, key)) if key == "definition" else value
                for key, value in raw.items()}  # fmt: skip
        _keep(parts.schemas, path, _part(document, ResponseSchema, read, path))
    for path, raw in _items(document, flow.get("inputs"), ("flow", "inputs")):
        _keep(parts.inputs, path, _part(document, FlowInput, raw, path))
    return parts


def _keep(parts: dict[Path, _Part], path: Path, part: _Part | None) -> None:
    if part is not None:
        parts[path] = part


def _items(document: Document, raw: JsonValue, path: Path) -> Iterator[tuple[Path, Mapping]]:
    """The mappings of a list; anything else is a fault."""
    if raw is None:
        return
    if not isinstance(raw, list):
        document.fault(path, "must be a list")
        return
    for index, item in enumerate(raw):
        if isinstance(item, dict):
            yield (*path, index), item
        else:
            document.fault((*path, index), "must be a mapping")


def _word(raw: Mapping, key: str) -> tuple[str, ...]:
    value = raw.get(key)
    return (value,) if isinstance(value, str) else ()


def _part(document: Document, model: type[_Part], raw: Mapping, path: Path) -> _Part | None:
    """`raw` as a `model`; its faults are noted, and it is read without them if that can be done."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        for fault in faults:
            document.fitting_faults(path, [fault], known_keys(model, fault["loc"]))
    rest = deepcopy(raw)
    for fault in faults:
        if fault["type"] == "extra_forbidden" or len(fault["loc"]) == 1:
            _drop(rest, fault["loc"])
    try:
        return model.model_validate(rest)
    except ValidationError:
        return None


def known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that a file may have where the last word of `path` stands, in the part that `model` is."""
    for word in path[:-1]:
        field = next((item for name, item in model.model_fields.items() if word in (name, item.alias)), None)
        inside = _model_in(field.annotation) if field is not None else None
        model = inside or model
    return [item.alias or name for name, item in model.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for one in get_args(annotation) if (found := _model_in(one)) is not None), None)


def _drop(value: JsonValue, path: Path) -> None:
    for part in path[:-1]:
        if isinstance(value, dict) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
    if isinstance(value, dict):
        value.pop(str(path[-1]), None)


def _component(document: Document, raw: Mapping, path: Path) -> Component | None:
    kind = raw.get("type")
    model = COMPONENTS.get(kind) if isinstance(kind, str) else None
    if model is None:
        if kind is None:
            document.fault(path, "it has no type", f"There are {', '.join(COMPONENTS)}")
        elif kind == "SupervisorComponent":
            document.fault(
                (*path, "type"), "a supervisor has no type of its own", "Write an AgentComponent with subagents"
            )
        else:
            document.fault((*path, "type"), f"unknown component type {kind!r}", document.closest(str(kind), COMPONENTS))
        return None
    shaped = {key: value for key, value in raw.items() if not _of_registry(document, key, value, (*path, key))}
    _cycles(document, shaped, path)
    for key, shape in _SHAPES.items():
        if key in shaped:
            shaped[key] = shape(document, shaped[key], (*path, key))
    return _part(document, model, shaped, path)


def _of_registry(document: Document, key: str, value: JsonValue, path: Path) -> bool:
    if key not in REGISTRY_KEYS:
        return False
    if value is not None:
        what, where = REGISTRY_KEYS[key]
        document.fault(path, f"{what} from a registry are {LATER}", f"Leave it out and write it under `{where}`")
    return True


def _end(document: Document, raw: Mapping, path: Path) -> dict[str, str]:
    kind = ENDS[str(raw["type"])]
    for key in raw.keys() - {"name", "type"}:
        document.fault((*path, key), "unknown key", document.closest(key, ("name", "type")))
    name = raw.get("name")
    if not isinstance(name, str):
        document.fault(path, "it has no name", f"Call it {kind!r}")
        return {}
    if name in ENDS.values() and name != kind:
        document.fault((*path, "name"), f"{name!r} is the name of the other end", f"Call it {kind!r}")
        return {}
    return {name: kind}


def _inputs(document: Document, raw: JsonValue, path: Path) -> JsonValue:
    return [_source(document, item, (*path, index)) for index, item in enumerate(raw)] if isinstance(raw, list) else raw


def _source(document: Document, raw: JsonValue, path: Path) -> JsonValue:
    if not isinstance(raw, dict):
        return {"from": raw} if isinstance(raw, str) else raw
    for key in raw.keys() - {*SOURCE_KEYS}:
        document.fault((*path, key), "unknown key", document.closest(key, SOURCE_KEYS))
    return {key: value for key, value in raw.items() if key in SOURCE_KEYS}


def _toolset(document: Document, raw: JsonValue, path: Path) -> JsonValue:
    if not isinstance(raw, list):
        return raw
    uses: list[JsonValue] = []
    for index, item in enumerate(raw):
        if isinstance(item, str):
            uses.append({"name": item})
        elif isinstance(item, dict) and len(item) == 1 and isinstance(next(iter(item.values())), dict | None):
            name, fixed = next(iter(item.items()))
            uses.append({"name": name, "fixed": fixed or {}})
        else:
            document.fault((*path, index), "must be a tool's name, or `name: {parameter: value}`")
    return uses


def _cycles(document: Document, raw: Mapping, path: Path) -> None:
    """Takes `{threshold, iteration_warning_offset}` apart."""
    if "iteration_warning_offset" in raw:
        document.fault((*path, "iteration_warning_offset"), "unknown key", "It belongs into max_cycles")
        del raw["iteration_warning_offset"]
    at, cycles = (*path, "max_cycles"), raw.get("max_cycles")
    if isinstance(cycles, dict):
        for key in cycles.keys() - {*CYCLE_KEYS}:
            document.fault((*at, key), "unknown key", document.closest(key, CYCLE_KEYS))
        raw["max_cycles"] = cycles.get("threshold", limits.CYCLES)
        offset = cycles.get("iteration_warning_offset", 0)
        if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
            document.fault((*at, "iteration_warning_offset"), "must be a whole number, 0 or more")
        else:
            raw["iteration_warning_offset"] = offset
    number = raw.get("max_cycles")
    if isinstance(number, bool) or (isinstance(number, int) and number < 1):
        document.fault(at, "must be a whole number, 1 or more")
        del raw["max_cycles"]


def _compaction(_document: Document, raw: JsonValue, _path: Path) -> JsonValue:
    return raw if isinstance(raw, dict) else {"enabled": raw}


SOURCE_KEYS = ("from", "as", "literal", "optional")
CYCLE_KEYS = ("threshold", "iteration_warning_offset")
_SHAPES: dict[str, Callable[[Document, JsonValue, Path], JsonValue]] = {
    "inputs": _inputs,
    "toolset": _toolset,
    "compaction": _compaction,
}


def _router(document: Document, parts: Draft, raw: Mapping, path: Path) -> Mapping:
    """With the input as a mapping, and `end` and `abort` under these names."""
    shaped = dict(raw)
    for key in shaped.keys() & {"source"}:
        document.fault((*path, key), "unknown key", document.closest(key, ("from", "to", "condition")))
        del shaped[key]
    shaped["to"] = _target(parts, raw.get("to"))
    condition = raw.get("condition")
    if isinstance(condition, dict):
        inside = dict(condition)
        if "input" in inside:
            inside["input"] = _source(document, inside["input"], (*path, "condition", "input"))
        routes = inside.get("routes")
        if isinstance(routes, dict):
            inside["routes"] = {key: _target(parts, value) for key, value in routes.items()}
        shaped["condition"] = inside
    return shaped


def _target(parts: Draft, name: JsonValue) -> JsonValue:
    return parts.ends.get(name, name) if isinstance(name, str) else name
