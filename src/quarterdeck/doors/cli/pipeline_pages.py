"""What `qd pipeline` prints."""

import asyncio
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pydantic import JsonValue
from rich.text import Text

from quarterdeck.client.models import JobView, LintView, PipelineView
from quarterdeck.core.pipeline import PIPELINE_ENDED
from quarterdeck.doors.cli import screen
from quarterdeck.doors.cli.absence import patiently
from quarterdeck.doors.cli.client import Client, parse
from quarterdeck.doors.cli.command import Cli
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.plain import Lines, line

POLL_SECONDS = 0.5
BUSY = "; those that fit are busy"
"""How the server ends what a job waits for that will be taken without anybody's doing."""
LOG_PAGE_BYTES = 1024 * 1024


def print_list(answer: JsonValue, project: str) -> None:
    """Pipelines, newest first."""
    pipelines = parse(list[PipelineView], answer)
    if not pipelines:
        print(f"No pipelines yet. Start one: qd pipeline start --project {project}")
        return
    rows = [
        (f"#{one.id}", screen.status(one.status), one.ref, one.sha[:12], one.source, screen.ago(one.created_at))
        for one in pipelines
    ]
    screen.console().print(screen.table(("pipeline", "status", "ref", "commit", "source", "made"), rows))


def print_pipeline(answer: JsonValue) -> None:
    """A pipeline and its jobs."""
    one = parse(PipelineView, answer)
    out = screen.console()
    head = Text.assemble((f"pipeline #{one.id} ", "bold"), f"{one.ref} at {one.sha[:12]}  ", screen.status(one.status))
    out.print(head)
    for fault in one.error.splitlines():
        out.print(Text(line(fault), style="red"))
    rows = [(f"{job.id}", screen.status(job.status), job.stage, job.name, _took(job), _why(job)) for job in one.jobs]
    if rows:
        out.print(screen.table(("job", "status", "stage", "name", "took", ""), rows))


async def wait(cli: Cli, client: Client, answer: JsonValue) -> JsonValue:
    """Looks until the pipeline has ended; says when a job changes."""
    seen: dict[int, str] = {}
    while True:
        one = parse(PipelineView, answer)
        for job in one.jobs:
            # A job that waits is worth a word only when no runner will take it by itself.
            stuck = job.waiting_for is not None and not job.waiting_for.detail.endswith(BUSY)
            stands = f"{job.status}{_why(job)}" if stuck else job.status
            if seen.get(job.id) != stands and (stuck or job.status not in ("created", "pending")):
                cli.say(f"  {screen.status(job.status).plain}  {line(job.name)}{_why(job)}")
            seen[job.id] = stands
        if one.status in PIPELINE_ENDED:
            return answer
        await asyncio.sleep(POLL_SECONDS)
        answer = await patiently(partial(client.get, f"/pipelines/{one.id}"))


def verdict(answer: JsonValue) -> None:
    """Ends the command with the pipeline's end."""
    one = parse(PipelineView, answer)
    if one.status != "success":
        raise Failure(f"Pipeline #{one.id} {one.status}.", Exit.FAILED)


async def print_log(cli: Cli, client: Client, job_id: int, *, follow: bool) -> None:
    """A job's log from its beginning, made harmless; with `follow` until the job has ended."""
    offset, lines = 0, Lines()
    while True:
        job = partial(client.get, f"/jobs/{job_id}")
        ended = not follow or parse(JobView, await patiently(job)).ended_at is not None
        while data := await client.read(f"/jobs/{job_id}/log", offset=offset, limit=LOG_PAGE_BYTES):
            offset += len(data)
            _write(cli, lines.feed(data))
        if ended:
            _write(cli, lines.close())
            return
        await asyncio.sleep(POLL_SECONDS)


def print_lint(cli: Cli, answer: JsonValue, file: Path) -> None:
    """The faults of a pipeline file, or its jobs; ends the command with 1 when there are faults."""
    one = parse(LintView, answer)
    if cli.json:
        cli.print(answer)
    else:
        for fault in one.faults:
            print(line(fault))
        rows = [(job.stage, job.name) for job in one.jobs]
        if one.valid:
            nothing = f"It is valid, and a push of it would run nothing: {line(one.nothing)}."
            screen.console().print(screen.table(("stage", "job"), rows) if rows else Text(nothing))
    if not one.valid:
        raise Failure(f"{file} can't be used: {len(one.faults)} faults.", Exit.FAILED)


def _write(cli: Cli, rows: list[str]) -> None:
    if cli.json:
        for text in rows:
            cli.print({"line": text})
        return
    sys.stdout.write("".join(f"{text}\n" for text in rows))
    sys.stdout.flush()


def _took(job: JobView) -> str:
    if job.started_at is None:
        return ""
    return screen.clock(((job.ended_at or datetime.now(UTC)) - job.started_at).total_seconds())


def _why(job: JobView) -> str:
    waits = f" waits for {line(job.waiting_for.detail, 200)}" if job.waiting_for else ""
    code = f" exit code {job.exit_code}" if job.exit_code else ""
    again = f" attempt {job.attempt}" if job.attempt > 1 else ""
    may = " (allowed to fail)" if job.allow_failure and job.status == "failed" else ""
    reason = f" {line(job.reason, 200)}" if job.reason else ""
    return f"{again}{code}{reason}{may}{waits}"
