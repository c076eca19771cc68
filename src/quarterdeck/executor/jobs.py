"""A pipeline job: its scripts in the sandbox of a fresh clone, its log as the call's output, its artifacts packed."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.events import Outcome
from quarterdeck.core.limits import BUNDLE_BYTES
from quarterdeck.core.protocol import JobSpec, WorkspaceSpec
from quarterdeck.executor import artifacts
from quarterdeck.executor.hands import Done
from quarterdeck.executor.output import Sink
from quarterdeck.executor.processes import Ended, Processes
from quarterdeck.executor.workspace import Source, Workspace

AFTER_SCRIPT_SECONDS = 300
"""What an after_script may take, whatever its job had; GitLab's number."""


@dataclass(frozen=True)
class JobDone:
    """How a job ended, and its artifacts if there are some to keep."""

    done: Done
    artifacts: Path | None = None


async def run(
    subject: str,
    spec: WorkspaceSpec,
    job: JobSpec,
    *,
    workspace: Workspace,
    source: Source,
    processes: Processes,
    sink: Sink,
) -> JobDone:
    """Run a job in a workspace that was made for it, and leave that to the caller to delete."""
    log = Log(sink)
    walls = processes.sandbox.isolation
    await log.say(f"Job {job.name} at {spec.commit[:10]} of {spec.ref}, isolation: {walls}.")
    try:
        for number, blob in enumerate(job.needs_artifacts, 1):
            await log.say(f"Unpacking artifacts of earlier jobs ({number} of {len(job.needs_artifacts)}).")
            await _unpack(blob, workspace, source)
    except QuarterdeckError as error:
        await log.say(f"ERROR: {error.message}")
        return JobDone(Done(Outcome.ERROR, error.message))
    scripts = _Scripts(subject, job, workspace, processes, sink)
    began = monotonic()
    ended = await scripts.run("script", (*job.before_script, *job.script), job.timeout_seconds)
    if job.after_script:
        await log.say("Running after_script.")
        status = {"CI_JOB_STATUS": "success" if ended.outcome is Outcome.OK else "failed"}
        after = await scripts.run("after_script", job.after_script, AFTER_SCRIPT_SECONDS, status)
        if after.outcome is not Outcome.OK:
            await log.say(f"WARNING: after_script {_words(after, AFTER_SCRIPT_SECONDS)}; the job doesn't fail by that.")
    packed = await _pack(job, ended, workspace, log)
    words = f"Job {job.name} {_words(ended, job.timeout_seconds)} after {monotonic() - began:.0f} s."
    await log.say(words if ended.outcome is Outcome.OK else f"ERROR: {words}")
    return JobDone(Done(ended.outcome, words, ended.exit_code, ended.truncated, limit=ended.reached), packed)


@dataclass(frozen=True)
class Log:
    """Lines of our own in an output."""

    sink: Sink

    async def say(self, text: str) -> None:
        """One line."""
        await self.sink(f"{text}\n".encode("utf-8", "replace"))


@dataclass(frozen=True)
class _Scripts:
    subject: str
    job: JobSpec
    workspace: Workspace
    processes: Processes
    sink: Sink

    async def run(self, name: str, lines: tuple[str, ...], seconds: float, more: dict[str, str] | None = None) -> Ended:
        """Run lines as one shell script. It is a file, because a command line holds only 128 KiB."""
        folder = self.workspace.folder / "scripts"
        folder.mkdir(exist_ok=True, mode=0o755)
        script = folder / name
        shell, content = shell_script(lines)
        script.write_text(content, encoding="utf-8")
        script.chmod(0o644)
        # Without namespaces the workspace is where it is, not where the server expects it.
        place = {"CI_PROJECT_DIR": self.processes.sandbox.workspace(self.workspace.files)}
        return await self.processes.run(
            self.subject,
            [shell, str(script)],
            root=self.workspace.files,
            timeout=seconds,
            env={**self.job.variables, **place, **(more or {})},
            readable=(folder,),
            sink=self.sink,
        )


def shell_script(lines: tuple[str, ...]) -> tuple[str, str]:
    """The shell, and a script that shows each line before it runs it and ends with the first that fails."""
    shell = shutil.which("bash", path="/usr/bin:/bin")
    head = "set -eo pipefail" if shell else "set -e"
    steps = [f"printf '%s\\n' {_quoted(f'$ {line}')}\n{line}" for line in lines]
    return shell or "/bin/sh", "\n".join([head, *steps, ""])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


async def _unpack(blob: int, workspace: Workspace, source: Source) -> None:
    archive = workspace.folder / f"needed-{blob}.tar.gz"
    await source.download(blob, archive)
    await asyncio.to_thread(artifacts.unpack, archive, workspace.files)
    archive.unlink()


async def _pack(job: JobSpec, ended: Ended, workspace: Workspace, log: Log) -> Path | None:
    succeeded = ended.outcome is Outcome.OK
    wanted = job.artifacts_when == "always" or succeeded == (job.artifacts_when == "on_success")
    if not job.artifact_paths or not wanted:
        return None
    target = workspace.folder / "artifacts.tar.gz"
    try:
        count = await asyncio.to_thread(artifacts.pack, workspace.files, job.artifact_paths, target)
    except (QuarterdeckError, OSError) as error:
        await log.say(f"WARNING: the artifacts can't be kept: {error}")
        return None
    if count == 0:
        await log.say(f"WARNING: no file matches the artifact paths {', '.join(job.artifact_paths)}.")
        return None
    if target.stat().st_size > BUNDLE_BYTES:
        await log.say(f"WARNING: the artifacts are larger than {BUNDLE_BYTES:,} bytes when packed; they are not kept.")
        return None
    await log.say(f"Keeping {count} artifact file{'s' if count > 1 else ''}.")
    return target


def _words(ended: Ended, seconds: float) -> str:
    match ended.outcome:
        case Outcome.OK:
            return "succeeded"
        case _ if ended.limit:
            return f"failed: {ended.limit}"
        case Outcome.TIMED_OUT:
            return f"failed: it ran longer than its timeout of {seconds:.0f} s"
        case _ if ended.exit_code is None:
            return "was killed"
        case _:
            return f"failed: exit code {ended.exit_code}"
