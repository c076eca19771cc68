"""Read several text files at once, the room of one answer shared among them."""

import asyncio

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.events import Outcome
from quarterdeck.executor.files import Files
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.executor.reading import PART_CHARACTERS, Part, read
from quarterdeck.tools.read_files import Args

_LINES = 2_000
_HEADING_CHARACTERS = 300


async def run(hands: Hands, args: Args) -> Done:
    """Each file under its path, or why it can't be read; an error only when none can."""
    room = max(200, PART_CHARACTERS // len(args.file_paths) - _HEADING_CHARACTERS)
    parts = [await asyncio.to_thread(_read, hands.files, path, room) for path in args.file_paths]
    text = "\n\n".join(
        f"==> {path} <==\n{part.text}{part.note}" for path, part in zip(args.file_paths, parts, strict=True)
    )
    readable = any(part.text or not part.note.startswith("Not read") for part in parts)
    return Done(Outcome.OK if readable else Outcome.ERROR, text, truncated=any(part.cut for part in parts))


def _read(files: Files, path: str, room: int) -> Part:
    try:
        return read(files, path, 1, _LINES, room)
    except QuarterdeckError as error:
        return Part("", f"Not read: {error.message}", cut=False)
