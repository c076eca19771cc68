"""`qd session replay`: a session's log again, at the times at which it was written."""

import re
from typing import Annotated
from urllib.parse import urlencode

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.session import Density, Number

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0}


def register(group: typer.Typer) -> None:
    """Adds the command."""
    command(group)(replay)


async def replay(
    cli: Cli,
    session: Number,
    speed: Annotated[str, typer.Option("--speed", help="4 is four times as fast; 0 or max is at once.")] = "1",
    first: Annotated[int, typer.Option("--from", metavar="SEQ", min=1, help="The event to begin at.")] = 1,
    max_gap: Annotated[str, typer.Option("--max-gap", help="The longest silence, such as 2s or 500ms.")] = "2s",
    level: Density = "concise",
) -> None:
    """Show a session's log again at the times of its events; Ctrl-C ends it."""
    query = urlencode({"speed": _speed(speed), "max_gap": _seconds(max_gap)})
    from quarterdeck.client.models import SessionView
    from quarterdeck.doors.cli import session_pages
    from quarterdeck.doors.cli.client import parse
    from quarterdeck.doors.cli.plain import line
    from quarterdeck.doors.cli.signals import signals
    from quarterdeck.doors.cli.watching import Watcher

    density = session_pages.level_of(level)
    async with cli.client() as client:
        view = parse(SessionView, await client.get(f"/sessions/{session}"))
        if not cli.json:
            cli.say(f"Session #{view.id}: {line(view.title)}, replayed")
        watcher = Watcher(view, density, as_json=cli.json)
        async for signal in signals(client, session, first - 1, source=f"replay?{query}"):
            watcher.take(signal)


def _speed(text: str) -> float:
    try:
        speed = 0.0 if text == "max" else float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed <= 1_000:
        raise Failure(f"--speed is a number up to 1000, or max; not {text!r}.", Exit.USAGE)
    return speed


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)(ms|s|min|)", text)
    if found is None:
        raise Failure(f"--max-gap is a time such as 2s, 500ms or 1min; not {text!r}.", Exit.USAGE)
    return min(float(found[1]) * _UNITS[found[2]], 3_600.0)
