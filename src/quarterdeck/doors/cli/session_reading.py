"""`qd session events`, `output`, `diff`, `changes` and `usage`: reading what a session did."""

import json
import sys
from typing import Annotated, Any

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.plain import line
from quarterdeck.doors.cli.session import Density, Number

Step = Annotated[int | None, typer.Option("--step", min=1, help="Only this step.")]
PAGE = 1_000
"""The most that one request brings."""


def register(group: typer.Typer) -> None:
    """Adds the commands."""
    command(group)(events)
    command(group)(output)
    command(group)(diff)
    command(group)(changes)
    command(group)(usage)


async def events(
    cli: Cli,
    session: Number,
    level: Density = "full",
    after: Annotated[int, typer.Option("--after", min=0)] = 0,
    before: Annotated[int | None, typer.Option("--before", min=1)] = None,
    seq: Annotated[int | None, typer.Option("--seq", min=1, help="Only this event, whole.")] = None,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Only of this kind; may be repeated.")] = None,
    text: Annotated[str, typer.Option("--text", help="Only with these words.")] = "",
    last: Annotated[int | None, typer.Option("--last", min=1, max=PAGE, help="Only the last so many.")] = None,
) -> None:
    """Print the log up to now; with --json one event on each line."""
    from quarterdeck.client.models import SessionView
    from quarterdeck.doors.cli import session_pages
    from quarterdeck.doors.cli.client import parse

    async with cli.client() as client:
        path = f"/sessions/{session}"
        if seq is not None:
            cli.print(await client.get(f"{path}/events/{seq}"))
            return
        started = parse(SessionView, await client.get(path)).created_at
        query: dict[str, Any] = {"level": level, "text": text or None, "kind": kind, "limit": last or PAGE}
        bounds = {"after": after, "before": before}
        order = "asc" if last is None else "desc"
        found: list[Any] = []
        while True:
            page: Any = await client.get(f"{path}/events", **query, **bounds, order=order)
            found += page["items"]
            if last is None:
                _print(cli, found, started, session_pages.print_event)
                found = []
            if page["next"] is None or (last is not None and len(found) >= last):
                break
            bounds["after" if last is None else "before"] = page["next"]
        _print(cli, found[:last][::-1], started, session_pages.print_event)


def _print(cli: Cli, events: list[Any], started: Any, show: Any) -> None:
    for event in events:
        if cli.json:
            print(json.dumps(event, ensure_ascii=False))
        else:
            show(event, started)


async def output(
    cli: Cli,
    session: Number,
    call: Annotated[str, typer.Argument(metavar="CALL", help="The call's id, c_…; see qd session events.")],
    offset: Annotated[int, typer.Option("--offset", min=0, help="The first byte.")] = 0,
) -> None:
    """Print what a call printed, as it came."""
    async with cli.client() as client:
        while data := await client.read(f"/sessions/{session}/calls/{call}/output", offset=offset):
            offset += len(data)
            if cli.json:
                cli.print({"offset": offset - len(data), "text": data.decode("utf-8", "replace")})
            elif sys.stdout.isatty():
                from quarterdeck.doors.cli.plain import plain

                print(plain(data.decode("utf-8", "replace")), end="")
            else:
                sys.stdout.buffer.write(data)


async def diff(
    cli: Cli,
    session: Number,
    step: Step = None,
    file: Annotated[str | None, typer.Option("--file", metavar="PATH", help="Only this file.")] = None,
) -> None:
    """Print what a session changed."""
    async with cli.client() as client:
        data = await client.read(f"/sessions/{session}/diff", step=step, file=file)
    if cli.json:
        cli.print({"diff": data.decode("utf-8", "replace")})
        return
    from quarterdeck.doors.cli import screen

    screen.console().print(screen.diff(data), end="")


async def changes(cli: Cli, session: Number) -> None:
    """List the files that a session changed, in all and by steps."""
    from quarterdeck.doors.cli import screen

    async with cli.client() as client:
        path = f"/sessions/{session}/changes"
        page: Any = await client.get(path)
        steps: list[Any] = page["steps"]
        while page["next"] is not None:
            page = await client.get(path, after=page["next"])
            steps += page["steps"]
    if cli.json:
        cli.print({**page, "steps": steps})
        return
    rows = [(str(one["step"]), *_file(file)) for one in steps for file in one["files"]]
    rows += [("all", *_file(file)) for file in page["files"]]
    screen.console().print(screen.table(("step", "file", "change", "added", "removed"), rows))


def _file(file: Any) -> tuple[str, str, str, str]:
    return line(str(file["path"]), 120), str(file["change"]), f"+{file['added']}", f"-{file['removed']}"


async def usage(
    cli: Cli,
    session: Number,
    calls: Annotated[bool, typer.Option("--calls", help="Each model call too.")] = False,
) -> None:
    """Show what a session used: tokens and cost by model."""
    from quarterdeck.doors.cli import screen

    async with cli.client() as client:
        path = f"/sessions/{session}/usage"
        page: Any = await client.get(path, limit=PAGE)
        found: list[Any] = page["calls"]
        while page["next"] is not None and calls:
            page = await client.get(path, after=page["next"], limit=PAGE)
            found += page["calls"]
    if cli.json:
        cli.print({**page, "calls": found if calls else []})
        return
    rows = [("", str(one["seq"]), *_used(line(str(one["model"]), 60), one)) for one in found if calls]
    rows += [(str(one["requests"]), "", *_used(line(name, 60), one)) for name, one in page["models"].items()]
    rows.append((str(page["total"]["requests"]), "", *_used("all", page["total"])))
    screen.console().print(screen.table(("calls", "event", "model", "in", "out", "cost"), rows))


def _used(name: str, one: Any) -> tuple[str, str, str, str]:
    cost = "unknown" if one["cost"] is None else f"${one['cost']}"
    return name, f"{one['input_tokens']:,}", f"{one['output_tokens']:,}", cost
