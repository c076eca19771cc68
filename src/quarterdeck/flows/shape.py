"""The parts of a flow file, each brought from the ways YAML may write it into the shape of `core.flow`."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from quarterdeck.core.component import AgentComponent, Component, DeterministicStepComponent
from quarterdeck.core.flow import FlowInput, Prompt, Router
from quarterdeck.flows.document import Document, Path, closest

COMPONENTS: dict[str, type[AgentComponent] | type[DeterministicStepComponent]] = {
    "AgentComponent": AgentComponent,
    "DeterministicStepComponent": DeterministicStepComponent,
}
LATER_COMPONENTS = ("OneOffComponent", "HumanInputComponent", "EndComponent", "AbortComponent", "SupervisorComponent")
LATER_KEYS = (
    "subagents",
    "max_delegations",
    "response_schema_id",
    "response_schema_version",
    "max_wrap_up_retries",
    "model_size_preference",
)
"""Keys of format v1 that this version can't act on; they are refused rather than ignored."""
LATER = "not supported yet"

Mapping = dict[str, JsonValue]
_Part = TypeVar("_Part", bound=BaseModel)


@dataclass
class Draft:
    """What could be read of a flow, by its path in the file; `names` are those of broken components too."""

    components: dict[Path, Component] = field(default_factory=dict[Path, Component])
    routers: dict[Path, Router] = field(default_factory=dict[Path, Router])
    prompts: dict[Path, Prompt] = field(default_factory=dict[Path, Prompt])
    inputs: dict[Path, FlowInput] = field(default_factory=dict[Path, FlowInput])
    names: set[str] = field(default_factory=set[str])
    prompt_ids: set[str] = field(default_factory=set[str])
    entry_point: str = ""


def draft(document: Document, top: Mapping) -> Draft:
    """All parts of the file that can be read; what can't is noted in the document."""
    flow = top.get("flow")
    flow = flow if isinstance(flow, dict) else {}
    entry_point = flow.get("entry_point")
    parts = Draft(entry_point=entry_point if isinstance(entry_point, str) else "")
    for path, raw in _items(document, top.get("components"), ("components",)):
        parts.names.update(_word(raw, "name"))
        component = _component(document, raw, path)
        if component is not None:
            parts.components[path] = component
    for path, raw in _items(document, top.get("prompts"), ("prompts",)):
        parts.prompt_ids.update(_word(raw, "prompt_id"))
        _keep(parts.prompts, path, _part(document, Prompt, raw, path))
    for path, raw in _items(document, top.get("routers"), ("routers",)):
        _keep(parts.routers, path, _part(document, Router, _router(raw), path))
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
        known = [item.alias or name for name, item in model.model_fields.items()]
        document.fitting_faults(path, faults, known)
    rest = deepcopy(raw)
    for fault in faults:
        if fault["type"] == "extra_forbidden" or len(fault["loc"]) == 1:
            _drop(rest, fault["loc"])
    try:
        return model.model_validate(rest)
    except ValidationError:
        return None


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
        elif kind in LATER_COMPONENTS:
            document.fault((*path, "type"), f"{kind} is {LATER}", f"There are {', '.join(COMPONENTS)}")
        else:
            document.fault((*path, "type"), f"unknown component type {kind!r}", closest(str(kind), COMPONENTS))
        return None
    shaped = {key: value for key, value in raw.items() if not _later(document, key, value, (*path, key))}
    for key, shape in _SHAPES.items():
        if key in shaped:
            shaped[key] = shape(document, shaped[key], (*path, key))
    return _part(document, model, shaped, path)


def _later(document: Document, key: str, value: JsonValue, path: Path) -> bool:
    if key == "prompt_version" and value is not None:
        document.fault(
            path, f"prompts from a registry are {LATER}", "Leave it out and write the prompt under `prompts`"
        )
    elif key in LATER_KEYS:
        document.fault(path, LATER)
    return key == "prompt_version" or key in LATER_KEYS


def _inputs(_document: Document, raw: JsonValue, _path: Path) -> JsonValue:
    return [_source(item) for item in raw] if isinstance(raw, list) else raw


def _source(raw: JsonValue) -> JsonValue:
    return {"from": raw} if isinstance(raw, str) else raw


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


def _max_cycles(document: Document, raw: JsonValue, path: Path) -> JsonValue:
    if not isinstance(raw, dict):
        number = raw
    else:
        for key in raw.keys() - {"threshold", "iteration_warning_offset"}:
            document.fault((*path, key), "unknown key", closest(key, ("threshold", "iteration_warning_offset")))
        number = raw.get("threshold")
    if isinstance(number, int) and number < 1:
        document.fault(path, "must be at least 1")
    return number


def _compaction(_document: Document, raw: JsonValue, _path: Path) -> JsonValue:
    return raw if isinstance(raw, dict) else {"enabled": raw}


_SHAPES: dict[str, Callable[[Document, JsonValue, Path], JsonValue]] = {
    "inputs": _inputs,
    "toolset": _toolset,
    "max_cycles": _max_cycles,
    "compaction": _compaction,
}


def _router(raw: Mapping) -> Mapping:
    condition = raw.get("condition")
    if isinstance(condition, dict) and "input" in condition:
        return {**raw, "condition": {**condition, "input": _source(condition["input"])}}
    return raw
