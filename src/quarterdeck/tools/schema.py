"""JSON Schemas that are not ours: of a flow's final answers, of other servers' tools."""

from pydantic import JsonValue

FAULTS = 10
"""How many faults a model is told at once."""


def faults(schema: dict[str, JsonValue], value: JsonValue) -> list[str]:
    """Where `value` doesn't fit `schema`, which must be a good one of draft 7 unless it says otherwise."""
    from jsonschema.validators import validator_for

    validator = validator_for(schema, default=_draft7())(schema)
    found = sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
    return [
        f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message[:500]}" for error in found[:FAULTS]
    ]


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
