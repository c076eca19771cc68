"""What the commands about many sessions print."""

import json
from typing import Any

from pydantic import JsonValue
from rich.text import Text

from quarterdeck.client.models import BulkPreview, BulkResult, SessionCounts, SessionRow
from quarterdeck.doors.cli import screen
from quarterdeck.doors.cli.absence import Absence
from quarterdeck.doors.cli.client import Client, parse, refusal
from quarterdeck.doors.cli.command import Cli
from quarterdeck.doors.cli.failure import Failure
from quarterdeck.doors.cli.plain import line
from quarterdeck.doors.cli.session_pages import state

_HEAD = ("session", "status", "title", "project", "flow", "initiator", "active", "cost", "deleted on", "waits for")


def print_list(answer: JsonValue) -> None:
    """A page of sessions."""
    page: Any = answer
    sessions = parse(list[SessionRow], page["items"])
    if not sessions:
        print("No sessions yet. Start one: qd session start --project PROJECT --watch, or see it all with qd demo")
        return
    screen.console().print(screen.table(_HEAD, [_cells(one) for one in sessions]))
    for name, cursor in (("More", page["next"]), ("Before", page["previous"])):
        if cursor:
            print(f"{name}: qd session list --cursor {cursor}")


def print_counts(answer: JsonValue) -> None:
    """How many there are, below a list."""
    counts = parse(SessionCounts, answer)
    parts = [f"{n:,} {group.replace('_', ' ')}" for group, n in counts.all.items() if n]
    needs = f" · {counts.needs_me} need you: qd session list --needs-me" if counts.needs_me else ""
    if parts:
        screen.console().print(Text(f"In all: {', '.join(parts)}{needs}", style="dim"))


def print_preview(cli: Cli, action: str, answer: JsonValue, *, alone: bool) -> list[int]:
    """What would be done, and to which sessions; answers their numbers. `alone` is all that the command does."""
    found = parse(BulkPreview, answer)
    if cli.json:
        if alone:
            cli.print(answer)
        return found.ids
    if found.first:
        screen.console().print(screen.table(_HEAD, [_cells(one) for one in found.first]))
    rest = len(found.ids) - len(found.first)
    if rest > 0:
        cli.say(f"and {rest:,} more")
    if found.not_allowed:
        cli.say(f"Your role doesn't allow it for {many(found.not_allowed)} that fit too.")
    if not found.ids:
        cli.say(f"There is nothing to {action}.")
    if found.more:
        cli.say("There are still more; repeat the command when these are done.")
    return found.ids


def print_results(cli: Cli, answer: JsonValue) -> int:
    """What came of it; answers how many were done."""
    whole: Any = answer
    results = parse(list[BulkResult], whole["results"])
    for one in results:
        if cli.json:
            cli.print(one.model_dump())
        elif not one.done:
            cli.say(f"#{one.id} refused: {line(one.why, 200)}")
    return sum(one.done for one in results)


def many(count: int) -> str:
    """A number of sessions in words."""
    return "1 session" if count == 1 else f"{count:,} sessions"


async def watch(cli: Cli, client: Client, query: dict[str, Any]) -> None:
    """The list, then a line for each change, through restarts of the server, until Ctrl-C.

    Raises:
        Failure: the server refuses, or stays away for as long as `Absence` has patience.
    """
    absence = Absence()
    given = {name: value for name, value in query.items() if value is not None}
    while True:
        try:
            async with client.session_lists.changes(**given) as stream:
                async for signal in stream:
                    if signal.event == "error":
                        problem = json.loads(signal.data)
                        raise refusal(int(problem.get("status", 500)), str(problem.get("detail", "The stream failed.")))
                    if signal.event == "closing":
                        break
                    if signal.event in ("page", "changed", "gone"):
                        absence.over()
                        _print_signal(cli, signal.event, json.loads(signal.data))
        except Failure as failure:
            absence.judge(failure)
        await absence.wait()


def _print_signal(cli: Cli, event: str, data: Any) -> None:
    if cli.json:
        cli.print({"event": event, "data": data})
    elif event == "page":
        print_list(data)
    elif event == "gone":
        cli.say(f"#{data['id']} is not in this list any more")
    else:
        row = parse(SessionRow, data)
        waits = f"  waits for {row.waiting_for.on}" if row.waiting_for else ""
        screen.console().print(Text.assemble((f"#{row.id} ", "bold"), state(row), f"  {line(row.title, 40)}{waits}"))


def _cells(row: SessionRow) -> tuple[str | Text, ...]:
    faults = f"  {row.errors} errors" if row.errors else ""
    return (
        f"#{row.id}",
        state(row).append(faults, style="red"),
        line(row.title, 40),
        row.project_path,
        row.flow,
        row.initiator,
        screen.ago(row.last_activity),
        "?" if row.cost is None else f"${row.cost}",
        "never (held)" if row.held else str(row.expires_on or ""),
        _waits(row),
    )


def _waits(row: SessionRow) -> str:
    if row.waiting_for is None:
        return ""
    return "you" if row.needs_me else f"{row.waiting_for.on} {line(row.waiting_for.detail, 30)}".strip()
