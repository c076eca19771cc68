"""Read one text file, by lines."""

import asyncio

from quarterdeck.core.events import Outcome
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.executor.reading import read
from quarterdeck.tools.read_file import Args


async def run(hands: Hands, args: Args) -> Done:
    """The lines asked for, and where to go on."""
    part = await asyncio.to_thread(read, hands.files, args.file_path, args.offset, args.limit)
    return Done(Outcome.OK, part.text + part.note, truncated=part.cut)
