"""Make a folder and its parents."""

import asyncio

from quarterdeck.core.events import Outcome
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.tools.mkdir import Args


async def run(hands: Hands, args: Args) -> Done:
    """Says whether the folder is new."""
    new = await asyncio.to_thread(hands.files.make_folder, args.directory_path)
    return Done(Outcome.OK, f"{'Created' if new else 'There was already'} the folder {args.directory_path}.")
