"""The acts of `qd demo`: a red pipeline, a session, and the proof."""

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from quarterdeck.client.models import FlowEntry, MergeRequestView, PipelineView, ProjectView, SessionView
from quarterdeck.doors.cli import given, merge_request, pipeline_pages, project, screen, session_pages
from quarterdeck.doors.cli.absence import patiently
from quarterdeck.doors.cli.client import Client, parse
from quarterdeck.doors.cli.command import Cli
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.plain import Lines, quote

SAMPLE = "sample"
"""The path of the project that a server makes at its first start."""
LOG_LINES = 15
PIPELINE_SECONDS = 60.0
"""How long the new branch's pipeline may take to appear."""


@dataclass(frozen=True)
class Play:
    """What was asked for."""

    repo: str | None
    project: str | None
    flow: str
    model: str | None
    script: Path | None
    goal: str
    level: str


async def play(cli: Cli, client: Client, asked: Play) -> None:
    """All acts; raises Failure unless the new branch's pipeline passed."""
    session_pages.level_of(asked.level)
    model = await _model(cli, client, asked)
    where = await _project(cli, client, asked)
    red = await _red_pipeline(cli, client, where)
    started = await _session(cli, client, asked, where, model, red)
    watcher = await session_pages.follow(cli, client, started, asked.level)
    if watcher.status.value not in ("idle", "finished"):
        raise Failure(f"Session #{started.id} is {watcher.status.value}; nothing was proved.")
    ended = parse(SessionView, await patiently(partial(client.get, f"/sessions/{started.id}")))
    await _show_diff(cli, client, ended)
    await _prove(cli, client, where, ended, red)


def _act(cli: Cli, text: str) -> None:
    cli.say(f"\n── {text}")


async def _project(cli: Cli, client: Client, asked: Play) -> ProjectView:
    if asked.repo is None:
        return parse(ProjectView, await client.get(f"/projects/{quote(asked.project or SAMPLE)}"))
    taken = {one.path for one in parse(list[ProjectView], await client.get("/projects"))}
    name = PurePosixPath(asked.repo.rstrip("/").removesuffix(".git")).name or "repository"
    plain_name = (
        "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip("-.") or "demo"
    )
    path = next(one for one in names(plain_name) if one not in taken)
    _act(cli, f"Project {path} from {asked.repo}")
    return parse(ProjectView, await client.post("/projects", project.body(path, asked.repo)))


def names(name: str) -> list[str]:
    """Paths for a project, of which the first that is free is taken."""
    return [name, *(f"{name}-{number}" for number in range(2, 1_000))]


async def _model(cli: Cli, client: Client, asked: Play) -> str:
    """The model to name. The scripted one is never taken silently: it is said, and only where a script fits."""
    health: Any = await client.get("/health")
    model = asked.model or ("scripted" if asked.script else health["default_model"])
    if model is None and asked.repo is None and asked.project in (None, SAMPLE):
        flows = {one.id: one for one in parse(list[FlowEntry], await client.get("/flows"))}
        if any(one.scripted for one in flows.values()):
            model = "scripted"
    if model is None:
        raise Failure(
            "No model is configured, and no script fits this repository. Set ANTHROPIC_API_KEY or OPENAI_API_KEY "
            "where the server starts, or pass --script FILE.",
            Exit.USAGE,
        )
    if model.startswith("scripted"):
        _act(
            cli, "No language model answers in this session: a script does. Its tools, commands and pipelines are real."
        )
    return model


async def _red_pipeline(cli: Cli, client: Client, where: ProjectView) -> PipelineView:
    _act(cli, f"The pipeline of {where.path} on {where.default_branch}")
    answer = await client.post(f"/projects/{where.id}/pipelines", {"ref": where.default_branch})
    red = parse(PipelineView, await pipeline_pages.wait(cli, client, answer))
    if red.status == "success":
        raise Failure(f"Pipeline #{red.id} of {where.path} passes: there is nothing to repair.")
    if red.status != "failed":
        raise Failure(f"Pipeline #{red.id} of {where.path} {red.status} instead of failing: {red.error}")
    for job in red.jobs:
        if job.status == "failed" and not job.allow_failure:
            await _show_log(cli, client, job.id, job.name)
    return red


async def _show_log(cli: Cli, client: Client, job_id: int, name: str) -> None:
    lines, rows, offset = Lines(), list[str](), 0
    while data := await client.read(f"/jobs/{job_id}/log", offset=offset):
        offset += len(data)
        rows = (rows + lines.feed(data))[-LOG_LINES:]
    cli.say(f"  the end of the log of {name}:")
    for row in (rows + lines.close())[-LOG_LINES:]:
        cli.say(f"    {row}")


async def _session(
    cli: Cli, client: Client, asked: Play, where: ProjectView, model: str, red: PipelineView
) -> SessionView:
    body: dict[str, Any] = {
        "project": where.path, "flow": asked.flow, "goal": asked.goal, "model": model, "ref": where.default_branch,
        "pipeline_id": red.id, "origin": "cli",
    }  # fmt: skip
    if Path(asked.flow).suffix in (".yml", ".yaml"):
        body |= {"flow": "custom", "flow_yaml": given.text(Path(asked.flow))}
    if asked.script is not None:
        body["script"] = given.text(asked.script)
    started = parse(SessionView, await client.post("/sessions", body))
    _act(cli, f"Session #{started.id} repairs pipeline #{red.id}")
    return started


async def _show_diff(cli: Cli, client: Client, ended: SessionView) -> None:
    _act(cli, "What it changed")
    data = await client.read(f"/sessions/{ended.id}/diff")
    if cli.json:
        cli.print({"diff": data.decode("utf-8", "replace")})
    else:
        screen.console().print(screen.diff(data), end="")


async def _prove(cli: Cli, client: Client, where: ProjectView, ended: SessionView, red: PipelineView) -> None:
    number = (ended.merge_request or "").lstrip("!")
    if not number.isdigit():
        raise Failure(f"Session #{ended.id} ended without a merge request; nothing was proved.")
    answer = await client.get(f"/projects/{where.id}/merge_requests/{number}")
    opened = parse(MergeRequestView, answer)
    _act(cli, "The merge request")
    merge_request.show_answer(cli, answer)
    green = await _head_pipeline(cli, client, where, opened)
    _act(cli, f"The pipeline of {opened.source_branch}")
    if cli.json:
        cli.print(green)
    else:
        pipeline_pages.print_pipeline(green)
    one = parse(PipelineView, green)
    if one.status != "success":
        raise Failure(f"Pipeline #{one.id} of the new branch {one.status}: the repair is not proved.")
    if left := unproved(red, one):
        raise Failure(f"Pipeline #{one.id} passes, but not by a repair: {'; '.join(left)}.")
    cli.say(f"\nThe pipeline failed before and passes now, on branch {opened.source_branch}.")
    cli.say(f"Merge it: qd mr merge --project {where.path} {opened.iid}")


def unproved(red: PipelineView, green: PipelineView) -> list[str]:
    """The jobs that made the red pipeline fail and did not succeed in the green one, with what became of them."""
    now = {job.name: job.status for job in sorted(green.jobs, key=lambda job: job.id)}
    names = dict.fromkeys(job.name for job in red.jobs if job.status == "failed" and not job.allow_failure)
    return [
        f"the job {name} {'is ' + now[name] if name in now else 'is no longer there'}"
        for name in names
        if now.get(name) != "success"
    ]


async def _head_pipeline(cli: Cli, client: Client, where: ProjectView, opened: MergeRequestView) -> Any:
    """The ended pipeline of exactly the commit that the merge request brings."""
    branches: Any = await patiently(partial(client.get, f"/projects/{where.id}/branches"))
    head = next((one["commit"] for one in branches if one["name"] == opened.source_branch), None)
    if head is None:
        raise Failure(f"The branch {opened.source_branch} is not there; nothing was proved.")
    try:
        async with asyncio.timeout(PIPELINE_SECONDS):
            while True:
                answer = await patiently(
                    partial(client.get, f"/projects/{where.id}/pipelines", ref=opened.source_branch)
                )
                found = [one for one in parse(list[PipelineView], answer) if one.sha == head]
                if found:
                    break
                await asyncio.sleep(pipeline_pages.POLL_SECONDS)
    except TimeoutError:
        raise Failure(f"No pipeline ran for {head[:12]}, the head of {opened.source_branch}.") from None
    newest = max(found, key=lambda one: one.id)
    return await pipeline_pages.wait(cli, client, await client.get(f"/pipelines/{newest.id}"))
