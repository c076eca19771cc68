"""What `qd session` prints."""

import asyncio
from datetime import datetime

from pydantic import JsonValue
from rich.text import Text

from quarterdeck.client.models import SessionRow, SessionView
from quarterdeck.core.events import Event, Level
from quarterdeck.core.session_limits import ProjectLimits
from quarterdeck.doors.cli import screen
from quarterdeck.doors.cli.client import Client, parse
from quarterdeck.doors.cli.command import Cli
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.plain import line, visible
from quarterdeck.doors.cli.timeline import row, unspoken, whole
from quarterdeck.doors.cli.watching import Watcher, verdict, watch


def level_of(name: str) -> Level:
    """A level by its name. Raises Failure naming those that there are."""
    try:
        return Level(name)
    except ValueError:
        raise Failure(f"--level is one of {', '.join(Level)}; not {name!r}.", Exit.USAGE) from None


def print_session(session: SessionView) -> None:
    """One session: where it stands, what it waits for, what it made."""
    waiting, brought = session.waiting_for, session.imported
    until = f" until {waiting.until:%H:%M:%S} UTC" if waiting and waiting.until else ""
    cost = "unknown" if session.usage.cost is None else f"${session.usage.cost}"
    guessed = " (partly an estimate: an answer broke off)" if session.usage.estimated else ""
    tokens = f"{session.usage.input_tokens:,} in, {session.usage.output_tokens:,} out, cost {cost}{guessed}"
    out = screen.console()
    out.print(Text.assemble((f"#{session.id} ", "bold"), (line(session.title), "bold"), "  ", state(session)))
    out.print(
        screen.fields(
            [
                ("goal", line(session.goal, 300)),
                ("reason", line(session.reason)),
                ("waits for", f"{waiting.on}: {line(waiting.detail, 300)}{until}" if waiting else ""),
                ("project", f"{session.project_path} at {session.ref}"),
                ("imported", f"it was #{brought.number} of {line(brought.initiator)} elsewhere" if brought else ""),
                ("flow", session.flow),
                ("model", session.model + (f" ({unspoken(session.model)})" if session.scripted else "")),
                ("runners need", ", ".join(session.runner_tags)),
                ("isolation", session.isolation if session.isolation != "full" else ""),
                ("branch", session.branch),
                ("merge request", session.merge_request or ""),
                ("checks", _checks(session)),
                ("usage", tokens if session.usage.requests else ""),
                ("budget", _budget(session)),
                ("limits", ProjectLimits.model_validate(session.limits.model_dump()).words()),
                ("commands used", _used(session)),
                ("deleted on", deleted_on(session)),
                ("page", session.url),
            ]
        )
    )
    if session.expires_soon:
        out.print(Text(f"! It is deleted soon. Keep it: qd session hold {session.id}", style="bold yellow"))
    for item in session.plan:
        out.print(Text(f"  [{'x' if item.status == 'completed' else ' '}] {line(item.text, 200)}"))
    for approval in session.approvals:
        rows = [visible(approval.question), *(whole(call.tool, call.args) for call in approval.calls)]
        shown = "\n".join(rows).replace("\n", "\n  ")
        out.print(Text(f"? {approval.id}: {shown}", style="bold yellow"))


def print_event(event: JsonValue, started: datetime) -> None:
    """One event of a log that is read, not watched; every one has a line."""
    read = parse(Event, event)
    made = row(read)
    time = screen.clock((read.at - started).total_seconds())
    text = line(made.text, 200) if made else ""
    screen.console().print(
        Text.assemble((f"{read.seq:>5} {time:>7}  ", "dim"), f"{read.kind:<22} ", (text, made.style if made else ""))
    )


async def follow(
    cli: Cli, client: Client, session: SessionView, level: str, *, after: int = 0, stay: bool = False
) -> Watcher:
    """Watches to the end; Ctrl-C leaves the session running and says so."""
    density = level_of(level)
    if not cli.json:
        cli.say(f"Session #{session.id}: {line(session.title)}  {session.url}")
    try:
        watcher = await watch(client, session, density, as_json=cli.json, after=after, stay=stay)
    except asyncio.CancelledError:
        cli.say(f"\nSession #{session.id} goes on without you. Watch it again: qd session watch {session.id}")
        raise
    if watcher.status.value == "idle" and not cli.json:
        cli.say(f"It rests and takes a follow-up: qd session reply {session.id} TEXT")
    verdict(watcher)
    return watcher


def deleted_on(session: SessionView | SessionRow) -> str:
    """The date on which it goes, or that it is held."""
    return "never (held)" if session.held else str(session.expires_on or "")


def state(session: SessionView | SessionRow) -> Text:
    """The status, and whether no real model speaks."""
    shown = screen.status(session.status)
    if not session.scripted:
        return shown
    return shown.append("  replay" if session.model.startswith("replay:") else "  scripted", style="magenta")


def _budget(session: SessionView) -> str:
    if session.budget is None:
        return ""
    cost = f"${session.budget.cost}" if session.budget.cost is not None else ""
    tokens = f"{session.budget.tokens:,} tokens" if session.budget.tokens is not None else ""
    return " and ".join(part for part in (cost, tokens) if part)


def _used(session: SessionView) -> str:
    if not session.used.ms + session.used.output:
        return ""
    return f"{screen.duration(session.used.ms)}, {session.used.output:,} bytes of output"


def _checks(session: SessionView) -> str:
    if not session.checks_passed + session.checks_failed:
        return ""
    last = "" if session.verified is None else "; verified" if session.verified else "; the last one failed"
    return f"{session.checks_passed} passed, {session.checks_failed} failed{last}"
