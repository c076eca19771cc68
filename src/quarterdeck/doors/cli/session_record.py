"""`qd session record` and `qd session append`: a session whose work is done elsewhere, told of line by line."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.session import Number

BATCH_LINES, BATCH_BYTES = 500, 512 * 1024
"""What is sent at once: half of what the server takes, since a number is written before each line."""


def register(group: typer.Typer) -> None:
    """Adds the commands."""
    command(group)(record)
    command(group)(append)


async def record(
    cli: Cli,
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What it is about.")],
    agent: Annotated[str, typer.Option("--agent", help="Who works, by any name.")],
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="The project that it is about; without one it is yours alone.")
    ] = None,
    goal: Annotated[str, typer.Option("--goal", help="What shall come of it; the title without it.")] = "",
    model: Annotated[str, typer.Option("--model", help="Which model the agent asks.")] = "",
    key: Annotated[str | None, typer.Option("--idempotency-key", help="The same key again makes no other.")] = None,
) -> None:
    """Make a session whose work is done elsewhere; `qd session append` tells what happens in it."""
    body = {"title": title, "agent": agent, "project": project, "goal": goal, "model": model}
    async with cli.client() as client:
        headers = {"Idempotency-Key": key} if key else None
        answer: Any = await client.post("/sessions/external", body, headers=headers)
    if cli.json:
        cli.print(answer)
    else:
        cli.say(f"Session #{answer['id']} waits for its events: qd session append {answer['id']} FILE")


async def append(
    cli: Cli,
    session: Number,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An event as JSON on each line; - is standard input.")],
) -> None:
    """Append events to a session from elsewhere; a line that is there already is not taken again.

    Events without a number have that of their line, so that a file that has grown can be given again.
    """
    answer: Any = None
    async with cli.client() as client:
        with ExitStack() as opened:
            try:
                lines = sys.stdin.buffer if str(file) == "-" else opened.enter_context(file.open("rb"))
            except OSError as error:
                raise Failure(f"{file} can't be read: {error}", Exit.USAGE) from None
            taken = 0
            for batch in batches(lines):
                answer = await client.post(f"/sessions/{session}/events", {"events": batch})
                taken += answer["taken"]
    if answer is None:
        raise Failure(f"{file} has no events.", Exit.USAGE)
    if cli.json:
        cli.print({**answer, "taken": taken})
    else:
        cli.say(f"{taken} events are new; session #{session} is {answer['status']}, its next is {answer['next']}.")


def batches(lines: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    """The events of a file, in pieces that the server takes. Raises Failure for a line that is no JSON object."""
    found, size = list[dict[str, Any]](), 0
    for number, line in enumerate(lines, 1):
        if found and (len(found) >= BATCH_LINES or size + len(line) > BATCH_BYTES):
            yield found
            found, size = [], 0
        found.append({"seq": number, **_event(number, line)})
        size += len(line)
    if found:
        yield found


def _event(number: int, line: bytes) -> dict[str, Any]:
    try:
        event: object = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise Failure(f"Line {number} is no JSON object.", Exit.USAGE)
    return {str(name): value for name, value in event.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
