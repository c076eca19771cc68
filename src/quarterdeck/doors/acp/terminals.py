"""Commands in a terminal of the editor: started, followed while they print, and killed."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from acp.schema import EnvVariable

KEPT_BYTES = 1024 * 1024
"""Of a command's output; an editor keeps its end."""
LOOK_SECONDS = 0.25
"""How often what a running command printed is asked for: the protocol has no way to be told."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    text: str
    exit_code: int | None
    truncated: bool
    timed_out: bool = False


class Terminals:
    """Those of one session of an editor."""

    def __init__(self, client: Any, session_id: str, folder: str) -> None:
        self._client, self._session_id, self._folder = client, session_id, folder
        self._open: set[str] = set()

    async def run(self, argv: list[str], *, timeout: float, shown: Any = None, printed: Any = None) -> Ended:
        """Runs a command; `shown` is told its terminal, `printed` each part of its output as it comes."""
        made = await self._client.create_terminal(
            session_id=self._session_id,
            command=argv[0],
            args=argv[1:],
            cwd=self._folder,
            env=[EnvVariable(name="GIT_TERMINAL_PROMPT", value="0"), EnvVariable(name="PAGER", value="cat")],
            output_byte_limit=KEPT_BYTES,
        )
        terminal = made.terminal_id
        self._open.add(terminal)
        try:
            if shown is not None:
                await shown(terminal)
            return await self._followed(terminal, timeout, printed)
        finally:
            self._open.discard(terminal)
            with suppress(Exception):  # the editor may be gone
                await self._client.release_terminal(session_id=self._session_id, terminal_id=terminal)

    async def _followed(self, terminal: str, timeout: float, printed: Any) -> Ended:
        exit_ = asyncio.ensure_future(
            self._client.wait_for_terminal_exit(session_id=self._session_id, terminal_id=terminal)
        )
        told, late = "", asyncio.get_running_loop().time() + timeout
        timed_out = False
        try:
            while not exit_.done():
                await asyncio.wait((exit_,), timeout=LOOK_SECONDS)
                if printed is not None:
                    told = await self._print(terminal, told, printed)
                if not exit_.done() and asyncio.get_running_loop().time() > late:
                    timed_out = True
                    await self._client.kill_terminal(session_id=self._session_id, terminal_id=terminal)
                    await asyncio.wait((exit_,), timeout=5)
                    break
        finally:
            exit_.cancel()
        output = await self._client.terminal_output(session_id=self._session_id, terminal_id=terminal)
        if printed is not None and output.output.startswith(told) and len(output.output) > len(told):
            await printed(output.output[len(told) :])
        status = output.exit_status
        code = status.exit_code if status is not None else None
        return Ended(output.output, code, bool(output.truncated), timed_out)

    async def _print(self, terminal: str, told: str, printed: Any) -> str:
        output = (await self._client.terminal_output(session_id=self._session_id, terminal_id=terminal)).output
        if output.startswith(told) and len(output) > len(told):
            await printed(output[len(told) :])
            return output
        return told

    async def kill(self) -> int:
        """Kills whatever runs, and answers how many terminals were told so."""
        killed = 0
        for terminal in tuple(self._open):
            with suppress(Exception):
                await self._client.kill_terminal(session_id=self._session_id, terminal_id=terminal)
                killed += 1
        return killed
