"""The JSON of a request, refused in words where a parser would only give up."""

import json
from typing import Any, cast

from litestar import Request
from pydantic import JsonValue

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import clean_value, deeper, finite

DEEPEST = 100
"""How far lists and objects may lie in one another; what reads and stores them goes down by calls."""


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body is UTF-8, and not nested without end."""

    async def json(self) -> Any:
        """The body's value. Raises InvalidInputError."""
        try:
            value = await super().json()
        except UnicodeDecodeError as error:
            raise InvalidInputError("The body is not UTF-8.") from error
        except RecursionError as error:
            raise _too_deep() from error
        if _depth(value) > DEEPEST:
            raise _too_deep()
        return value


def json_of(body: bytes) -> JsonValue:
    """The JSON that is written there, fit to be stored; nothing is an empty object. Raises InvalidInputError."""
    try:
        value: Any = json.loads(body.decode() or "{}", parse_constant=finite, parse_float=finite)
    except (ValueError, RecursionError):
        raise InvalidInputError("The body is no JSON.") from None
    if deeper(value, DEEPEST):
        raise InvalidInputError("The body is nested too deep.")
    return clean_value(value)


def _too_deep() -> InvalidInputError:
    return InvalidInputError(f"The body is nested deeper than {DEEPEST} levels.")


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level and depth <= DEEPEST:
        depth += 1
        level = [child for parent in level for child in _children(parent)]
    return depth


def _children(value: object) -> list[object]:
    match value:
        case dict():
            return list(cast("dict[str, object]", value).values())
        case list():
            return cast("list[object]", value)
        case _:
            return []
