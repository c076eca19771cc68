"""Lines of an untrusted text file, however large it is and whatever is in it."""

import os
from dataclasses import dataclass
from typing import BinaryIO

from quarterdeck.core.errors import InvalidInputError, TooLargeError
from quarterdeck.core.limits import RESULT_CHARACTERS
from quarterdeck.core.text import decode
from quarterdeck.executor.files import Files

_NOTE_CHARACTERS = 256
PART_CHARACTERS = RESULT_CHARACTERS - _NOTE_CHARACTERS
LINE_BYTES = 2_000
"""What is shown of one line; minified files have lines of megabytes."""
SKIPPED_BYTES = 64 * 1024 * 1024
"""How far into a file lines are counted to come to an offset."""
_SNIFFED_BYTES = 8 * 1024


@dataclass(frozen=True)
class Part:
    """Some lines of a file, and in `note` what of it they are when they aren't all."""

    text: str
    note: str
    cut: bool


def read(files: Files, path: str, offset: int, limit: int, room: int = PART_CHARACTERS) -> Part:
    """The lines `offset` … `offset + limit - 1`, as far as `room` characters last.

    Raises:
        NotFoundError: names what is near.
        InvalidInputError: it is no text file, or has fewer lines.
        TooLargeError: the offset is further in than lines are counted.
    """
    with os.fdopen(files.open(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if b"\x00" in file.read(_SNIFFED_BYTES):
            raise InvalidInputError(f"{path} is a binary file of {size:,} bytes; only text files are read.")
        file.seek(0)
        if not _skip(file, path, offset - 1) and offset > 1:
            raise InvalidInputError(f"{path} has fewer than {offset} lines.")
        lines, shortened = _take(file, limit, room)
        more = bool(file.read(1))
    text = "".join(lines)
    if not more and offset == 1:
        note = "\n[… of lines that are longer the rest was left out …]" if shortened else ""
        return Part(text, note or ("" if text else "[the file is empty]"), shortened)
    last = offset + len(lines) - 1
    onward = f"; go on with offset={last + 1}" if more else ", its end"
    return Part(text, f"\n[lines {offset} to {last} of a file of {size:,} bytes{onward}]", more or shortened)


def _skip(file: BinaryIO, path: str, lines: int) -> bool:
    """Go over so many lines; whether there were as many, and one more."""
    for _ in range(lines):
        if not _line(file)[0]:
            return False
        if file.tell() > SKIPPED_BYTES:
            raise TooLargeError(
                f"That is more than {SKIPPED_BYTES // 1024**2} MB into {path}. Use run_command with tail, sed or grep."
            )
    place = file.tell()
    more = bool(file.read(1))
    file.seek(place)
    return more


def _take(file: BinaryIO, limit: int, room: int) -> tuple[list[str], bool]:
    lines: list[str] = []
    shortened = False
    while len(lines) < limit:
        place = file.tell()
        data, cut = _line(file)
        if not data:
            break
        line = decode(data)
        room -= len(line)
        if room < 0 and lines:
            file.seek(place)
            break
        lines.append(line)
        shortened = shortened or cut
    return lines, shortened


def _line(file: BinaryIO) -> tuple[bytes, bool]:
    """The next line, of a long one its begin; empty at the end of the file."""
    line = file.readline(LINE_BYTES)
    if len(line) < LINE_BYTES or line.endswith(b"\n"):
        return line, False
    rest = LINE_BYTES
    while (more := file.readline(64 * 1024)) and not more.endswith(b"\n"):
        rest += len(more)
        if rest > SKIPPED_BYTES:
            raise TooLargeError("A line of the file is longer than 64 MB.")
    return line + b" [\xe2\x80\xa6]\n", True
