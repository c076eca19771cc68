"""List a folder."""

import asyncio

from quarterdeck.core.events import Outcome
from quarterdeck.core.text import line
from quarterdeck.executor.files import Entry
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.tools.list_dir import Args

_SHOWN = 500
_NAME_CHARACTERS = 255


async def run(hands: Hands, args: Args) -> Done:
    """One line for each name, sorted."""
    entries = await asyncio.to_thread(hands.files.entries, args.directory)
    lines = [_line(entry) for entry in entries[:_SHOWN]]
    if len(entries) > _SHOWN:
        lines.append(f"[… {len(entries) - _SHOWN:,} more …]")
    return Done(Outcome.OK, "\n".join(lines) or "[the folder is empty]", truncated=len(entries) > _SHOWN)


def _line(entry: Entry) -> str:
    name = line(entry.name, _NAME_CHARACTERS)
    match entry.kind:
        case "folder":
            return f"{name}/"
        case "link":
            return f"{name} -> {line(entry.target, _NAME_CHARACTERS)}"
        case "file":
            return f"{name}  {entry.size:,} bytes"
        case "special":
            return f"{name}  (a pipe, socket or device)"
