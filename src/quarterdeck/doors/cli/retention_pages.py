"""What `qd retention` prints, and what `qd project edit` asks before sessions are deleted sooner."""

from pydantic import JsonValue

from quarterdeck.client.models import RetentionView
from quarterdeck.doors.cli import screen
from quarterdeck.doors.cli.client import parse
from quarterdeck.doors.cli.plain import line


def print_preview(answer: JsonValue) -> None:
    """What goes, when, and the first of it."""
    seen = parse(RetentionView, answer)
    kept = f"{seen.retention_days} days after their last activity" if seen.retention_days else "by project"
    last = f"{seen.last_sweep:%Y-%m-%d %H:%M} UTC, {seen.last_deleted:,} deleted" if seen.last_sweep else ""
    screen.console().print(
        screen.fields(
            [
                ("sessions kept", kept),
                ("next sweep", f"{seen.next_sweep:%Y-%m-%d %H:%M} UTC"),
                ("last sweep", last),
                ("to be deleted", counted(seen)),
                ("held", f"{seen.held:,}" if seen.held else ""),
            ]
        )
    )  # fmt: skip
    if seen.items:
        rows = [(f"#{one.id}", one.status, line(one.title, 40), screen.ago(one.last_activity)) for one in seen.items]
        screen.console().print(screen.table(("session", "status", "title", "active"), rows))


def counted(seen: RetentionView) -> str:
    """How much goes, in words."""
    waiting = f", of which {seen.waiting:,} wait and are stopped first" if seen.waiting else ""
    return f"{seen.sessions:,} {'session' if seen.sessions == 1 else 'sessions'} with {seen.events:,} events{waiting}"
