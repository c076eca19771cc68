"""Values of a `.gitlab-ci.yml`; whatever doesn't fit is collected, so that all faults come at once."""

import re
from dataclasses import dataclass, field

from quarterdeck.flows.yaml_tree import Mapping, Node, Position, Scalar, Sequence

FAULTS_SHOWN = 50
TIMEOUT_SECONDS = 30 * 24 * 3600
"""The longest timeout of a job; GitLab's number."""
TEXT_CHARACTERS = 255

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DURATION = re.compile(r"(?:\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*(?:and\s|,)?)", re.IGNORECASE)
_UNITS = {
    1: ("", "s", "sec", "secs", "second", "seconds"),
    60: ("m", "min", "mins", "minute", "minutes"),
    3600: ("h", "hr", "hrs", "hour", "hours"),
    86400: ("d", "day", "days"),
    604800: ("w", "week", "weeks"),
}
_SECONDS = {name: seconds for seconds, names in _UNITS.items() for name in names}


@dataclass
class Values:
    """Reads values of one place (a job, or the file's top level) and keeps what is wrong with them."""

    faults: list[tuple[Position, str]]
    place: str = ""
    _seen: set[tuple[Position, str]] = field(default_factory=set[tuple[Position, str]])

    def at(self, place: str) -> "Values":
        """The same collection of faults for another place."""
        return Values(self.faults, place)

    def fault(self, at: Position, what: str) -> None:
        """Keeps a fault."""
        said = f"{self.place}: {what}" if self.place else what
        if (at, said) not in self._seen:
            self._seen.add((at, said))
            self.faults.append((at, said))

    def mapping(self, node: Node, what: str) -> Mapping:
        """A mapping; an empty one in place of anything else."""
        if isinstance(node, Mapping):
            return node
        self.fault(node.at, f"{what} must be a mapping")
        return Mapping(node.at)

    def text(self, node: Node, what: str) -> str:
        """A short text."""
        if isinstance(node, Scalar) and node.kind in ("text", "number") and 0 < len(node.text) <= TEXT_CHARACTERS:
            return node.text
        self.fault(node.at, f"{what} must be a text of 1 to {TEXT_CHARACTERS} characters")
        return ""

    def word(self, node: Node, what: str, allowed: tuple[str, ...]) -> str:
        """One of some words; the first of them in place of anything else."""
        if isinstance(node, Scalar) and node.text in allowed:
            return node.text
        self.fault(node.at, f"{what} must be one of {', '.join(allowed)}")
        return allowed[0]

    def truth(self, node: Node, what: str) -> bool:
        """True or false."""
        if isinstance(node, Scalar) and node.kind == "bool":
            return node.text.lower() == "true"
        self.fault(node.at, f"{what} must be true or false")
        return False

    def number(self, node: Node, what: str, least: int, most: int) -> int:
        """A whole number; the least one in place of anything else."""
        if isinstance(node, Scalar) and node.text.isdecimal() and len(node.text) < 10:
            number = int(node.text)
            if least <= number <= most:
                return number
        self.fault(node.at, f"{what} must be a number from {least} to {most}")
        return least

    def texts(self, node: Node, what: str) -> tuple[str, ...]:
        """A list of short texts, or one alone."""
        items = node.items if isinstance(node, Sequence) else (node,)
        return tuple(filter(None, (self.text(item, f"each of {what}") for item in items)))

    def commands(self, node: Node, what: str) -> tuple[str, ...]:
        """Shell lines: a text, or a list of texts and of such lists."""
        match node:
            case Scalar(kind="null"):
                return ()
            case Scalar():
                return (node.text,) if node.text.strip() else ()
            case Sequence():
                return tuple(line for item in node.items for line in self.commands(item, what))
            case Mapping():
                self.fault(node.at, f"{what} must be commands; put a command that has `: ` in quotes")
                return ()

    def variables(self, node: Node) -> dict[str, str]:
        """Variables with their values as texts, or as mappings with `value` and `description`."""
        found: dict[str, str] = {}
        for name, value in self.mapping(node, "variables").entries.items():
            if not _NAME.fullmatch(name):
                self.fault(value.at, f"{name!r} can't be the name of a variable")
            if isinstance(value, Mapping):
                self.keys(value, ("value", "description"), f"variable {name}")
                value = value.entries.get("value", Scalar(value.at, "", ""))
            if isinstance(value, Scalar) and value.kind in ("text", "number"):
                found[name] = value.text
            else:
                self.fault(value.at, f"variable {name} must be a text or a number; put it in quotes")
        return found

    def seconds(self, node: Node, what: str) -> int:
        """A duration like `90 minutes` or `1h 30m` in seconds."""
        text = node.text.strip() if isinstance(node, Scalar) else ""
        total, at = 0.0, 0
        while at < len(text) and (found := _DURATION.match(text, at)) and found[2].lower() in _SECONDS:
            total += float(found[1]) * _SECONDS[found[2].lower()]
            at = found.end()
        if not text or at < len(text) or not 1 <= total <= TIMEOUT_SECONDS:
            self.fault(node.at, f"{what} must be a duration like `90 minutes` or `1h 30m`, of at most 30 days")
            return 3600
        return int(total)

    def keys(self, node: Mapping, supported: tuple[str, ...], what: str, hints: dict[str, str] | None = None) -> None:
        """Refuses every other key by name."""
        for name in node.entries:
            if name not in supported:
                hint = (hints or {}).get(name, "")
                self.fault(
                    node.places[name],
                    f"{what + ': ' if what else ''}`{name}` is not supported{'; ' + hint if hint else ''}",
                )
