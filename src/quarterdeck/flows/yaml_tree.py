"""A YAML file as a small tree that knows its places; bounded, so that no file can cost more than its size."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

VALUES = 20_000
"""How many values a file may come to once its aliases are followed."""
DEPTH = 32
BRACKETS = 300
"""How many may be open at once; beyond it the library takes seconds to give up."""

_TAG = "tag:yaml.org,2002:"

Path = tuple[str | int, ...]
"""Keys and indexes from the top to a value."""


@dataclass(frozen=True, order=True)
class Position:
    """Where a key or a value begins; both count from 1."""

    line: int = 1
    column: int = 1
    file: str = ""
    """Its path, where a tree is made of several files; empty for the first of them."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where, what, and a hint at what to do. Without `at` it is where the path stands."""

    path: Path
    what: str
    hint: str = ""
    at: Position | None = None


@dataclass(frozen=True)
class Scalar:
    """A plain value; `text` is as the file has it."""

    at: Position
    text: str
    value: str | int | float | None

    @property
    def kind(self) -> Literal["text", "number", "bool", "null"]:
        """What YAML takes it for."""
        match self.value:
            case bool():
                return "bool"
            case int() | float():
                return "number"
            case str():
                return "text"
            case None:
                return "null"


@dataclass(frozen=True)
class Sequence:
    """A list."""

    at: Position
    items: tuple["Node", ...]


@dataclass(frozen=True)
class Reference(Sequence):
    """`!reference [a, b]`: the value that stands there. Only where aliases are read, too."""


@dataclass(frozen=True)
class Mapping:
    """A mapping in the file's order, merge keys taken in; `places` has those of the keys."""

    at: Position
    entries: dict[str, "Node"] = field(default_factory=dict[str, "Node"])
    places: dict[str, Position] = field(default_factory=dict[str, Position])


Node = Scalar | Sequence | Mapping


def read(
    text: str, limit: int, *, aliases: bool = False, file: str = "", values: int = VALUES
) -> tuple[Node | None, list[Fault]]:
    """The tree of a file's one document, None when there is none, and all that is wrong with it.

    `limit` is in bytes. Without `aliases`, anchors, aliases and references are refused. `file` is for the places.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limit:
        return None, [Fault((), f"it has {size:,} bytes; at most {limit:,} are read")]
    if _brackets(text) > BRACKETS:
        return None, [Fault((), "it is nested too deeply")]
    reading = _Reading(aliases, file, values)
    try:
        raw = cast("Callable[[str], _Raw | None]", YAML(typ="safe", pure=True).compose)(text)
        return None if raw is None else reading.node(raw, ()), reading.faults
    except MarkedYAMLError as error:
        trouble = cast("_Trouble", error)
        mark = trouble.problem_mark or trouble.context_mark
        at = Position(mark.line + 1, mark.column + 1, file) if mark else None
        return None, [Fault((), f"not YAML: {trouble.problem or trouble.context or 'it ends too early'}", at=at)]
    except YAMLError:
        return None, [Fault((), "not YAML: it has characters that YAML doesn't allow")]
    except RecursionError:
        return None, [Fault((), "it is nested too deeply")]


class _Mark(Protocol):
    line: int
    column: int


class _Trouble(Protocol):
    """What ruamel's errors say."""

    problem: str | None
    problem_mark: _Mark | None
    context: str | None
    context_mark: _Mark | None


class _Raw(Protocol):
    """A node of ruamel's, which has no types of its own."""

    id: str
    tag: object
    value: object
    anchor: str | None
    start_mark: _Mark


class _Scalars(Protocol):
    def construct_object(self, node: _Raw) -> object: ...


def _brackets(text: str) -> int:
    opened = deepest = 0
    for found in re.finditer(r"[\[\]{}]", text):
        opened = opened + 1 if found[0] in "[{" else max(opened - 1, 0)
        deepest = max(deepest, opened)
    return deepest


class _Reading:
    def __init__(self, aliases: bool, file: str, values: int) -> None:
        self.faults: list[Fault] = []
        self._aliases = aliases
        self._lists = {"seq": Sequence, "!reference": Reference} if aliases else {"seq": Sequence}
        self._file = file
        self._left = values
        self._scalars = cast("_Scalars", YAML(typ="safe", pure=True).constructor)

    def node(self, raw: _Raw, path: Path) -> Node:
        at = self._position(raw)
        self._left -= 1
        if self._left == -1:
            return self._refused(path, at, f"it has more than {VALUES:,} values, aliases followed")
        if self._left < 0:
            return Scalar(at, "", None)
        if raw.anchor is not None and not self._aliases:
            return self._refused(path, at, "anchors and aliases are not read", "Write the value out")
        if len(path) > DEPTH:
            return self._refused(path, at, f"it is nested deeper than {DEPTH} levels")
        match raw.id, _kind(raw):
            case "mapping", "map":
                return self._mapping(cast("list[tuple[_Raw, _Raw]]", raw.value), at, path)
            case "sequence", tag if tag in self._lists:
                items = enumerate(cast("list[_Raw]", raw.value))
                return self._lists[tag](at, tuple(self.node(item, (*path, index)) for index, item in items))
            case "scalar", "int" | "float" | "bool" | "null":
                return Scalar(at, str(raw.value), self._value(raw))
            case "scalar", "str" | "timestamp" | "value":
                return Scalar(at, str(raw.value), str(raw.value))
            case _, tag:
                way = "; write `!reference [job, keyword]`" if tag == "!reference" and self._aliases else ""
                return self._refused(path, at, f"the tag {str(raw.tag).replace(_TAG, '!!')} is not read{way}")

    def _refused(self, path: Path, at: Position, what: str, hint: str = "") -> Scalar:
        self.faults.append(Fault(path, what, hint, at))
        return Scalar(at, "", None)

    def _value(self, raw: _Raw) -> str | int | float | None:
        try:
            value = self._scalars.construct_object(raw)
        except (ValueError, YAMLError):
            return str(raw.value)
        return value if isinstance(value, int | float | str) else None

    def _mapping(self, pairs: list[tuple[_Raw, _Raw]], at: Position, path: Path) -> Mapping:
        own, merged = Mapping(at), Mapping(at)
        for key, value in pairs:
            place, name = self._position(key), _name(key)
            if _kind(key) == "merge":
                self._merge(merged, self.node(value, (*path, "<<")), (*path, "<<"))
            elif key.id != "scalar":
                self._refused(path, place, "a key must be a plain word")
            elif name in own.entries:
                first = own.places[name].line
                self._refused((*path, name), place, f"the key {name!r} is there twice; the first is on line {first}")
            else:
                own.places[name] = place
                own.entries[name] = self.node(value, (*path, name))
        return Mapping(at, {**merged.entries, **own.entries}, {**merged.places, **own.places})

    def _position(self, raw: _Raw) -> Position:
        return Position(raw.start_mark.line + 1, raw.start_mark.column + 1, self._file)

    def _merge(self, into: Mapping, source: Node, path: Path) -> None:
        match source:
            case Mapping():
                for name, value in source.entries.items():
                    into.entries.setdefault(name, value)
                    into.places.setdefault(name, source.places[name])
            case Sequence():
                for item in source.items:
                    self._merge(into, item, path)
            case Scalar():
                self._refused(path, source.at, "`<<` needs a mapping or a list of mappings")


def _kind(raw: _Raw) -> str:
    return str(raw.tag).removeprefix(_TAG)


def _name(key: _Raw) -> str:
    """Routes compare with values as strings, in which true is `true`, however the file writes it."""
    text = str(key.value)
    return text.lower() if _kind(key) == "bool" else text
