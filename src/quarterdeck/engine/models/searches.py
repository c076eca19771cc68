"""The searches of scripts, in a process of their own: a pattern that backtracks without end is killed with it."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from quarterdeck.core.text import cut
from quarterdeck.engine.models.model import ModelRejectedError
from quarterdeck.engine.models.script import CAPTURE_CHARACTERS

SECONDS = 10
"""What all searches for one answer may take together."""

Search = Callable[[str, str], Awaitable[str | None]]
"""What a pattern's one group, else all of it, matches in a text; None when nothing does."""

# The alarm ends a search that Python can't interrupt, also when nobody is left to kill the process.
_PROGRAM = """
import sys, signal
signal.alarm(int(sys.argv[1]))
import json, re
for line in sys.stdin:
    pattern, text = json.loads(line)
    found = re.search(pattern, text, re.MULTILINE)
    print(json.dumps(found and (found[min(found.re.groups, 1)] or "")[:int(sys.argv[2])]), flush=True)
"""


@asynccontextmanager
async def searching() -> AsyncGenerator[Search]:
    """A way to search; its process begins with the first search, and is gone at the end of the block.

    What is found is cut to one character more than may be kept. A search raises ModelRejectedError when the time is up.
    """
    started: list[Process] = []

    async def search(pattern: str, text: str) -> str | None:
        if not started:
            arguments = ("-I", "-S", "-c", _PROGRAM, str(SECONDS), str(CAPTURE_CHARACTERS + 1))
            started.append(
                await asyncio.create_subprocess_exec(
                    sys.executable, *arguments, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
                )
            )
        return await _asked(started[0], pattern, text)

    try:
        yield search
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _asked(process: Process, pattern: str, text: str) -> str | None:
    answer = b""
    if process.stdin is not None and process.stdout is not None:
        with suppress(ConnectionError):
            process.stdin.write(json.dumps([pattern, text]).encode() + b"\n")
            await process.stdin.drain()
        answer = await process.stdout.readline()
    if not answer:
        raise ModelRejectedError(
            f"The script's pattern {cut(pattern, 200)!r} can't be searched for: the searches for one answer "
            f"took longer than {SECONDS} seconds. Use a pattern with fewer repeats inside of repeats."
        )
    found: str | None = json.loads(answer)
    return found
