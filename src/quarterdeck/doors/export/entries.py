"""An event of the log as an entry to read, the same for all formats: text only, whoever shows it escapes it."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, assert_never

from pydantic import JsonValue

from quarterdeck.core import events as e
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.events import Event, Level
from quarterdeck.core.status import human

Look = Literal["", "good", "bad", "warn", "dim", "said"]
LINE_CHARACTERS = 200


@dataclass(frozen=True)
class Entry:
    """`words` are a person's or a model's, `verbatim` is what tools were given and answered."""

    seq: int
    seconds: float
    level: Level
    kind: str
    head: str
    look: Look = ""
    words: str = ""
    verbatim: str = ""
    call_id: str = ""
    """The call that it begins or ends."""
    diff: int = 0
    """The blob of a diff that belongs here."""
    files: tuple[Attachment, ...] = ()
    """What came with the words."""

    @property
    def fold(self) -> str:
        """What the verbatim part is called where it is folded: few want to read it. Empty where it is not."""
        return _FOLDED.get(self.kind, "")


def entry(event: Event, began: datetime) -> Entry:
    """The event as people read it."""
    head, look, words, verbatim = _told(event.payload)
    call_id, diff, files = "", 0, tuple[Attachment, ...]()
    match event.payload:
        case e.ToolCallRequested() | e.ToolCallFinished() as p:
            call_id = p.call_id
        case e.SnapshotTaken() as p:
            diff = p.step_diff_blob
        case e.SessionCreated() | e.MessageAdded() as p:
            files = p.attachments
        case _:
            pass
    seconds = (event.at - began).total_seconds()
    return Entry(
        event.seq, seconds, event.level, event.kind, line(head), look, words.strip(), verbatim.rstrip(), call_id, diff,
        files,
    )  # fmt: skip


def attached(file: Attachment) -> str:
    """How a file is named."""
    return line(f"{file.name} ({file.media_type}, {file.size:,} bytes)")


def line(text: str) -> str:
    """A text on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= LINE_CHARACTERS else flat[: LINE_CHARACTERS - 1] + "…"


def clock(seconds: float) -> str:
    """A time since the start: `0:07`, `12:34`, `1:02:03`."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3_600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _told(payload: e.AnyPayload) -> tuple[str, Look, str, str]:  # noqa: C901 one arm per kind
    """Head, look, words, and what is verbatim."""
    match payload:
        case e.SessionCreated() as p:
            notes = "\n".join(p.agent_config.notes) if p.agent_config else ""
            return f"{p.initiator} starts {p.flow} with {p.model}", "said", p.goal, notes
        case e.StatusChanged() as p:
            by = f" by {p.by}" if p.by else ""
            return f"{human(p.to_status)}{by}", _STATUS_LOOKS.get(p.to_status.value, ""), p.reason, ""
        case e.TurnStarted() as p:
            return f"turn {p.turn_no} begins", "dim", "", ""
        case e.TurnEnded() as p:
            return f"turn {p.turn_no} ends", "dim", "", ""
        case e.MessageAdded() as p:
            return p.by, "said", p.text, ""
        case e.ComponentEntered() as p:
            return f"→ {p.component}", "dim", "", _texts(system=p.system, user=p.user)
        case e.ComponentLeft() as p:
            return f"{p.component} is done", "dim", "", _arguments(p.outputs)
        case e.ModelAnswered() as p:
            return f"{p.component} ({p.model})", "said", p.text, _texts(thinking=p.thinking)
        case e.ModelInterrupted() as p:
            return f"{p.component}, interrupted by {p.by}", "said", p.text, ""
        case e.ModelRetried() as p:
            return f"the model is asked again at {p.retry_at:%H:%M:%S} UTC", "warn", "", p.error
        case e.ToolCallRequested() as p:
            return p.tool, "", "", _arguments(p.args)
        case e.ToolCallsOffered() as p:
            return f"{len(p.call_ids)} calls are offered", "dim", "", ""
        case e.ToolCallStarted() as p:
            return f"{p.executor} begins a call", "dim", "", ""
        case e.ToolCallFinished() as p:
            code = "" if p.exit_code is None else f", exit code {p.exit_code}"
            look: Look = "" if p.outcome is e.Outcome.OK else "bad"
            return f"{p.tool}: {p.outcome.value.replace('_', ' ')}{code}, {p.duration_ms:,} ms", look, "", p.text
        case e.ApprovalRequested() as p:
            return "asks", "warn", "\n".join([p.question, *(f"- {choice}" for choice in p.choices)]), ""
        case e.ApprovalGranted() as p:
            return f"approved by {p.by}", "good", "", _arguments(p.args or {})
        case e.ApprovalDenied() as p:
            return f"denied by {p.by}", "bad", p.reason, ""
        case e.QuestionAnswered() as p:
            return p.by, "said", p.text, ""
        case e.DelegationStarted() as p:
            return f"delegated to {p.component}", "dim", p.user, _texts(system=p.system)
        case e.DelegationEnded() as p:
            return f"{p.component} returns", "dim", "", ""
        case e.NoticeAdded() as p:
            return f"{p.component} is told", "dim", p.text, ""
        case e.ContextCompacted() as p:
            return f"the conversation of {p.component} was compacted", "dim", p.text, ""
        case e.McpToolsPinned() as p:
            return f"MCP server {p.server}: {len(p.tools)} tools", "dim", "", ""
        case e.PlanChanged() as p:
            return "plan", "", "", "\n".join(f"{_MARKS[item.status]} {item.text}" for item in p.items)
        case e.ExecutorAttached() as p:
            return f"executor {p.executor}", "dim", "", ""
        case e.WorkspacePrepared() as p:
            look = "dim" if p.isolation == "full" else "warn"
            return f"workspace at {p.base_commit[:12]}, {p.isolation} isolation", look, "\n".join(p.notes), ""
        case e.SetupFinished() as p:
            code = "" if p.exit_code is None else f", exit code {p.exit_code}"
            look = "" if p.outcome is e.Outcome.OK else "bad"
            return f"setup script: {p.outcome.value.replace('_', ' ')}{code}, {p.duration_ms:,} ms", look, "", p.text
        case e.NetworkRefused() as p:
            return f"no network to {p.host}:{p.port}, {p.count} times", "warn", p.reason, ""
        case e.SnapshotTaken() as p:
            files = (f"{file.change} {file.path} +{file.added} -{file.removed}" for file in p.files)
            return f"step {p.step} changed {len(p.files)} files", "", "", "\n".join(files)
        case e.ArtifactCreated() as p:
            return f"{p.artifact.replace('_', ' ')} {p.name}", "good", p.url, ""
        case e.SessionRenamed() as p:
            return f"renamed by {p.by}: {p.title}", "dim", "", ""
        case e.SessionHeld() as p:
            return f"held by {p.by}", "dim", p.reason, ""
        case e.SessionReleased() as p:
            return f"released by {p.by}", "dim", "", ""
        case e.HistoryCopied() as p:
            return f"all before this is of session #{p.session}, up to its event {p.seq}", "warn", "", ""
        case e.BudgetChanged() as p:
            return f"budget set to {p.budget or 'none'} by {p.by}", "", "", ""
        case e.BudgetNeared() as p:
            return f"most of the budget of {p.budget} is used", "warn", "", ""
        case e.RetentionChanged() as p:
            return f"kept for {p.days} days by {p.by}", "dim", "", ""
        case e.SessionImported() as p:
            return f"imported by {p.by}: session #{p.number} of {p.initiator} elsewhere", "warn", "", ""
        case e.WorkspaceTornDown() as p:
            told = f"torn down: {p.killed} processes killed, {p.left} left, {p.duration_ms:.0f} ms"
            return told, "bad" if p.left else "dim", "", ""
        case e.TeardownMissed() as p:
            return f"no proof from {p.executor}: it {_MISSED[p.why]}", "bad", "", ""
        case e.UsageRecorded() | e.ChildrenUsed() as p:
            cost = "unknown" if p.usage.cost is None else f"${p.usage.cost}"
            whose = "" if isinstance(p, e.UsageRecorded) else "sessions below: "
            told = f"{whose}{p.usage.input_tokens:,} tokens in, {p.usage.output_tokens:,} out, cost {cost}"
            return told, "dim", "", ""
        case e.CheckRecorded() as p:
            return f"{p.name} {'passed' if p.passed else 'failed'}", "good" if p.passed else "bad", p.url, ""
        case e.LinkAdded() as p:
            return f"{p.relation}: {p.target.replace('_', ' ')} {p.name}", "dim", p.url, ""
        case e.MergeRequestEnded() as p:
            return f"merge request {p.name} was {p.status}", "good", "", ""
        case _:
            assert_never(payload)


_STATUS_LOOKS: dict[str, Look] = {
    "finished": "good", "idle": "good", "failed": "bad", "stopped": "bad", "paused": "warn", "input_required": "warn",
    "plan_approval_required": "warn", "tool_call_approval_required": "warn",
}  # fmt: skip
_MISSED = {"unreachable": "is not heard of", "removed": "was removed"}
_FOLDED = {"component.entered": "prompt", "delegation.started": "prompt", "model.answered": "thinking"}
_MARKS = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]", "cancelled": "[-]"}


def _arguments(args: dict[str, JsonValue]) -> str:
    """Values as they are when they are texts, else as JSON."""
    return "\n".join(f"{name}: {shown(value)}" for name, value in args.items())


def shown(value: JsonValue) -> str:
    """A value as it is when it is a text, else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _texts(**texts: str) -> str:
    return "\n\n".join(f"{name}:\n{text}" for name, text in texts.items() if text)
