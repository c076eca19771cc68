"""The filter of a trigger: conditions on the payload, in groups of which all or any have to hold."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, assert_never, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, ValidationError

from quarterdeck.core.errors import InvalidInputError

FILTER_BYTES = 8 * 1024
"""GitLab's number."""
LEVELS = 10
CONDITIONS = 100

Operator = Literal["eq", "ne", "gt", "lt", "contains", "not_contains", "in", "not_in"]


class Condition(BaseModel):
    """One comparison of what the payload has at `field` with `value`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    field: Annotated[str, Field(min_length=1, max_length=500)]
    """Names with dots between them; a number is a place in a list, any other name is looked for in each of a list."""
    operator: Operator
    value: JsonValue


class All(BaseModel):
    """Every one of them has to hold; none is no condition."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    all: tuple["Part", ...]


class AnyOf(BaseModel):
    """One of them has to hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    any: Annotated[tuple["Part", ...], Field(min_length=1)]


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "all" if "all" in value else "any" if "any" in value else "condition"
    return "all" if isinstance(value, All) else "any" if isinstance(value, AnyOf) else "condition"


Part = Annotated[
    Annotated[All, Tag("all")] | Annotated[AnyOf, Tag("any")] | Annotated[Condition, Tag("condition")],
    Discriminator(_kind),
]
Group = All | AnyOf

for _model in (All, AnyOf):
    _model.model_rebuild()


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid")
    group: Part


def read(text: str) -> Group | None:
    """The filter that the JSON says; None when it says nothing.

    Raises:
        InvalidInputError: it is no filter, or too large; says where it is wrong.
    """
    if not text.strip():
        return None
    if len(text.encode("utf-8", "replace")) > FILTER_BYTES:
        raise InvalidInputError(f"A filter may have {FILTER_BYTES:,} bytes.")
    try:
        found = _Written.model_validate_json('{"group":' + text + "}").group
    except ValidationError as error:
        raise InvalidInputError(f"This is no filter: {_reason(error)}") from None
    if isinstance(found, Condition):
        raise InvalidInputError('A filter is a group: {"all": [...]} or {"any": [...]}, with conditions in it.')
    if _levels(found) > LEVELS or _size(found) > CONDITIONS:
        raise InvalidInputError(f"A filter may have {CONDITIONS} conditions, in groups {LEVELS} deep.")
    return found


def written(group: Group | None) -> str:
    """The JSON of a filter, as people read it; the reverse of `read`."""
    return "" if group is None else group.model_dump_json(indent=2)


def holds(part: Group | Condition | None, payload: Mapping[str, JsonValue]) -> bool:
    """Whether the payload passes; no filter lets everything pass."""
    match part:
        case None:
            return True
        case All():
            return all(holds(one, payload) for one in part.all)
        case AnyOf():
            return any(holds(one, payload) for one in part.any)
        case Condition():
            return _compare(part.operator, _at(payload, part.field.split(".")), part.value)
        case _:
            assert_never(part)


def _at(value: Any, way: Sequence[str]) -> Any:
    """What is there; None where nothing is. What isn't found in each of a list is left out of the list."""
    for place, name in enumerate(way):
        if isinstance(value, Mapping):
            value = cast("Mapping[str, Any]", value).get(name)
        elif isinstance(value, list):
            items = cast("list[Any]", value)
            if name.isdecimal() and name.isascii():
                value = items[int(name)] if len(name) < 10 and int(name) < len(items) else None
            else:
                found = [_at(one, way[place:]) for one in items]
                return [one for one in found if one is not None]
        else:
            return None
    return value


def _compare(operator: Operator, found: Any, value: JsonValue) -> bool:
    match operator:
        case "eq":
            return _same(found, value)
        case "ne":
            return not _same(found, value)
        case "gt":
            return _ordered(found, value, lambda one, other: one > other)
        case "lt":
            return _ordered(found, value, lambda one, other: one < other)
        case "contains":
            return _contains(found, value)
        case "not_contains":
            return not _contains(found, value)
        case "in":
            return _contains(value, found)
        case "not_in":
            return not _contains(value, found)
        case _:
            assert_never(operator)


def _same(one: Any, other: Any) -> bool:
    """Equal, and of one kind: in JSON `true` is not 1."""
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return one == other


def _contains(whole: Any, part: Any) -> bool:
    """A list has an item, or a text another one."""
    if isinstance(whole, list):
        return any(_same(one, part) for one in cast("list[Any]", whole))
    return isinstance(whole, str) and isinstance(part, str) and part in whole


def _ordered(one: Any, other: Any, order: Callable[[Any, Any], bool]) -> bool:
    """Numbers with numbers, texts with texts (dates as ISO 8601 has them are in order); anything else is not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    alike = isinstance(one, (int, float)) and isinstance(other, (int, float))
    return (alike or (isinstance(one, str) and isinstance(other, str))) and order(one, other)


def _levels(part: Group | Condition) -> int:
    return 1 + max(map(_levels, _parts(part)), default=0)


def _size(part: Group | Condition) -> int:
    return 1 if isinstance(part, Condition) else sum(map(_size, _parts(part)))


def _parts(part: Group | Condition) -> tuple[Group | Condition, ...]:
    return part.all if isinstance(part, All) else part.any if isinstance(part, AnyOf) else ()


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"][1:] if part not in ("condition",))
    return f"{place}: {first['msg']}." if place else f"{first['msg']}."
