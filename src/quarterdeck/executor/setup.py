"""The project's setup script: run in the sandbox of a fresh workspace, once, before the first call in it."""

import asyncio

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.events import Outcome
from quarterdeck.core.protocol import SetupReport
from quarterdeck.core.text import cut
from quarterdeck.executor.jobs import shell_script
from quarterdeck.executor.network import Network
from quarterdeck.executor.processes import Processes
from quarterdeck.executor.workspace import Workspace

SETUP_SECONDS = 900
"""Whatever it has not done by then it doesn't do."""
TEXT_CHARACTERS = 16_384
TOLD_CHARACTERS = 2_000
"""What the model is told of one that failed."""


async def once(
    subject: str, workspace: Workspace, lines: tuple[str, ...], processes: Processes, network: Network | None
) -> SetupReport | None:
    """How it ended; None when there is none, or it was run in this workspace before.

    Cancelling it, or killing its subject, kills it; then the next call in this workspace runs it from its beginning.
    """
    done = workspace.folder / "setup.done"
    async with workspace.setting_up:
        if not lines or done.exists():
            return None
        folder = workspace.folder / "scripts"
        folder.mkdir(exist_ok=True, mode=0o755)
        script = folder / "setup"
        shell, content = shell_script(lines)
        script.write_text(content, encoding="utf-8")
        script.chmod(0o644)
        try:
            ended = await processes.run(
                subject,
                [shell, str(script)],
                root=workspace.files,
                timeout=SETUP_SECONDS,
                readable=(folder,),
                network=network,
            )
        except QuarterdeckError as error:
            return SetupReport(outcome=Outcome.ERROR, text=error.message)
        if ended.outcome is Outcome.CANCELLED:
            raise asyncio.CancelledError
        done.touch()
        text = cut(ended.text, TEXT_CHARACTERS)
        return SetupReport(outcome=ended.outcome, text=text, exit_code=ended.exit_code, duration_ms=ended.duration_ms)


def told(report: SetupReport | None) -> str:
    """What the model must know of it; nothing of one that went well."""
    if report is None or report.outcome is Outcome.OK:
        return ""
    how = "was killed for its time" if report.outcome is Outcome.TIMED_OUT else f"failed, exit code {report.exit_code}"
    end = report.text.strip()[-TOLD_CHARACTERS:]
    return f"(Before this call the project's setup script {how}; it is not run again. The end of its output:\n{end})"
