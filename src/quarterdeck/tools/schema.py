"""JSON Schemas that are not ours: of a flow's final answers, of other servers' tools."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Protocol, cast

from pydantic import JsonValue

from quarterdeck.tools.searches import SearchError, Searches

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


class _Validator(Protocol):
    """jsonschema's, whose own types say nothing."""

    def iter_errors(self, instance: JsonValue) -> "Iterator[ValidationError]": ...
    def descend(self, instance: JsonValue, schema: JsonValue, path: str) -> "Iterator[ValidationError]": ...


_Kind = Callable[[dict[str, JsonValue]], _Validator]
FAULTS = 10
"""How many faults a model is told at once."""


def faults(schema: dict[str, JsonValue], value: JsonValue) -> list[str]:
    """Where `value` doesn't fit `schema`, which must be a good one and is read as draft 7, whatever it says itself."""
    validator = _kind(Searches())(schema)
    try:
        found = list(islice(validator.iter_errors(value), FAULTS))
    except (OverflowError, RecursionError, SearchError) as error:
        return [f"arguments: they can't be checked: {error}"]
    found.sort(key=lambda error: list(map(str, error.absolute_path)))
    return [f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message[:500]}" for error in found]


def _kind(searches: Searches) -> "_Kind":
    """Draft 7 with keywords of ours, in all parts of a schema: one that names its draft would get the library's own."""
    from jsonschema import validators

    own = {
        "uniqueItems": _unique,
        "pattern": partial(_pattern, searches),
        "patternProperties": partial(_pattern_properties, searches),
        "additionalProperties": partial(_additional_properties, searches),
    }
    kind = getattr(validators, "extend")(_draft7(), own)  # noqa: B009 it has no types
    of_library: Callable[..., _Validator] = kind.evolve

    def evolve(validator: _Validator, **changes: object) -> _Validator:
        part = changes.get("schema")
        if isinstance(part, dict):
            named = cast("dict[str, JsonValue]", part)
            changes["schema"] = {name: inside for name, inside in named.items() if name != "$schema"}
        return of_library(validator, **changes)

    kind.evolve = evolve
    return cast("_Kind", kind)


def refusal(schema: dict[str, JsonValue]) -> str:
    """Why `schema` can't be used; empty when it can. One that refers to another document can't: nothing is fetched."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    for reference in _references(schema):
        if not reference.startswith("#"):
            return f"it refers to {reference!r}, and only what is in it can be referred to"
    try:
        validator_for(schema, default=_draft7()).check_schema(schema)
    except SchemaError as error:
        return error.message
    return ""


def _unique(_validator: object, wanted: JsonValue, value: JsonValue, _schema: object) -> "Iterator[ValidationError]":
    """The keyword in one pass: the library compares every item with every other one."""
    from jsonschema.exceptions import ValidationError

    if wanted and isinstance(value, list) and len({_exact(item) for item in value}) < len(value):
        yield ValidationError("it has an item twice")


def _pattern(
    searches: Searches, _validator: _Validator, pattern: JsonValue, value: JsonValue, _schema: object
) -> "Iterator[ValidationError]":
    """The library searches with `re`, which nothing ends."""
    from jsonschema.exceptions import ValidationError

    if isinstance(value, str) and not searches.found(str(pattern), value):
        yield ValidationError(f"{value[:200]!r} does not match {pattern!r}")


def _pattern_properties(
    searches: Searches, validator: _Validator, patterns: JsonValue, value: JsonValue, _schema: object
) -> "Iterator[ValidationError]":
    if isinstance(value, dict) and isinstance(patterns, dict):
        for pattern, inside in patterns.items():
            for name in filter(partial(searches.found, pattern), value):
                yield from validator.descend(value[name], inside, path=name)


def _additional_properties(
    searches: Searches, validator: _Validator, wanted: JsonValue, value: JsonValue, schema: dict[str, JsonValue]
) -> "Iterator[ValidationError]":
    from jsonschema.exceptions import ValidationError

    if not isinstance(value, dict):
        return
    known, patterns = schema.get("properties"), schema.get("patternProperties")
    patterns = patterns if isinstance(patterns, dict) else {}
    others = [name for name in value if not isinstance(known, dict) or name not in known]
    others = [name for name in others if not any(searches.found(pattern, name) for pattern in patterns)]
    if wanted is False and others:
        yield ValidationError(f"it may not have: {', '.join(map(repr, others[:FAULTS]))}")
    for name in others if isinstance(wanted, dict) else ():
        yield from validator.descend(value[name], wanted, path=name)


def _exact(value: JsonValue) -> str:
    """The same text for values that JSON Schema takes for equal: 1 and 1.0 are, 1 and true are not."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: JsonValue) -> JsonValue:
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case _:
            return value


def _draft7():
    from jsonschema import Draft7Validator

    return Draft7Validator


def _references(value: JsonValue) -> list[str]:
    match value:
        case dict():
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return [*map(str, own), *(ref for inside in value.values() for ref in _references(inside))]
        case list():
            return [ref for inside in value for ref in _references(inside)]
        case _:
            return []
