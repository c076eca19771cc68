"""`qd demo --full-circle`: from a push to a merged repair, with nobody who starts a session."""

import asyncio
import base64
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from quarterdeck.client.models import DeliveryView, MergeRequestView, PipelineView, ProjectView, SessionView
from quarterdeck.doors.cli import pipeline_pages, session_pages
from quarterdeck.doors.cli.absence import patiently
from quarterdeck.doors.cli.client import Client, parse
from quarterdeck.doors.cli.command import Cli
from quarterdeck.doors.cli.demo_acts import names
from quarterdeck.doors.cli.failure import Failure
from quarterdeck.settings import git_environment

T = TypeVar("T")
PROJECT = "full-circle"
ACCOUNT = "fixer"
PATIENCE_SECONDS = 180.0
LOOK_SECONDS = 0.5


async def play(cli: Cli, client: Client, level: str) -> None:
    """All acts; raises Failure unless the session is finished and verified."""
    session_pages.level_of(level)
    where = await _project(cli, client)
    await _trigger(cli, client, where)
    _act(cli, "git push: a commit to the default branch of a clone")
    sha = await _push(cli, client, where)
    delivery = await _fired(cli, client, where, sha)
    started = parse(SessionView, await client.get(f"/sessions/{delivery.session_id}"))
    _act(cli, f"Session #{started.id} was started by the trigger, for {delivery.by}")
    await session_pages.follow(cli, client, started, level)
    idle = parse(SessionView, await patiently(partial(client.get, f"/sessions/{started.id}")))
    number = (idle.merge_request or "").lstrip("!")
    if idle.status != "idle" or not number.isdigit():
        raise Failure(f"Session #{idle.id} is {idle.status} and made no merge request; nothing was proved.")
    await _green(cli, client, where, number)
    await _merged(cli, client, where, number, idle.id)


def _act(cli: Cli, text: str) -> None:
    cli.say(f"\n── {text}")


async def _project(cli: Cli, client: Client) -> ProjectView:
    taken = {one.path for one in parse(list[ProjectView], await client.get("/projects"))}
    path = next(one for one in names(PROJECT) if one not in taken)
    _act(cli, f"Project {path}, a copy of the sample, whose code is wrong")
    made = parse(ProjectView, await client.post("/projects", {"path": path, "sample": True}))
    answer: Any = await client.get(f"/projects/{made.id}/pipelines")
    for one in answer:  # of what came with it: nobody waits for that
        await pipeline_pages.wait(cli, client, one)
    return made


async def _trigger(cli: Cli, client: Client, where: ProjectView) -> None:
    """The account is the instance's to name, so each project of this demo has one of its own."""
    account = f"{ACCOUNT}-{where.id}"
    await client.post(f"/projects/{where.id}/service_accounts", {"username": account, "name": "Fixer"})
    wish = {
        "description": "Repair the default branch",
        "account": account,
        "flow": "fix_pipeline",
        "model": "scripted",
        "events": {"pipeline_hooks": ["failed"]},
        "filter": '{"all": [{"field": "object_attributes.ref", "operator": "eq", "value": "main"}]}',
    }
    await client.post(f"/projects/{where.id}/triggers", wish)
    _act(cli, "A trigger: when a pipeline of the default branch fails, fix_pipeline repairs it")
    cli.say("  No language model answers in its sessions: a script does. Tools, commands and pipelines are real.")


async def _push(cli: Cli, client: Client, where: ProjectView) -> str:
    """Clones, commits and pushes as a person does, and answers the commit."""
    login = base64.b64encode(f"demo:{client.place.token or ''}".encode()).decode()
    # In the environment, where no other user of the machine reads it.
    setting = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"http.{client.place.url}/.extraHeader"}
    setting |= {"GIT_CONFIG_VALUE_0": f"Authorization: Basic {login}", "GIT_TERMINAL_PROMPT": "0"}
    with tempfile.TemporaryDirectory() as folder:
        git = partial(_git, Path(folder), git_environment(setting))
        await git("clone", "--quiet", where.clone_url, ".")
        (Path(folder) / "CHANGES.md").write_text("The first change.\n", encoding="utf-8")
        await git("add", "CHANGES.md")
        await git(
            "-c", "user.name=Demo", "-c", "user.email=demo@localhost", "commit", "--quiet", "-m", "Say what changed"
        )
        await git("push", "--quiet", "origin", "HEAD")
        sha = (await git("rev-parse", "HEAD")).strip()
    cli.say(f"  {sha[:12]} Say what changed")
    return sha


async def _git(folder: Path, environment: dict[str, str], *args: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "git", *args, cwd=folder, env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, fault = await process.communicate()
    if process.returncode:
        raise Failure(f"git {args[0]} failed: {fault.decode('utf-8', 'replace').strip()}")
    return out.decode()


async def _fired(cli: Cli, client: Client, where: ProjectView, sha: str) -> DeliveryView:
    async def pipeline() -> PipelineView | None:
        answer = await client.get(f"/projects/{where.id}/pipelines", ref=where.default_branch)
        return next((one for one in parse(list[PipelineView], answer) if one.sha == sha), None)

    async def delivery() -> DeliveryView | None:
        answer = await client.get(f"/projects/{where.id}/deliveries")
        found = [one for one in parse(list[DeliveryView], answer) if one.subject and one.subject.number == red.id]
        return next((one for one in found if one.status != "waiting"), None)

    first = await _until(pipeline, "a pipeline of the push")
    red = parse(PipelineView, await pipeline_pages.wait(cli, client, await client.get(f"/pipelines/{first.id}")))
    _act(cli, f"Pipeline #{red.id} {red.status}")
    if red.status != "failed":
        raise Failure(f"Pipeline #{red.id} {red.status} instead of failing: nothing is to be repaired.")
    fired = await _until(delivery, "a delivery of the trigger")
    if fired.session_id is None:
        raise Failure(f"Delivery {fired.id} was {fired.status}: {fired.reason}")
    return fired


async def _green(cli: Cli, client: Client, where: ProjectView, number: str) -> None:
    """The pipeline of the repair, and what the account says on the merge request."""

    async def said() -> MergeRequestView | None:
        found = parse(MergeRequestView, await client.get(f"/projects/{where.id}/merge_requests/{number}"))
        done = found.pipeline is not None and found.pipeline.status == "success"
        return found if done and any(one.author.startswith(ACCOUNT) for one in found.comments) else None

    found = await _until(said, "a green pipeline and a comment with what was done")
    _act(cli, f"Merge request !{found.iid}: {found.title}")
    if found.pipeline is not None:
        cli.say(f"  pipeline #{found.pipeline.id} of {found.source_branch}: {found.pipeline.status}")
    for one in found.comments:
        cli.say("\n".join(f"  @{one.author}: {line}" for line in one.text.splitlines() if line))


async def _merged(cli: Cli, client: Client, where: ProjectView, number: str, session_id: int) -> None:
    await client.post(f"/projects/{where.id}/merge_requests/{number}/merge")

    async def finished() -> SessionView | None:
        found = parse(SessionView, await client.get(f"/sessions/{session_id}"))
        return found if found.status == "finished" else None

    found = await _until(finished, "the end of the session with its merge request")
    if not found.verified:
        raise Failure(f"Session #{session_id} is finished, but not verified.")
    _act(cli, f"Merged: session #{session_id} is finished and verified ({found.checks_passed} check passed)")
    if cli.json:
        answer: Any = found.model_dump(mode="json")
        cli.print(answer)


async def _until(look: Callable[[], Awaitable[T | None]], what: str) -> T:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                if (found := await patiently(look)) is not None:
                    return found
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise Failure(f"There was not {what} within {PATIENCE_SECONDS:.0f} seconds.") from None
