"""A session's events as entries of its page: text only, the template escapes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from quarterdeck.app.session_views import SessionView
from quarterdeck.core import events as e
from quarterdeck.core.events import Event, Level


@dataclass(frozen=True)
class Entry:
    """One line of the timeline, with more text below it where there is some."""

    seq: int
    at: str
    kind: str
    head: str
    body: str
    level: str


def entries(events: Sequence[Event], session: SessionView) -> list[Entry]:
    """Entries for a concise view, in order."""
    return [_entry(event, session) for event in events if event.level is not Level.FULL]


def _entry(event: Event, session: SessionView) -> Entry:
    head, body = _words(event.payload)
    seconds = int((event.at - session.created_at).total_seconds())
    return Entry(event.seq, f"{seconds // 60}:{seconds % 60:02}", event.kind, head, body, event.level)


def _words(payload: e.AnyPayload) -> tuple[str, str]:
    match payload:
        case e.SessionCreated(origin="chat") as p:
            return p.initiator, p.goal
        case e.StatusChanged() as p:
            return p.to_status.value.replace("_", " "), p.reason
        case e.ModelAnswered() as p:
            return p.model, p.text
        case e.MessageAdded() as p:
            return p.by, p.text
        case e.ToolCallRequested() as p:
            return p.tool, "\n".join(f"{name}: {value}" for name, value in p.args.items())
        case e.ToolCallFinished() as p:
            return f"{p.tool}: {p.outcome.value}", p.text
        case e.SnapshotTaken() as p:
            return "changed", "\n".join(f"{file.change} {file.path} +{file.added} -{file.removed}" for file in p.files)
        case e.ArtifactCreated() as p:
            return p.artifact.replace("_", " "), p.name
        case e.WorkspaceTornDown() as p:
            return "torn down", f"{p.killed} processes killed, {p.left} left, {p.duration_ms:.0f} ms"
        case _:
            shown = payload.model_dump(mode="json", exclude={"kind"}, exclude_defaults=True)
            return payload.kind, "\n".join(f"{name}: {value}" for name, value in shown.items())
