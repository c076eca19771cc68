"""`qd session record` and `qd session append`: a session whose work is done elsewhere, told of line by line."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, cast

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

    Events without a number have that of their line, empty ones not counted, so that a file that has grown can be given
    again. What comes by standard input is sent as it comes.
    """
    answer: Any = None
    async with cli.client() as client:
        with ExitStack() as opened:
            try:
                source = (
                    cast("BufferedReader", sys.stdin.buffer)
                    if str(file) == "-"
                    else opened.enter_context(file.open("rb"))
                )
            except OSError as error:
                raise Failure(f"{file} can't be read: {error}", Exit.USAGE) from None
            taken = 0
            for batch in batches(pieces(source.read1)):
                try:
                    answer = await client.post(f"/sessions/{session}/events", {"events": batch.events})
                except Failure as failure:
                    raise Failure(f"{failure} (events.0 is line {batch.line}.)", failure.exit) from None
                taken += answer["taken"]
    if answer is None:
        raise Failure(f"{file} has no events.", Exit.USAGE)
    if cli.json:
        cli.print({**answer, "taken": taken})
    else:
        events = "1 new event" if taken == 1 else f"{taken} new events"
        cli.say(f"{events}; session #{session} is {answer['status']}, its next is number {answer['next']}.")


@dataclass
class Batch:
    """Events that are sent at once, and on which line the first of them is."""

    line: int
    events: list[dict[str, Any]]


def pieces(read: Callable[[int], bytes]) -> Iterator[list[bytes]]:
    """The whole lines that are there, as soon as they are."""
    rest = b""
    while piece := read(BATCH_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]


def batches(found: Iterable[list[bytes]]) -> Iterator[Batch]:
    """The events of lines, as many at once as the server takes. Raises Failure for a line that is no JSON object."""
    line, seq = 0, 0
    for lines in found:
        batch, size = Batch(line + 1, []), 0
        for text in lines:
            line += 1
            if not text.strip():
                if not batch.events:
                    batch.line = line + 1
                continue
            if batch.events and (len(batch.events) >= BATCH_LINES or size + len(text) > BATCH_BYTES):
                yield batch
                batch, size = Batch(line, []), 0
            seq += 1
            batch.events.append({"seq": seq, **_event(line, text)})
            size += len(text)
        if batch.events:
            yield batch


def _event(number: int, line: bytes) -> dict[str, Any]:
    from quarterdeck.core.text import clean_value, finite

    try:
        event = clean_value(json.loads(line, parse_constant=finite, parse_float=finite))
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise Failure(f"Line {number} is no JSON object.", Exit.USAGE)
    return dict(event)
