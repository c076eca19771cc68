"""What a person may change of the arguments of a tool call before they allow it."""

import json
from collections.abc import Mapping

from pydantic import JsonValue

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import finite
from quarterdeck.doors.export.entries import shown
from quarterdeck.doors.export.terminal import visible
from quarterdeck.doors.web.fields import Fields

CHARACTERS = 20_000
"""A longer argument is not offered in a field."""


def editable(args: Mapping[str, JsonValue]) -> dict[str, str]:
    """The arguments that can be changed in a field, as they stand in it.

    One that has something that is not seen stays as it is: in a field nobody would see it, nor see it go.
    """
    texts = {name: shown(value) for name, value in args.items() if visible(name) == name}
    return {name: text for name, text in texts.items() if len(text) <= CHARACTERS and visible(text) == text}


def changed(args: Mapping[str, JsonValue], form: Fields) -> dict[str, JsonValue] | None:
    """The arguments with what a form has of them; None if it changes none."""
    made = dict(args)
    for name, before in editable(args).items():
        text = form.verbatim(f"arg.{name}")
        if text is not None and text != before:
            made[name] = text if isinstance(args[name], str) else _read(name, text)
    return made if made != args else None


def _read(name: str, text: str) -> JsonValue:
    try:
        return json.loads(text, parse_constant=finite, parse_float=finite)
    except (ValueError, RecursionError):
        raise InvalidInputError(f"{name} is no text: write it as JSON, as it stood there.") from None
