"""A YAML file as plain values that know their lines, and the faults found in it, reported all at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import isfinite
from typing import Literal

from pydantic import JsonValue
from pydantic_core import ErrorDetails

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.flows import yaml_tree
from quarterdeck.flows.yaml_tree import Fault, Path, Position

REPORTED_FAULTS = 100
MOST_KNOWN = 200
"""Among more words none is looked for that is like another."""


@dataclass
class Document:
    """A file's values, where they stand, and what is wrong with it so far."""

    value: JsonValue = None
    positions: dict[Path, Position] = field(default_factory=dict[Path, Position])
    faults: list[Fault] = field(default_factory=list[Fault])
    notes: list[Fault] = field(default_factory=list[Fault])
    """What is worth knowing and refuses nothing."""

    def note(self, path: Path, what: str, hint: str = "") -> None:
        """Notes what has no effect, or is not needed."""
        self.notes.append(Fault(path, what, hint))

    def findings(self) -> list["Finding"]:
        """All faults and notes, in the file's order."""
        found = [self._finding(fault, "fault") for fault in dict.fromkeys(self.faults)]
        found += [self._finding(note, "note") for note in dict.fromkeys(self.notes)]
        return sorted(found, key=lambda one: (one.line, one.column, one.path, one.what))

    def fault(self, path: Path, what: str, hint: str = "") -> None:
        """Notes a fault; reading goes on, so that all are told at once."""
        self.faults.append(Fault(path, what, hint))

    def closest(self, name: str, known: Iterable[str]) -> str:
        """A hint as `closest` gives it, for as many faults as are told: of thousands each would take its time."""
        return closest(name, known) if len(self.faults) < REPORTED_FAULTS else ""

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
                self.fault(path, "unknown key", self.closest(str(error["loc"][-1]), known))
            else:
                self.fault(path, error["msg"].removeprefix("Value error, "))

    def refuse(self, subject: str) -> None:
        """Raises InvalidInputError with all faults in the file's order, if there are any."""
        if not self.faults:
            return
        told = [finding for finding in self.findings() if finding.severity == "fault"]
        lines = [str(finding) for finding in told[:REPORTED_FAULTS]]
        if len(told) > len(lines):
            lines.append(f"… and {len(told) - len(lines)} more")
        raise InvalidInputError("\n".join([f"{subject} can't be used:", *lines]))

    def _finding(self, fault: Fault, severity: "Severity") -> "Finding":
        at = fault.at or self.position(fault.path)
        return Finding(
            severity, at.line, at.column, path_text(fault.path), fault.what.rstrip("."), fault.hint.rstrip(".")
        )


Severity = Literal["fault", "note"]


@dataclass(frozen=True)
class Finding:
    """A fault or a note as people are told it."""

    severity: Severity
    line: int
    column: int
    path: str
    what: str
    hint: str

    def __str__(self) -> str:
        """One line: `line:column path: what. hint.`."""
        hint = f" {self.hint}." if self.hint else ""
        return f"{self.line}:{self.column} {self.path}: {self.what}.{hint}"


def path_text(path: Path) -> str:
    """`components[0].name`, as people write it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the file"


def closest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known words like `name`, or all of them when none is; empty without any."""
    words = sorted(known)
    if len(words) > MOST_KNOWN:
        return ""
    close: Sequence[str] = get_close_matches(name, words, n=2) or (words if len(words) <= 12 else ())
    return f"Known here: {', '.join(close)}" if close else ""


def read(text: str, limit: int) -> Document:
    """The file as a document; one that isn't YAML has that as its only fault. `limit` is in bytes.

    Anchors and aliases are refused, so that a small file stays small.
    """
    root, faults = yaml_tree.read(text, limit)
    document = Document(faults=faults)
    if root is not None:
        document.value = _value(document, root, ())
    return document


def _value(document: Document, node: yaml_tree.Node, path: Path) -> JsonValue:
    document.positions.setdefault(path, node.at)
    match node:
        case yaml_tree.Mapping():
            document.positions.update({(*path, name): at for name, at in node.places.items()})
            return {name: _value(document, inside, (*path, name)) for name, inside in node.entries.items()}
        case yaml_tree.Sequence():
            return [_value(document, item, (*path, index)) for index, item in enumerate(node.items)]
        case yaml_tree.Scalar(value=float() as number) if not isfinite(number):
            document.fault(path, "it is no number that can be counted with")
            return None
        case yaml_tree.Scalar():
            return node.value
