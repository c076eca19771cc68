"""Change the one place of a file that has a given text."""

import asyncio
import os

from quarterdeck.core.errors import InvalidInputError, TooLargeError
from quarterdeck.core.events import Outcome
from quarterdeck.executor.files import Files
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.tools.edit_file import Args

_LARGEST = 16 * 1024 * 1024
_LINES_SHOWN = 20


async def run(hands: Hands, args: Args) -> Done:
    """Says at which line the change is.

    Raises:
        InvalidInputError: the text is not there, or more than once.
    """
    line = await asyncio.to_thread(_edit, hands.files, args)
    return Done(Outcome.OK, f"Changed {args.file_path} at line {line}.")


def _edit(files: Files, args: Args) -> int:
    before = _content(files, args.file_path)
    old, new = (text.encode("utf-8", "replace") for text in (args.old_str, args.new_str))
    places = _places(before, old)
    if len(places) != 1:
        raise InvalidInputError(_refusal(args.file_path, before, old, places))
    if old == new:
        raise InvalidInputError("old_str and new_str are the same; nothing was changed.")
    at = places[0]
    files.write(args.file_path, before[:at] + new + before[at + len(old) :])
    return before.count(b"\n", 0, at) + 1


def _content(files: Files, path: str) -> bytes:
    with os.fdopen(files.open(path), "rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise TooLargeError(f"{path} is larger than {_LARGEST // 1024**2} MB; change it with run_command.")
    return content


def _places(content: bytes, wanted: bytes) -> list[int]:
    places: list[int] = []
    at = content.find(wanted)
    while at >= 0:
        places.append(at)
        at = content.find(wanted, at + 1)
    return places


def _refusal(path: str, content: bytes, old: bytes, places: list[int]) -> str:
    if places:
        lines = ", ".join(str(content.count(b"\n", 0, at) + 1) for at in places[:_LINES_SHOWN])
        return (
            f"old_str is in {path} {len(places)} times, at lines {lines}; it must be there exactly once. Take in more "
            "of the lines around it."
        )
    if b"\r\n" in content and old.replace(b"\r\n", b"\n") in content.replace(b"\r\n", b"\n"):
        return f"old_str is not in {path} as it stands: its lines end with CR LF. Give \\r\\n in old_str and new_str."
    if b" ".join(old.split()) in b" ".join(content.split()):
        return f"old_str is not in {path} as it stands: spaces, indents or line ends differ. Read the file again."
    return f"old_str is not in {path}. Read the file again and copy the text exactly."
