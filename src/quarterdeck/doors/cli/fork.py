"""`qd session fork`: a new session from an event of another."""

from pathlib import Path
from typing import Annotated, Any

import typer

from quarterdeck.doors.cli import given
from quarterdeck.doors.cli.command import Cli, command

Number = Annotated[int, typer.Argument(metavar="SESSION", min=1, help="The session's number; it may have ended.")]

LONG_SECONDS = 300
"""A long history takes a while to be copied."""


def register(group: typer.Typer) -> None:
    """Adds the command."""
    command(group)(fork)


async def fork(
    cli: Cli,
    session: Number,
    from_: Annotated[
        int | None, typer.Option("--from", metavar="EVENT", min=1, help="From which event; the last without it.")
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="What the new session shall do.")] = "",
    model: Annotated[str | None, typer.Option("--model", help="Another model than the session's.")] = None,
    script: Annotated[
        Path | None, typer.Option("--script", help="The answers of the scripted model, those so far first; a file.")
    ] = None,
    title: Annotated[str | None, typer.Option("--title")] = None,
    cost: given.Cost = None,
    tokens: given.Tokens = None,
    key: Annotated[str | None, typer.Option("--idempotency-key", help="The same key again makes no other.")] = None,
    watch_it: Annotated[bool, typer.Option("--watch", "-w", help="Show its log.")] = False,
    level: Annotated[str, typer.Option("--level", help="result, concise or full.")] = "concise",
) -> None:
    """Make a new session that goes on from an event of another; that one stays as it is."""
    import httpx

    from quarterdeck.client.models import SessionView
    from quarterdeck.doors.cli import session_pages
    from quarterdeck.doors.cli.client import parse

    body: dict[str, Any] = {
        "seq": from_, "message": message, "model": model, "title": title, "origin": "cli",
        "budget": given.budget(cost, tokens),
    }  # fmt: skip
    if script is not None:
        body["script"] = given.text(script)
    async with cli.client() as client:
        headers, patience = {"Idempotency-Key": key} if key else None, httpx.Timeout(LONG_SECONDS, connect=5)
        answer = await client.post(f"/sessions/{session}/fork", body, headers=headers, timeout=patience)
        made = parse(SessionView, answer)
        if watch_it:
            await session_pages.follow(cli, client, made, level)
        elif cli.json:
            cli.print(answer)
        else:
            cli.say(f"Session #{made.id} goes on from session #{session}. Watch it: qd session watch {made.id}")
