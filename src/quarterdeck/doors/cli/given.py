"""Values as they are given on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarterdeck.doors.cli.failure import Exit, Failure

if TYPE_CHECKING:
    from pydantic import JsonValue

    from quarterdeck.doors.cli.client import Client

Attach = Annotated[
    list[Path] | None, typer.Option("--attach", metavar="FILE", help="A file or an image for it; may be repeated.")
]
ContextFiles = Annotated[
    list[Path] | None, typer.Option("--context", metavar="FILE", help="A text to go by; may be repeated.")
]
Cost = Annotated[str | None, typer.Option("--cost", metavar="DOLLARS", help="It pauses when it has cost so much.")]
Tokens = Annotated[int | None, typer.Option("--tokens", min=1, help="It pauses when it has used so many.")]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", help="What its runner must have, such as gpu; may be repeated.")
]


def text(file: Path) -> str:
    """A file as text. Raises Failure when it can't be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} can't be read: {error}", Exit.USAGE) from None


def data(file: Path) -> bytes:
    """A file's bytes. Raises Failure when it can't be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise Failure(f"{file} can't be read: {error}", Exit.USAGE) from None


async def attached(client: "Client", files: "list[Path] | None") -> list[int]:
    """Uploads files for a start or a message; answers their numbers."""
    found: list[int] = []
    for file in files or []:
        answer: Any = await client.post_bytes("/attachments", data(file), name=file.name)
        found.append(int(answer["id"]))
    return found


def contexts(files: "list[Path] | None") -> "list[JsonValue]":
    """Texts to go by, as a start takes them."""
    return [{"category": "file", "name": file.name, "content": text(file)} for file in files or []]


def budget(cost: str | None, tokens: int | None) -> "JsonValue":
    """A budget as the server takes it; None when nothing is given."""
    if cost is None and tokens is None:
        return None
    return {"cost": cost, "tokens": tokens}


def limits(text: str) -> "JsonValue":
    """Limits as the server takes them. Raises Failure for what is none."""
    from quarterdeck.core.session_limits import ProjectLimits

    try:
        return ProjectLimits.parse(text).model_dump(exclude_none=True)
    except ValueError as error:
        raise Failure(f"--limits: {error}.", Exit.USAGE) from None


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
