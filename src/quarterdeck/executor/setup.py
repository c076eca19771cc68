"""The project's setup script: run in the sandbox of a fresh workspace, once, before the first call in it.

What the project's cache has is copied in before it, and kept after it.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.events import Outcome
from quarterdeck.core.protocol import SetupReport, WorkspaceSpec
from quarterdeck.core.text import cut
from quarterdeck.executor import caches
from quarterdeck.executor.caches import Cache
from quarterdeck.executor.jobs import Log, shell_script
from quarterdeck.executor.network import Network
from quarterdeck.executor.output import Sink
from quarterdeck.executor.processes import Ended, Processes
from quarterdeck.executor.workspace import Workspace

SETUP_SECONDS = 900
"""Whatever it has not done by then it doesn't do."""
TEXT_CHARACTERS = 16_384
LIVE_BYTES = 512 * 1024
"""Of what it prints, the first in the output of its call; the event of its end has head and tail of all."""
TOLD_CHARACTERS = 2_000
"""What the model is told of one that failed."""


@dataclass(frozen=True)
class Setup:
    """What there is to be done in one subject's fresh workspace, and with what."""

    subject: str
    spec: WorkspaceSpec
    workspace: Workspace
    processes: Processes
    network: Network | None
    caches: Path

    async def once(self, sink: Sink) -> SetupReport | None:
        """How it ended; None when there is nothing to run, or it was run in this workspace before.

        `sink` hears of it from its beginning on. Cancelling it, or killing its subject, kills it; then the next call in
        this workspace does it from its beginning. So it does after an error of ours or a limit that was reached, but
        as a call has worked here by then, the cache is neither unpacked over its files nor made of them.
        """
        done, entered = (self.workspace.folder / f"setup.{mark}" for mark in ("done", "entered"))
        async with self.workspace.setting_up:
            if not self.spec.setup_script or done.exists():
                return None
            log = Log(sink)
            await log.say("Setup script of the project, before the first call in this workspace.")
            try:
                cache = None if entered.exists() else await self._cache()
                if cache:
                    await log.say(await cache.restore(self.workspace))
                ended = await self._run(sink)
            except QuarterdeckError as error:
                entered.touch()
                await log.say(f"ERROR: {error.message}")
                return SetupReport(outcome=Outcome.ERROR, text=error.message)
            if ended.outcome is Outcome.CANCELLED:
                raise asyncio.CancelledError
            done.touch()
            await log.say(f"The setup script {_how(ended.outcome, ended.exit_code)}.")
            # Still before any call: nothing but the script itself has written what is kept.
            if cache and ended.outcome is Outcome.OK and (words := await cache.save(self.workspace)):
                await log.say(words)
        text = cut(ended.text, TEXT_CHARACTERS)
        return SetupReport(outcome=ended.outcome, text=text, exit_code=ended.exit_code, duration_ms=ended.duration_ms)

    async def _cache(self) -> Cache | None:
        """None without walls: then any command could write into what others are given."""
        if self.spec.cache is None or self.processes.sandbox.isolation == "none":
            return None
        return await caches.of(self.spec.cache, self.caches, self.workspace)

    async def _run(self, sink: Sink) -> Ended:
        folder = self.workspace.folder / "scripts"
        folder.mkdir(exist_ok=True, mode=0o755)
        script = folder / "setup"
        shell, content = shell_script(self.spec.setup_script)
        script.write_text(content, encoding="utf-8")
        script.chmod(0o644)
        return await self.processes.run(
            self.subject,
            [shell, str(script)],
            root=self.workspace.files,
            timeout=SETUP_SECONDS,
            readable=(folder,),
            sink=_bounded(sink),
            network=self.network,
        )


def _bounded(sink: Sink) -> Sink:
    """Passes on the first `LIVE_BYTES`, so that the call has its own room after it."""
    left = LIVE_BYTES

    async def passed(data: bytes) -> None:
        nonlocal left
        if left > 0:
            await sink(data[:left])
            left -= len(data)
            if left <= 0:
                await sink(b"\n[... the rest of what the setup script prints is not shown here ...]\n")

    return passed


def told(report: SetupReport | None) -> str:
    """What the model must know of it; nothing of one that went well."""
    if report is None or report.outcome is Outcome.OK:
        return ""
    how, end = _how(report.outcome, report.exit_code), report.text.strip()[-TOLD_CHARACTERS:]
    if not _ran(report):
        return f"(Before this call the project's setup script could not be run; the next call tries it again. {end})"
    return f"(Before this call the project's setup script {how}; it is not run again. The end of its output:\n{end})"


def _ran(report: SetupReport) -> bool:
    """Whether the script itself came to an end; else something of ours or a limit kept it from that."""
    return report.exit_code is not None or report.outcome is not Outcome.ERROR


def _how(outcome: Outcome, exit_code: int | None) -> str:
    match outcome:
        case Outcome.OK:
            return "succeeded"
        case Outcome.TIMED_OUT:
            return "was killed for its time"
        case _:
            return f"failed, exit code {exit_code}"
