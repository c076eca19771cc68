"""A YAML file as plain values that know their lines, and the faults found in it, reported all at once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import isfinite
from typing import Protocol, cast

from pydantic import JsonValue
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from quarterdeck.core.errors import InvalidInputError

DEPTH = 32
REPORTED_FAULTS = 100
_TAG = "tag:yaml.org,2002:"

Path = tuple[str | int, ...]
"""Keys and indexes from the top to a value."""


@dataclass(frozen=True, order=True)
class Position:
    """Where a key or an item begins; both count from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where, what, and a hint at what to do."""

    path: Path
    what: str
    hint: str = ""


@dataclass
class Document:
    """A file's values, where they stand, and what is wrong with it so far."""

    value: JsonValue = None
    positions: dict[Path, Position] = field(default_factory=dict[Path, Position])
    faults: list[Fault] = field(default_factory=list[Fault])

    def fault(self, path: Path, what: str, hint: str = "") -> None:
        """Notes a fault; reading goes on, so that all are told at once."""
        self.faults.append(Fault(path, what, hint))

    def position(self, path: Path) -> Position:
        """Where `path` stands; for a value that isn't there, where its nearest parent does."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, Position())

    def fitting_faults(self, prefix: Path, errors: Iterable[ErrorDetails], known: Iterable[str] = ()) -> None:
        """Notes what pydantic found in the value at `prefix`; unknown keys get a close one of `known` as hint."""
        for error in errors:
            path = (*prefix, *error["loc"])
            if error["type"] == "extra_forbidden":
                self.fault(path, "unknown key", closest(str(error["loc"][-1]), known))
            else:
                self.fault(path, error["msg"].removeprefix("Value error, "))

    def refuse(self, subject: str) -> None:
        """Raises InvalidInputError with all faults in the file's order, if there are any."""
        if not self.faults:
            return
        told = sorted(dict.fromkeys(self.faults), key=lambda fault: self.position(fault.path))
        lines = [self._line(fault) for fault in told[:REPORTED_FAULTS]]
        if len(told) > len(lines):
            lines.append(f"… and {len(told) - len(lines)} more")
        raise InvalidInputError("\n".join([f"{subject} can't be used:", *lines]))

    def _line(self, fault: Fault) -> str:
        at = self.position(fault.path)
        what = fault.what.rstrip(".")
        hint = f" {fault.hint.rstrip('.')}." if fault.hint else ""
        return f"{at.line}:{at.column} {path_text(fault.path)}: {what}.{hint}"


def path_text(path: Path) -> str:
    """`components[0].name`, as people write it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path if part != "")
    return text.removeprefix(".") or "the file"


def closest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known words like `name`, or all of them when none is; empty without any."""
    words = sorted(known)
    close: Sequence[str] = get_close_matches(name, words, n=2) or (words if len(words) <= 12 else ())
    return f"Known here: {', '.join(close)}" if close else ""


def read(text: str, limit: int) -> Document:
    """The file as a document; one that isn't YAML has that as its only fault. `limit` is in bytes.

    Anchors and aliases are refused, so that a small file stays small.
    """
    document = Document()
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limit:
        document.fault((), f"it has {size:,} bytes; at most {limit:,} are read")
        return document
    try:
        node = cast("Callable[[str], _Node | None]", YAML(typ="safe", pure=True).compose)(text)
    except MarkedYAMLError as error:
        trouble = cast("_Trouble", error)
        mark = trouble.problem_mark or trouble.context_mark
        document.positions[()] = Position(mark.line + 1, mark.column + 1) if mark else Position()
        document.fault((), f"not YAML: {trouble.problem or trouble.context or 'it ends too early'}")
    except YAMLError:
        document.fault((), "not YAML: it has characters that YAML doesn't allow")
    except RecursionError:
        document.fault((), "it is nested too deeply")
    else:
        if node is not None:
            document.value = _Reading(document).value(node, ())
    return document


class _Mark(Protocol):
    line: int
    column: int


class _Trouble(Protocol):
    """What ruamel's errors say."""

    problem: str | None
    problem_mark: _Mark | None
    context: str | None
    context_mark: _Mark | None


class _Node(Protocol):
    """A node of ruamel's, which has no types of its own."""

    id: str
    tag: object
    value: object
    anchor: str | None
    start_mark: _Mark


class _Scalars(Protocol):
    def construct_object(self, node: _Node) -> object: ...


class _Reading:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._scalars = cast("_Scalars", YAML(typ="safe", pure=True).constructor)

    def value(self, node: _Node, path: Path) -> JsonValue:
        self._document.positions.setdefault(path, _position(node))
        if node.anchor is not None:
            self._document.fault(path, "anchors and aliases are not read", "Write the value out")
            return None
        if len(path) > DEPTH:
            self._document.fault(path, f"it is nested deeper than {DEPTH} levels")
            return None
        match node.id, _kind(node):
            case "mapping", "map":
                return self._mapping(cast("list[tuple[_Node, _Node]]", node.value), path)
            case "sequence", "seq":
                items = enumerate(cast("list[_Node]", node.value))
                return [self.value(item, (*path, index)) for index, item in items]
            case "scalar", "int" | "float" | "bool" | "null":
                return self._scalar(node, path)
            case "scalar", "str" | "timestamp" | "value":
                return str(node.value)
            case _:
                self._document.fault(path, f"the tag {str(node.tag).replace(_TAG, '!!')} is not read")
                return None

    def _mapping(self, entries: list[tuple[_Node, _Node]], path: Path) -> JsonValue:
        found: dict[str, JsonValue] = {}
        for key_node, value_node in entries:
            if key_node.id != "scalar" or _kind(key_node) == "merge":
                self._document.fault(path, "a key must be a plain word")
                continue
            key = _key(key_node)
            inside = (*path, key)
            if key in found:
                first = self._document.position(inside)
                self._document.positions[*inside, ""] = _position(key_node)
                self._document.fault((*inside, ""), "the key is there twice", f"The first is on line {first.line}")
                continue
            self._document.positions[inside] = _position(key_node)
            found[key] = self.value(value_node, inside)
        return found

    def _scalar(self, node: _Node, path: Path) -> JsonValue:
        try:
            value = self._scalars.construct_object(node)
        except (ValueError, YAMLError):
            value = str(node.value)
        if isinstance(value, float) and not isfinite(value):
            self._document.fault(path, "it is no number that can be counted with")
            return None
        return value if isinstance(value, bool | int | float | str) else None


def _kind(node: _Node) -> str:
    return str(node.tag).removeprefix(_TAG)


def _position(node: _Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _key(node: _Node) -> str:
    """Routes compare with values as strings, in which true is `true`, however the file writes it."""
    text = str(node.value)
    return text.lower() if _kind(node) == "bool" else text
