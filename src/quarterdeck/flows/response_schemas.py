"""Response schemas: JSON Schemas of draft 7 that can be checked with, before a model's answer depends on them."""

import re
from collections.abc import Iterator
from typing import Protocol, cast

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from pydantic import JsonValue

from quarterdeck.core import limits, patterns
from quarterdeck.flows.document import Document, Path, read

REFERENCES = 64
CHECKS = 1_000
"""How many schemas one value may be checked with."""
DRAFT = "http://json-schema.org/draft-07/schema"

_IN_PLACE = ("not", "if", "then", "else")
_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
_INSIDE = ("additionalItems", "additionalProperties", "contains", "items", "propertyNames")
_INSIDE_MAPPINGS = ("definitions", "$defs", "patternProperties", "properties")


class _Validator(Protocol):
    """jsonschema's, whose own types say nothing."""

    def iter_errors(self, instance: JsonValue) -> Iterator[ValidationError]: ...


_Schema = dict[str, JsonValue]


def definition(document: Document, raw: JsonValue, path: Path) -> JsonValue:
    """The schema in `raw`, a mapping or a text of JSON or YAML; all that is wrong with it is noted in the document."""
    if isinstance(raw, str):
        inside = read(raw, limits.FLOW_BYTES)
        for fault in inside.findings():
            document.fault(path, f"line {fault.line} of the text: {fault.what}", fault.hint)
        found = inside.value
    else:
        found = raw
    if not isinstance(found, dict):
        document.fault(path, "a response schema is a mapping, or a text that has one")
        return {}
    at = None if isinstance(raw, str) else path
    for inner, what, hint in _faults(found):
        where = "" if at is not None or not inner else f"{'.'.join(map(str, inner))}: "
        document.fault(path if at is None else (*path, *inner), f"{where}{what}", hint)
    return found


def properties(schema: _Schema) -> tuple[frozenset[str], frozenset[str]] | None:
    """The fields that an answer may have and those that it must have; None when the schema doesn't say it plainly."""
    fields, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(fields, dict) or any(word in schema for word in ("$ref", "patternProperties", *_IN_PLACE_LISTS)):
        return None
    return frozenset(fields), frozenset(map(str, required)) if isinstance(required, list) else frozenset()


def _faults(schema: _Schema) -> list[tuple[Path, str, str]]:
    draft = schema.get("$schema", DRAFT)
    if not isinstance(draft, str) or draft.rstrip("#") != DRAFT:
        return [(("$schema",), "only JSON Schema of draft 7 is read", f"Write {DRAFT}# or leave it out")]
    wrong = _misshapen(schema)
    if wrong:
        return wrong
    found: list[tuple[Path, str, str]] = []
    if schema.get("type") != "object":
        found.append(((), "an answer is given as a tool's arguments, so that it has `type: object`", ""))
    parts = dict(_parts(schema, ()))
    for path, part in parts.items():
        reference, pattern = part.get("$ref"), part.get("pattern")
        if "$id" in part and path:
            found.append(((*path, "$id"), "a part of a schema can't have an address of its own", "Leave it out"))
        if isinstance(reference, str) and _place(schema, reference) not in parts:
            found.append(((*path, "$ref"), f"there is no {reference!r} in it, and nothing else is read", ""))
        by_name = part.get("patternProperties")
        named = [((*path, "patternProperties", key), key) for key in by_name] if isinstance(by_name, dict) else []
        for at, text in [((*path, "pattern"), pattern), *named]:
            if isinstance(text, str) and (why := patterns.fault(text)):
                found.append((at, f"no regular expression: {why}", ""))
    return found or _circles(schema, parts)


def _misshapen(schema: _Schema) -> list[tuple[Path, str, str]]:
    validator = cast("_Validator", Draft7Validator(Draft7Validator.META_SCHEMA))
    wrong = validator.iter_errors(schema)
    return [(tuple(error.absolute_path), error.message[:500], "") for error in wrong]


def _parts(schema: JsonValue, path: Path) -> Iterator[tuple[Path, _Schema]]:
    """Every schema in the schema, itself included."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for key, value in schema.items():
        match value:
            case dict() if key in (*_IN_PLACE, *_INSIDE):
                yield from _parts(value, (*path, key))
            case dict() if key in (*_INSIDE_MAPPINGS, "dependencies"):
                for name, inside in value.items():
                    yield from _parts(inside, (*path, key, name))
            case list() if key in (*_IN_PLACE_LISTS, "items"):
                for index, inside in enumerate(value):
                    yield from _parts(inside, (*path, key, index))
            case _:
                pass


def _place(schema: _Schema, reference: str) -> Path | None:
    """Where `#/definitions/a` stands; None for what names nothing in the schema."""
    if not re.fullmatch(r"#(/[^%]*)?", reference):
        return None
    value: JsonValue = schema
    path: Path = ()
    for word in reference.split("/")[1:]:
        name = word.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value, path = value[name], (*path, name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value, path = value[int(name)], (*path, int(name))
        else:
            return None
    return path


def _circles(schema: _Schema, parts: dict[Path, _Schema]) -> list[tuple[Path, str, str]]:
    """Schemas that come back to themselves, or multiply, without going down into the answer."""
    if sum("$ref" in part for part in parts.values()) > REFERENCES:
        return [((), f"it has more than {REFERENCES} references", "")]
    costs: dict[Path, int] = {}
    for path, part in parts.items():
        if _cost(schema, parts, path, costs) > CHECKS:
            return [((*path, "$ref") if "$ref" in part else path, "it leads back to itself, or to too much", "")]
    return []


def _cost(schema: _Schema, parts: dict[Path, _Schema], path: Path, costs: dict[Path, int]) -> int:
    """How many schemas one value is checked with; more than `CHECKS` for a circle."""
    if path not in costs:
        costs[path] = CHECKS + 1  # for whoever comes here again before it is known
        beside = [place for place in _beside(schema, parts[path], path) if place in parts]
        costs[path] = 1 + sum(_cost(schema, parts, place, costs) for place in beside)
    return costs[path]


def _beside(schema: _Schema, part: _Schema, path: Path) -> list[Path]:
    """The schemas that are checked with the same value as `part`."""
    reference = part.get("$ref")
    if isinstance(reference, str):
        place = _place(schema, reference)
        return [] if place is None else [place]
    beside: list[Path] = [(*path, key) for key in _IN_PLACE if key in part]
    for key in _IN_PLACE_LISTS:
        inside = part.get(key)
        beside += [(*path, key, index) for index in range(len(inside))] if isinstance(inside, list) else []
    dependencies = part.get("dependencies")
    return beside + ([(*path, "dependencies", name) for name in dependencies] if isinstance(dependencies, dict) else [])
