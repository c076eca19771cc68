"""A diff as git prints it, read: its files, and the lines that somebody can comment on."""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import FileChange

NEAREST = 4
"""How many lines a refusal names."""
FILES_NAMED = 10

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_ADDED, _REMOVED = re.compile(r"^\+", re.MULTILINE), re.compile(r"^-", re.MULTILINE)
_Change = Literal["added", "modified", "deleted", "renamed"]
_CHANGES: tuple[tuple[str, _Change], ...] = (
    ("\nnew file mode ", "added"),
    ("\ndeleted file mode ", "deleted"),
    ("\nrename from ", "renamed"),
)
_ESCAPE = re.compile(r'\\([abtnvfr"\\]|[0-7]{3})')
_ESCAPED = {"a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


class DiffLine(NamedTuple):
    """One line: an added one has no `old`, a removed one no `new`."""

    old: int | None
    new: int | None
    text: str


@dataclass(frozen=True)
class FileDiff:
    """What happens to one file."""

    path: str
    """Its new path; the old one when it is deleted."""
    old_path: str
    text: str
    """All of it, as git prints it."""
    lines: tuple[DiffLine, ...]

    @property
    def added(self) -> int:
        """How many lines are new."""
        return sum(line.old is None for line in self.lines)

    @property
    def removed(self) -> int:
        """How many lines are gone."""
        return sum(line.new is None for line in self.lines)


def read_diff(text: str) -> tuple[FileDiff, ...]:
    """The files of a diff; lines end at a line feed alone, and no line within a hunk begins as a file does."""
    return tuple(map(_file, _pieces(text)))


def listed(text: str) -> tuple[FileChange, ...]:
    """What a diff does to each file, without its lines."""
    return tuple(_change(piece) for piece in _pieces(text))


def file_of(text: str, path: str) -> str | None:
    """The part of a diff that is of one file, by its new or its old path; None when it changes no such file."""
    return next((piece for piece in _pieces(text) if path in _paths(_head(piece).split("\n"))), None)


def _pieces(text: str) -> list[str]:
    pieces = re.split(r"^(?=diff --git )", text, flags=re.MULTILINE)
    return [piece for piece in pieces if piece.startswith("diff --git ")]


def _head(piece: str) -> str:
    return re.split(r"^@@ ", piece, maxsplit=1, flags=re.MULTILINE)[0]


def _change(piece: str) -> FileChange:
    head = _head(piece)
    old, new = _paths(head.split("\n"))
    hunks = piece[len(head) :]
    added, removed = len(_ADDED.findall(hunks)), len(_REMOVED.findall(hunks))
    return FileChange(path=new or old, change=_kind(head), added=added, removed=removed)


def _kind(head: str) -> _Change:
    for word, change in _CHANGES:
        if word in head:
            return change
    return "modified"


def find_line(
    files: tuple[FileDiff, ...], path: str, new_line: int | None, old_line: int | None
) -> tuple[FileDiff, DiffLine]:
    """The file and line of the diff that are meant, by a number on one side or both.

    Raises:
        InvalidInputError: it isn't in the diff; names the nearest lines that are, or the files.
    """
    if new_line is None and old_line is None:
        raise InvalidInputError(f"Say which line of {path} is meant: its new number, or the old one of a removed line.")
    file = next((one for one in files if one.path == path), None)
    file = file or next((one for one in files if one.old_path == path), None)
    if file is None:
        named = ", ".join(one.path for one in files[:FILES_NAMED]) or "none"
        more = f" and {len(files) - FILES_NAMED} more" if len(files) > FILES_NAMED else ""
        raise InvalidInputError(f"{path} isn't in the diff. Its files: {named}{more}.")
    if new_line is None:
        return file, _on_side(path, "old", old_line or 0, {line.old: line for line in file.lines})
    found = _on_side(path, "new", new_line, {line.new: line for line in file.lines})
    if old_line is not None and found.old != old_line:
        was = f"was line {found.old}" if found.old else "wasn't there"
        raise InvalidInputError(f"Line {new_line} of {path} {was} before; the old line {old_line} is another.")
    return file, found


def _on_side(path: str, side: str, number: int, known: dict[int | None, DiffLine]) -> DiffLine:
    if number in known:
        return known[number]
    near = sorted((at for at in known if at is not None), key=lambda at: (abs(at - number), at))[:NEAREST]
    if not near:
        raise InvalidInputError(f"The diff of {path} has no {side} lines to comment on.")
    named = ", ".join(str(at) for at in sorted(near))
    raise InvalidInputError(f"The {side} line {number} of {path} isn't in the diff; the nearest that are: {named}.")


def _file(text: str) -> FileDiff:
    rows = text.split("\n")
    first = next((n for n, row in enumerate(rows) if row.startswith("@@ ")), len(rows))
    old, new = _paths(rows[:first])
    return FileDiff(path=new or old, old_path=old or new, text=text, lines=tuple(_lines(rows[first:])))


def _lines(rows: list[str]) -> list[DiffLine]:
    found: list[DiffLine] = []
    old = new = 0
    for row in rows:
        hunk = _HUNK.match(row)
        if hunk:
            old, new = int(hunk[1]), int(hunk[2])
        elif row.startswith(" "):
            found.append(DiffLine(old, new, row[1:]))
            old, new = old + 1, new + 1
        elif row.startswith("-"):
            found.append(DiffLine(old, None, row[1:]))
            old += 1
        elif row.startswith("+"):
            found.append(DiffLine(None, new, row[1:]))
            new += 1
    return found


def _paths(head: list[str]) -> tuple[str, str]:
    """The old and the new path; empty where there is none."""
    told = {word: row.removeprefix(word) for row in head for word in _HEADS if row.startswith(word)}
    if "rename from " in told:  # without the side before it
        return _unquoted(told["rename from "]), _unquoted(told.get("rename to ", ""))
    if "--- " in told:
        return _name(told["--- "]), _name(told.get("+++ ", ""))
    rest = head[0].removeprefix("diff --git ")  # a mode, an empty or a binary file: both names are the same
    return _name(rest[: len(rest) // 2]), _name(rest[: len(rest) // 2])


_HEADS = ("rename from ", "rename to ", "--- ", "+++ ")


def _name(text: str) -> str:
    """A path with its side before it; empty for /dev/null."""
    path = _unquoted(text.removesuffix("\t"))
    return "" if path == "/dev/null" else path[2:]


def _unquoted(text: str) -> str:
    """A path as git writes it in a header: within quotes when it has characters that would break the line."""
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1]) or chr(int(found[1], 8)), text[1:-1])
