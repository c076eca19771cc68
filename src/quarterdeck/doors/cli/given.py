"""Values as they are given on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck.doors.cli.failure import Exit, Failure

if TYPE_CHECKING:
    from pydantic import JsonValue


def text(file: Path) -> str:
    """A file as text. Raises Failure when it can't be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} can't be read: {error}", Exit.USAGE) from None


def inputs(pairs: list[str]) -> "dict[str, dict[str, JsonValue]]":
    """Inputs by category and field; a value that is no JSON is text."""
    import json

    found: dict[str, dict[str, JsonValue]] = {}
    for one in pairs:
        place, equals, value = one.partition("=")
        category, dot, field = place.partition(".")
        if not (equals and dot and category and field):
            raise Failure(f"--input has to be CATEGORY.FIELD=VALUE, like pipeline.id=7; not {one!r}.", Exit.USAGE)
        fields = found.setdefault(category, {})
        try:
            fields[field] = json.loads(value)
        except ValueError:
            fields[field] = value
    return found


def json_object(value: str) -> "dict[str, JsonValue]":
    """The value of --args. Raises Failure when it is no JSON object."""
    from pydantic import JsonValue, TypeAdapter, ValidationError

    try:
        return TypeAdapter(dict[str, JsonValue]).validate_json(value)
    except ValidationError:
        raise Failure('--args has to be a JSON object, like {"command": "make test"}.', Exit.USAGE) from None
