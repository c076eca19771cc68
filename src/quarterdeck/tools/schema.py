"""JSON Schemas that are not ours: of a flow's final answers, of other servers' tools."""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Protocol, cast

from pydantic import JsonValue

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


class _Validator(Protocol):
    """jsonschema's, whose own types say nothing."""

    def iter_errors(self, instance: JsonValue) -> "Iterator[ValidationError]": ...


_Kind = Callable[[dict[str, JsonValue]], _Validator]
FAULTS = 10
"""How many faults a model is told at once."""


def faults(schema: dict[str, JsonValue], value: JsonValue) -> list[str]:
    """Where `value` doesn't fit `schema`, which must be a good one of draft 7 unless it says otherwise."""
    from jsonschema import validators

    known = validators.validator_for(schema, default=_draft7())
    kind = cast("_Kind", getattr(validators, "extend")(known, {"uniqueItems": _unique}))  # noqa: B009 it has no types
    validator = kind(schema)
    try:
        found = list(islice(validator.iter_errors(value), FAULTS))
    except (OverflowError, RecursionError) as error:
        return [f"arguments: they can't be checked: {error}"]
    found.sort(key=lambda error: list(map(str, error.absolute_path)))
    return [f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message[:500]}" for error in found]


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
