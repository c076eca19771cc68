"""The Python type of what JSON Schema describes, as far as Pydantic writes it; another shape is an error."""

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_FORMATS = {"date-time": "datetime", "date": "date"}


def type_of(schema: Schema) -> str:
    """The type; what has a name is looked for in `models`. Raises ValueError for a shape that is not known."""
    if reference := str(schema.get("$ref", "")).rpartition("/")[2]:
        return reference if reference == "JsonValue" else f"models.{reference}"
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return " | ".join(dict.fromkeys(type_of(one) for one in schema[choice]))
    if "const" in schema:
        return f"Literal[{schema['const']!r}]"
    if "enum" in schema:
        return f"Literal[{', '.join(repr(value) for value in schema['enum'])}]"
    return _of_kind(schema)


def _of_kind(schema: Schema) -> str:
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            return f"tuple[{', '.join(type_of(one) for one in schema['prefixItems'])}]"
        case "array":
            return f"list[{type_of(schema.get('items', {}))}]"
        case "object":
            values = schema.get("additionalProperties", {})
            return f"dict[str, {'JsonValue' if isinstance(values, bool) else type_of(values)}]"
        case str(kind):
            return _FORMATS.get(schema.get("format", ""), _SCALARS[kind])
        case _ if not set(schema) - {"title", "description", "default"}:
            return "JsonValue"
        case _:
            raise ValueError(f"The API's description has a shape that the client doesn't know: {schema}")


def reached(schemas: dict[str, Schema], text: str) -> set[str]:
    """The names of `models` that `text` uses, and those that they use."""
    found: set[str] = set()
    wave = set(re.findall(r"models\.(\w+)", text))
    while wave:
        found |= wave
        inside = json.dumps([schemas[one] for one in wave])
        wave = set(re.findall(r'"#/components/schemas/(\w+)"', inside)) - found - {"JsonValue"}
    return found


def model(name: str, schema: Schema) -> str:
    """A class with a field for each property, or an alias where there are none."""
    if "properties" not in schema:
        return f"{name} = {type_of(schema)}\n{docstring(schema)}\n"
    return "\n".join([f"class {name}(Model):", f"    {docstring(schema)}", "", *_fields(schema), ""])


def _fields(schema: Schema) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        kind = type_of(field)
        if "discriminator" in field:
            kind = f'Annotated[{kind}, Field(discriminator="{field["discriminator"]["propertyName"]}")]'
        yield f"    {name}: {kind}" + ("" if name in required else f" = {_default(field)}")
        if field.get("description"):
            yield f"    {docstring(field)}"


def _default(field: Schema) -> str:
    value = field.get("const", field.get("default"))
    return f"Field(default_factory=lambda: {value!r})" if isinstance(value, list | dict) else repr(value)


def docstring(schema: Schema, indent: int = 4) -> str:
    """The description as a docstring: its first sentence, then the rest, so many blanks in from the left."""
    words = " ".join(str(schema.get("description") or schema.get("title") or "Part of an answer").split())
    words = words.replace("\\", "\\\\").replace('"', "'").rstrip(".") + "."
    if len(words) < 120 - indent - 6:
        return f'"""{words}"""'
    first, *rest = re.split(r"(?<=\.) ", words, maxsplit=1)
    lines = [*textwrap.wrap(first, 112), "", *textwrap.wrap(" ".join(rest), 108)] if rest else textwrap.wrap(first, 112)
    return textwrap.indent("\n".join(['"""' + lines[0], *lines[1:], '"""']), " " * indent).lstrip()
