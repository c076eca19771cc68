"""`qd session`: start, watch, steer and stop sessions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarterdeck.doors.cli import given
from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure

if TYPE_CHECKING:
    from pydantic import JsonValue

    from quarterdeck.doors.cli.client import Client

group = typer.Typer(help="Start, watch, steer and stop sessions.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="SESSION", min=1, help="The session's number.")]
Approval = Annotated[str | None, typer.Argument(help="Which approval; not needed when only one is open.")]
Density = Annotated[str, typer.Option("--level", help="result, concise or full.")]


@command(group)
async def start(
    cli: Cli,
    project: Annotated[str, typer.Option("--project", "-p", help="The project's path or number.")],
    flow: Annotated[str, typer.Option("--flow", help="A flow, or a file with one.")] = "fix_pipeline/v1",
    goal: Annotated[str, typer.Option("--goal", help="What to do, in your words.")] = "",
    model: Annotated[str | None, typer.Option("--model", help="provider:model, scripted, or replay:NUMBER.")] = None,
    script: Annotated[Path | None, typer.Option("--script", help="The answers of the scripted model, a file.")] = None,
    ref: Annotated[str, typer.Option("--ref", help="Branch, tag or commit to start from.")] = "",
    pipeline: Annotated[int | None, typer.Option("--pipeline", help="The pipeline that it is about.")] = None,
    issue: Annotated[int | None, typer.Option("--issue", min=1, help="The issue that it is about.")] = None,
    merge_request: Annotated[
        int | None, typer.Option("--merge-request", min=1, help="The merge request that it is about.")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="CATEGORY.FIELD=VALUE", help="What the flow asks for; may be repeated."),
    ] = None,
    title: Annotated[str | None, typer.Option("--title")] = None,
    ask_all: Annotated[bool, typer.Option("--ask-all", help="Ask before every call that can be asked for.")] = False,
    privilege: Annotated[
        list[str] | None,
        typer.Option("--privilege", help="What it may do at all, such as read_only_files; may be repeated."),
    ] = None,
    no_questions: Annotated[bool, typer.Option("--no-questions", help="Its agents may not ask you.")] = False,
    tag: given.Tags = None,
    attach: given.Attach = None,
    context_files: given.ContextFiles = None,
    cost: given.Cost = None,
    tokens: given.Tokens = None,
    key: Annotated[str | None, typer.Option("--idempotency-key", help="The same key again starts nothing new.")] = None,
    watch_it: Annotated[bool, typer.Option("--watch", "-w", help="Show its log.")] = False,
    level: Density = "concise",
) -> None:
    """Start a session."""
    async with cli.client() as client:
        body: dict[str, Any] = {
            "project": project, "flow": flow, "goal": goal, "model": model, "ref": ref, "pipeline_id": pipeline,
            "issue_iid": issue, "merge_request_iid": merge_request,
            "privileges": privilege or None, "may_ask": not no_questions,
            "title": title, "origin": "cli", "inputs": given.inputs(inputs or []),
            "budget": given.budget(cost, tokens), "additional_context": given.contexts(context_files),
            "attachments": await given.attached(client, attach), "runner_tags": tag or [],
        }  # fmt: skip
        if Path(flow).suffix in (".yml", ".yaml"):
            body |= {"flow": "custom", "flow_yaml": given.text(Path(flow))}
        if script is not None:
            body["script"] = given.text(script)
        if ask_all:
            body["pre_approved"] = []
        answer = await _post(client, body, {"Idempotency-Key": key} if key else None)
        if watch_it:
            await _follow(cli, client, answer, level)
        elif cli.json:
            cli.print(answer)
        else:
            session = _parsed(answer)
            cli.say(f"Session #{session.id} started. Watch it: qd session watch {session.id}")


@command(group)
async def show(cli: Cli, session: Number) -> None:
    """Show where a session stands and what it made."""
    async with cli.client() as client:
        answer = await client.get(f"/sessions/{session}")
    _print(cli, answer)


@command(group)
async def watch(
    cli: Cli,
    session: Number,
    level: Density = "concise",
    after: Annotated[int, typer.Option("--after", min=0, help="Only what comes after this event.")] = 0,
    stay: Annotated[bool, typer.Option("--stay", help="Go on when the session rests (idle).")] = False,
) -> None:
    """Show a session's log as it grows; Ctrl-C leaves the session running."""
    async with cli.client() as client:
        answer = await client.get(f"/sessions/{session}")
        await _follow(cli, client, answer, level, after=after, stay=stay)


@command(group)
async def reply(
    cli: Cli,
    session: Number,
    text: Annotated[str, typer.Argument(help="What to say.")],
    attach: given.Attach = None,
) -> None:
    """Answer a session, or give it a follow-up."""
    async with cli.client() as client:
        body = {"text": text, "attachments": await given.attached(client, attach)}
        _print(cli, await client.post(f"/sessions/{session}/messages", body))


@command(group)
async def approve(
    cli: Cli,
    session: Number,
    approval: Approval = None,
    for_session: Annotated[bool, typer.Option("--for-session", help="Don't ask for exactly this call again.")] = False,
    pattern: Annotated[
        str, typer.Option("--pattern", metavar="GLOB", help="Nor for commands that match, such as 'git status*'.")
    ] = "",
    args: Annotated[str | None, typer.Option("--args", metavar="JSON", help="Run the call with these instead.")] = None,
) -> None:
    """Allow what a session asks for."""
    body: dict[str, JsonValue] = {"approval_id": approval, "for_session": for_session, "pattern": pattern}
    if args is not None:
        body["args"] = given.json_object(args)
    await _change(cli, session, "approve", body)


@command(group)
async def deny(
    cli: Cli,
    session: Number,
    approval: Approval = None,
    reason: Annotated[str, typer.Option("--reason", help="The session is told it.")] = "",
) -> None:
    """Refuse what a session asks for; it goes on without."""
    await _change(cli, session, "deny", {"approval_id": approval, "reason": reason})


@command(group)
async def pause(cli: Cli, session: Number) -> None:
    """Pause a session after its present call."""
    await _change(cli, session, "pause", {})


@command(group)
async def resume(cli: Cli, session: Number) -> None:
    """Go on with a paused session."""
    await _change(cli, session, "resume", {})


@command(group)
async def interrupt(cli: Cli, session: Number) -> None:
    """Interrupt the answer of a chat, which lives on."""
    await _change(cli, session, "interrupt", {})


@command(group)
async def cancel(
    cli: Cli,
    session: Number,
    reason: Annotated[str, typer.Option("--reason")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Until it is proved that nothing runs any more.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long to wait for the proof.")
    ] = 60,
) -> None:
    """Stop a session for good, with all that it started, and kill what they run."""
    async with cli.client() as client:
        answer = await client.post(f"/sessions/{session}/cancel", {"reason": reason})
        if not wait:
            _print(cli, answer)
            return
        from quarterdeck.doors.cli import teardown

        await teardown.prove(cli, client, _parsed(answer), timeout)


@command(group)
async def rename(cli: Cli, session: Number, title: Annotated[str, typer.Argument()]) -> None:
    """Give a session another title."""
    async with cli.client() as client:
        _print(cli, await client.patch(f"/sessions/{session}", {"title": title}))


@command(group)
async def budget(
    cli: Cli,
    session: Number,
    cost: given.Cost = None,
    tokens: given.Tokens = None,
    none: Annotated[bool, typer.Option("--none", help="It may use what it needs.")] = False,
) -> None:
    """Give a session another budget; resume it when it was paused for the old one."""
    wanted = given.budget(cost, tokens)
    if (wanted is None) is not none:
        raise Failure("Say what it may use: --cost DOLLARS, --tokens NUMBER, or --none.", Exit.USAGE)
    async with cli.client() as client:
        _print(cli, await client.patch(f"/sessions/{session}", {"budget": wanted}))


@command(group)
async def hold(cli: Cli, session: Number, reason: Annotated[str, typer.Option("--reason")] = "") -> None:
    """Keep a session from being deleted by age."""
    await _change(cli, session, "hold", {"reason": reason})


@command(group, "hand-over")
async def hand_over(
    cli: Cli,
    session: Number,
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="An editor of yours, see qd editor list; without it a runner.")
    ] = None,
) -> None:
    """Have another editor, or a runner, carry a session's calls out from now on."""
    await _change(cli, session, "executor", {"executor": to})


@command(group)
async def release(cli: Cli, session: Number) -> None:
    """Let a held session's clock count again."""
    await _change(cli, session, "release", {})


@command(group)
async def delete(
    cli: Cli, session: Number, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False
) -> None:
    """Delete a session with all it has; this can't be undone."""
    if not yes and not typer.confirm(f"Delete session #{session} with its whole log?", err=True):
        raise Failure("Nothing was deleted.", Exit.FAILED)
    async with cli.client() as client:
        await client.delete(f"/sessions/{session}")
    if cli.json:
        cli.print({"deleted": session})
    else:
        cli.say(f"Session #{session} is deleted.")


_SUBJECTS = {"pipeline.id": "--pipeline", "issue.iid": "--issue", "merge_request.iid": "--merge-request"}
"""What a flow may ask for, and the options that bring it."""


async def _post(client: "Client", body: dict[str, Any], headers: dict[str, str] | None) -> "JsonValue":
    try:
        return await client.post("/sessions", body, headers=headers)
    except Failure as failure:
        for field, option in _SUBJECTS.items():
            if f"{field} is missing" in str(failure):
                raise Failure(f"{failure} Name it with {option} NUMBER.", failure.exit) from None
        raise


async def _change(cli: Cli, session: int, verb: str, body: "dict[str, JsonValue]") -> None:
    async with cli.client() as client:
        _print(cli, await client.post(f"/sessions/{session}/{verb}", body))


async def _follow(
    cli: Cli, client: Any, answer: "JsonValue", level: str, *, after: int = 0, stay: bool = False
) -> None:
    from quarterdeck.doors.cli import session_pages

    await session_pages.follow(cli, client, _parsed(answer), level, after=after, stay=stay)


def _parsed(answer: "JsonValue") -> Any:
    from quarterdeck.client.models import SessionView
    from quarterdeck.doors.cli.client import parse

    return parse(SessionView, answer)


def _print(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.doors.cli import session_pages

    session_pages.print_session(_parsed(answer))
