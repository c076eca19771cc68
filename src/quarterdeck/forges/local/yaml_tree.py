"""A YAML file as a small tree that knows its lines; bounded, so that no file can cost more than its size."""

import re
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from quarterdeck.core.errors import InvalidInputError

FILE_BYTES = 128 * 1024
VALUES = 20_000
"""How many values a file may come to once its aliases are followed."""
DEPTH = 50
BRACKETS = 300
"""How many may be open at once; beyond it the library takes seconds to give up."""

_TAG = "tag:yaml.org,2002:"
ScalarKind = Literal["text", "number", "bool", "null"]
_KINDS: AbstractMapping[str, ScalarKind] = {
    f"{_TAG}str": "text",
    f"{_TAG}int": "number",
    f"{_TAG}float": "number",
    f"{_TAG}bool": "bool",
    f"{_TAG}null": "null",
    f"{_TAG}timestamp": "text",
}


@dataclass(frozen=True)
class Scalar:
    """A plain value; `text` is as the file has it."""

    line: int
    text: str
    kind: ScalarKind


@dataclass(frozen=True)
class Sequence:
    """A list."""

    line: int
    items: tuple["Node", ...]


@dataclass(frozen=True)
class Mapping:
    """A mapping in the file's order, merge keys taken in; `lines` has the line of each key."""

    line: int
    entries: dict[str, "Node"] = field(default_factory=dict[str, "Node"])
    lines: dict[str, int] = field(default_factory=dict[str, int])


Node = Scalar | Sequence | Mapping


class YamlFaultError(InvalidInputError):
    """The file is not the YAML that is read here."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line
        self.what = what


def read(text: str) -> Node | None:
    """The tree of a file's one document; None when it is empty.

    Raises:
        YamlFaultError: names the line and what is wrong there.
    """
    if len(text.encode("utf-8", "surrogatepass")) > FILE_BYTES:
        raise YamlFaultError(1, f"the file is larger than {FILE_BYTES:,} bytes")
    if _brackets(text) > BRACKETS:
        raise YamlFaultError(1, "it is nested too deeply")
    try:
        # The library's method has no types; `_Raw` is what of its answer is used here.
        raw = cast("_Raw | None", YAML(typ="rt", pure=True).compose(text))  # pyright: ignore[reportUnknownMemberType]
        return None if raw is None else _Tree().node(raw, 0)
    except MarkedYAMLError as error:
        marked = cast("_Marked", error)
        mark = marked.problem_mark or marked.context_mark
        raise YamlFaultError(mark.line + 1 if mark else 1, marked.problem or "not YAML") from error
    except YAMLError as error:
        raise YamlFaultError(1, "it has characters that YAML doesn't allow") from error
    except RecursionError as error:
        raise YamlFaultError(1, "it is nested too deeply") from error


class _Mark(Protocol):
    line: int


class _Marked(Protocol):
    problem_mark: _Mark | None
    context_mark: _Mark | None
    problem: str | None


class _Raw(Protocol):
    """A node of ruamel.yaml, which has no types of its own."""

    start_mark: _Mark
    tag: object
    value: object


def _brackets(text: str) -> int:
    opened = deepest = 0
    for found in re.finditer(r"[\[\]{}]", text):
        opened += 1 if found[0] in "[{" else -1
        deepest = max(deepest, opened)
    return deepest


class _Tree:
    def __init__(self) -> None:
        self._left = VALUES

    def node(self, raw: _Raw, depth: int) -> Node:
        line, tag, value = raw.start_mark.line + 1, str(raw.tag), raw.value
        self._left -= 1
        if self._left < 0:
            raise YamlFaultError(line, f"with its aliases the file has more than {VALUES:,} values")
        if depth > DEPTH:
            raise YamlFaultError(line, f"it is nested deeper than {DEPTH} levels")
        if isinstance(value, str) and tag in _KINDS:
            return Scalar(line, value, _KINDS[tag])
        if isinstance(value, list) and tag == f"{_TAG}seq":
            return Sequence(line, tuple(self.node(item, depth + 1) for item in cast("list[_Raw]", value)))
        if isinstance(value, list) and tag == f"{_TAG}map":
            return self._mapping(cast("list[tuple[_Raw, _Raw]]", value), line, depth)
        hint = "; use `extends` or a YAML anchor" if tag == "!reference" else ""
        raise YamlFaultError(line, f"the tag {tag.replace(_TAG, '!!')} is not supported{hint}")

    def _mapping(self, pairs: list[tuple[_Raw, _Raw]], line: int, depth: int) -> Mapping:
        own, merged = Mapping(line), Mapping(line)
        for key, value in pairs:
            at, name = key.start_mark.line + 1, key.value
            if str(key.tag) == f"{_TAG}merge":
                self._merge(merged, self.node(value, depth + 1))
                continue
            if not isinstance(name, str):
                raise YamlFaultError(at, "a key must be a plain value")
            if name in own.entries:
                raise YamlFaultError(at, f"the key {name!r} is there twice; the first is on line {own.lines[name]}")
            own.entries[name] = self.node(value, depth + 1)
            own.lines[name] = at
        return Mapping(line, {**merged.entries, **own.entries}, {**merged.lines, **own.lines})

    def _merge(self, into: Mapping, source: Node) -> None:
        match source:
            case Mapping():
                for name, value in source.entries.items():
                    into.entries.setdefault(name, value)
                    into.lines.setdefault(name, source.lines[name])
            case Sequence():
                for item in source.items:
                    self._merge(into, item)
            case Scalar():
                raise YamlFaultError(source.line, "`<<` needs a mapping or a list of mappings")
