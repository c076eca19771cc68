"""What a session is started with: the envelopes that its flow wants, and whether they fit."""

import re
from datetime import date, datetime
from uuid import UUID

from pydantic import JsonValue

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.flow import Flow, FlowInput
from quarterdeck.core.versions import newest, version

VERSION = "1.0.0"
"""Of an envelope that names none."""
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
FORMATS = ("date", "date-time", "email", "uri", "uuid")

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?!//(?:[/?#]|$))\S+")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


def pinned_inputs(flow: Flow, inputs: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """`inputs` (category to envelope) with the one envelope of each category that the flow's `inputs` choose.

    A category may be given a list of envelopes: the highest version that the flow's constraint allows is taken. An
    envelope is a mapping of fields; `metadata.version` is its version. More than the flow wants may be given.

    Raises:
        InvalidInputError: every field that is missing or of another form, every category without a fitting version.
    """
    faults: list[str] = []
    pinned = dict(inputs)
    for wanted in flow.inputs:
        try:
            chosen = _chosen(wanted, inputs.get(wanted.category))
        except InvalidInputError as error:
            faults.append(error.message.rstrip("."))
            continue
        faults += [f"{wanted.category}.{name} {what}" for name, what in field_faults(wanted, chosen or {}).items()]
        if chosen is not None:
            pinned[wanted.category] = chosen
    if faults:
        raise InvalidInputError(f"The flow {flow.id} can't start: {'; '.join(faults)}.")
    return pinned


def _chosen(wanted: FlowInput, given: JsonValue) -> dict[str, JsonValue] | None:
    if given is None or given == []:
        return None
    envelopes = [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, dict)]
    if not envelopes:
        raise InvalidInputError(f"{wanted.category} is no envelope; it should be a mapping of fields")
    versions = [_version(wanted.category, envelope) for envelope in envelopes]
    highest = newest(versions, wanted.version_constraint)
    if highest is None:
        there = ", ".join(versions)
        raise InvalidInputError(f"{wanted.category} has no version that fits {wanted.version_constraint}, only {there}")
    return envelopes[versions.index(highest)]


def _version(category: str, envelope: dict[str, JsonValue]) -> str:
    metadata = envelope.get("metadata")
    text = str(metadata.get("version", VERSION) if isinstance(metadata, dict) else VERSION)
    try:
        version(text)
    except InvalidInputError as error:
        raise InvalidInputError(f"{category}.metadata.version: {error.message}") from error
    return text


def field_faults(wanted: FlowInput, fields: dict[str, JsonValue]) -> dict[str, str]:
    """What is wrong with an envelope's fields, by their names: `is missing …`, `should be …`."""
    faults: dict[str, str] = {}
    for name, schema in wanted.input_schema.items():
        value = fields.get(name)
        if value is None:
            if not schema.get("optional"):
                faults[name] = f"is missing ({schema.get('description') or schema.get('type')})"
        elif not _is(value, str(schema.get("type"))):
            faults[name] = f"should be of the type {schema.get('type')}"
        elif isinstance(value, str) and not _has_format(value, schema.get("format")):
            faults[name] = f"should be a {schema.get('format')}"
    return faults


def _is(value: JsonValue, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES.get(kind, (object,)))


def _has_format(text: str, wanted: JsonValue) -> bool:
    """Whether a text is written as `wanted` says; a format that isn't known takes every text."""
    try:
        match wanted:
            case "date":
                return date.fromisoformat(text).isoformat() == text
            case "date-time":
                return datetime.fromisoformat(text).tzinfo is not None
            case "uri":
                return _URI.fullmatch(text) is not None
            case "email":
                return _EMAIL.fullmatch(text) is not None
            case "uuid":
                return str(UUID(text)) == text.lower()
            case _:
                return True
    except ValueError:
        return False
