"""Write a file, new or anew."""

import asyncio

from quarterdeck.core.events import Outcome
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.tools.create_file_with_contents import Args


async def run(hands: Hands, args: Args) -> Done:
    """Says whether the file is new."""
    content = args.contents.encode("utf-8", "replace")
    new = await asyncio.to_thread(hands.files.write, args.file_path, content)
    return Done(Outcome.OK, f"{'Created' if new else 'Replaced'} {args.file_path} ({len(content):,} bytes).")
