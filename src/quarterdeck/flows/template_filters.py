"""The filters of prompts. Each pays for what it reads and makes from what one rendering may cost."""

import json
from collections.abc import Callable, Generator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import cast

from jinja2 import Undefined
from jinja2.filters import do_default, do_int

from quarterdeck.core.errors import InvalidInputError

TEXT_CHARACTERS = 256 * 1024
"""What a text in a template may have, and all of it."""
ROUNDS = 1_000
"""How many items a list that is gone through may have."""
WORK = 16 * 1024 * 1024
"""What one rendering may cost, about in characters read and written."""

_STEP, _ITEM = 100, 16
"""What evaluating one node costs, and looking at one item."""


@dataclass
class _Budget:
    left: int = WORK


_BUDGET: ContextVar[_Budget | None] = ContextVar("_BUDGET", default=None)


@contextmanager
def begin() -> Generator[None]:
    """A rendering with a budget of its own."""
    token = _BUDGET.set(_Budget())
    try:
        yield
    finally:
        _BUDGET.reset(token)


def pay(cost: int) -> None:
    """Takes `cost` from the budget.

    Raises:
        InvalidInputError: there isn't so much left.
    """
    budget = _BUDGET.get()
    if budget is None:
        return
    budget.left -= cost
    if budget.left < 0:
        raise InvalidInputError("The prompt can't be written: its template does too much.")


def size(value: object) -> int:
    """What it costs to look at the whole of a value."""
    match value:
        case str():
            return len(value)
        case dict():
            return sum(_ITEM + len(key) + size(inside) for key, inside in cast("dict[str, object]", value).items())
        case list() | tuple():
            return sum(_ITEM + size(inside) for inside in cast("list[object]", value))
        case _:
            return _ITEM


def weighed(value: object) -> object:
    """The value, paid for: it is compared, or a part of it is copied."""
    _undefined(value)
    pay(_STEP + size(value))
    return value


def gone_through(value: object, steps: int) -> list[object]:
    """The items of a list, or the keys of a mapping, for a loop whose body has so many steps."""
    if not isinstance(value, dict | list | tuple):
        _undefined(value)
        raise InvalidInputError(f"The prompt can't be written: {_kind(value)} can't be gone through, only a list can.")
    items = list(cast("list[object]", value))
    if len(items) > ROUNDS:
        raise InvalidInputError(f"The prompt can't be written: a loop goes through at most {ROUNDS:,} items.")
    pay(_STEP * steps * len(items))
    return items


def as_text(value: object) -> str:
    """A text as it is, anything else as JSON; paid for."""
    _undefined(value)
    if isinstance(value, str):
        pay(len(value))
        return value
    pay(2 * size(value))
    return json.dumps(value, ensure_ascii=False, default=str)


def _undefined(value: object) -> None:
    if isinstance(value, Undefined):
        str(value)  # raises what is missing


def _kind(value: object) -> str:
    kinds: dict[type, str] = {
        str: "a text",
        bool: "true or false",
        type(None): "null",
        list: "a list",
        dict: "a mapping",
    }
    return kinds.get(type(value), "a number")


def _made(text: str) -> str:
    pay(len(text))
    if len(text) > TEXT_CHARACTERS:
        raise InvalidInputError(
            f"The prompt can't be written: a text comes to more than {TEXT_CHARACTERS:,} characters."
        )
    return text


def _listed(value: object) -> list[object]:
    """A list of its own; a mapping gives its keys, a text its characters."""
    _undefined(value)
    pay(size(value))
    if isinstance(value, str | dict | list | tuple):
        return list(cast("list[object]", value))
    raise InvalidInputError(f"The prompt can't be written: {_kind(value)} is no list.")


def _of_text(change: Callable[[str], str]) -> Callable[[object], str]:
    def apply(value: object) -> str:
        return _made(change(as_text(value)))

    return apply


def _key(attribute: object) -> Callable[[object], object]:
    """What items are compared or joined by: themselves, or the value at a path of keys."""
    if attribute is None:
        return lambda item: item
    path = str(attribute).split(".")

    def key(item: object) -> object:
        for part in path:
            inside = cast("dict[str, object]", item) if isinstance(item, dict) else _numbered(item)
            if part not in inside:
                raise InvalidInputError(f"The prompt can't be written: there is no {part!r} in an item of the list.")
            item = inside[part]
        return item

    return key


def _numbered(value: object) -> dict[str, object]:
    """A list, as `items` makes pairs, with its places as keys."""
    items = cast("list[object]", value) if isinstance(value, list | tuple) else []
    return {str(place): item for place, item in enumerate(items)}


def _join(value: object, separator: object = "", attribute: object = None) -> str:
    items = _listed(value)
    key, between = _key(attribute), as_text(separator)
    pay(len(between) * len(items))
    return _made(between.join(as_text(key(item)) for item in items))


def _replace(value: object, old: object, new: object, count: int | None = None) -> str:
    text, before, after = as_text(value), as_text(old), as_text(new)
    times = text.count(before) if count is None else min(text.count(before), count)
    if len(text) + times * len(after) > TEXT_CHARACTERS + times * len(before):
        _made("x" * (TEXT_CHARACTERS + 1))
    return _made(text.replace(before, after, -1 if count is None else count))


def _indent(value: object, width: object = 4, first: bool = False, blank: bool = False) -> str:
    text = as_text(value)
    by = width if isinstance(width, str) else " " * _number(width, 0, 200)
    lines = text.split("\n")
    pay(len(by) * len(lines))
    if len(by) * len(lines) > TEXT_CHARACTERS:
        _made("x" * (TEXT_CHARACTERS + 1))
    whole = [by + line if line or blank else line for line in lines[1:]]
    return _made("\n".join([by + lines[0] if first else lines[0], *whole]))


def _tojson(value: object, indent: object = None) -> str:
    _undefined(value)
    width = None if indent is None else _number(indent, 0, 8)
    pay(size(value) * (2 + 32 * (width or 0)))
    return _made(json.dumps(value, ensure_ascii=False, default=str, indent=width))


def _number(value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInputError(f"The prompt can't be written: {value!r} should be a number from {low} to {high}.")
    return value


def _sort(value: object, reverse: bool = False, case_sensitive: bool = False, attribute: object = None) -> object:
    items, key = _listed(value), _key(attribute)
    pay(20 * size(items))

    def by(item: object) -> object:
        found = key(item)
        return found.casefold() if isinstance(found, str) and not case_sensitive else found

    return sorted(items, key=cast("Callable[[object], str]", by), reverse=reverse)


def _unique(value: object, case_sensitive: bool = False, attribute: object = None) -> object:
    items, key = _listed(value), _key(attribute)
    pay(4 * size(items))
    found: dict[str, object] = {}
    for item in items:
        text = json.dumps(key(item), ensure_ascii=False, sort_keys=True, default=str)
        found.setdefault(text if case_sensitive else text.casefold(), item)
    return list(found.values())


def _first(value: object) -> object:
    items = _listed(value)
    return items[0] if items else None


def _last(value: object) -> object:
    items = _listed(value)
    return items[-1] if items else None


def _items(value: object) -> object:
    _undefined(value)
    if not isinstance(value, dict):
        raise InvalidInputError(f"The prompt can't be written: {_kind(value)} is no mapping, which `items` needs.")
    pay(_ITEM * len(cast("dict[str, object]", value)))
    return [[key, inside] for key, inside in cast("dict[str, object]", value).items()]


def _length(value: object) -> int:
    _undefined(value)
    if isinstance(value, str | dict | list | tuple):
        return len(cast("Sized", value))
    raise InvalidInputError(f"The prompt can't be written: {_kind(value)} has no length.")


def _round(value: object, precision: object = 0) -> object:
    _undefined(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInputError("The prompt can't be written: only a number can be rounded.")
    return round(value, _number(precision, 0, 15))


def _abs(value: object) -> object:
    _undefined(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInputError("The prompt can't be written: only a number has an amount.")
    return abs(value)


def _trim(value: object, characters: object = None) -> str:
    return as_text(value).strip(None if characters is None else as_text(characters))


def _int(value: object, default: int = 0) -> int:
    _undefined(value)
    return do_int(value, default)


FILTERS: dict[str, Callable[..., object]] = {
    "abs": _abs,
    "capitalize": _of_text(str.capitalize),
    "count": _length,
    "d": do_default,
    "default": do_default,
    "first": _first,
    "indent": _indent,
    "int": _int,
    "items": _items,
    "join": _join,
    "last": _last,
    "length": _length,
    "list": _listed,
    "lower": _of_text(str.lower),
    "replace": _replace,
    "round": _round,
    "sort": _sort,
    "string": as_text,
    "title": _of_text(str.title),
    "tojson": _tojson,
    "trim": _trim,
    "unique": _unique,
    "upper": _of_text(str.upper),
}
