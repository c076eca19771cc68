"""An event of the log as an entry to read, the same for all formats: text only, whoever shows it escapes it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, assert_never

from pydantic import JsonValue

from quarterdeck.core import events as e
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.events import Event, Level
from quarterdeck.core.status import human

Look = Literal["", "good", "bad", "warn", "dim", "said"]
Say = Callable[[str], str]
"""Takes the words of this module, which have `{names}` for what is told of, and answers them in a language."""
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
        return FOLDED.get(self.kind, "")


def entry(event: Event, began: datetime, say: Say = str) -> Entry:
    """The event as people read it, its own words said by `say`: in English, or in the language of a page."""
    head, look, words, verbatim = _told(event.payload, say)
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


def _told(payload: e.AnyPayload, _: Say) -> tuple[str, Look, str, str]:  # noqa: C901 one arm per kind
    """Head, look, words, and what is verbatim. What `_` is given, those who make a catalogue are shown."""
    match payload:
        case e.SessionCreated() as p:
            notes = "\n".join(p.agent_config.notes) if p.agent_config else ""
            return (
                _("{who} starts {flow} with {model}").format(who=p.initiator, flow=p.flow, model=p.model),
                "said",
                p.goal,
                notes,
            )
        case e.StatusChanged() as p:
            status = _(human(p.to_status))
            head = _("{status} by {who}").format(status=status, who=p.by) if p.by else status
            return head, _STATUS_LOOKS.get(p.to_status.value, ""), p.reason, ""
        case e.TurnStarted() as p:
            return _("turn {n} begins").format(n=p.turn_no), "dim", "", ""
        case e.TurnEnded() as p:
            return _("turn {n} ends").format(n=p.turn_no), "dim", "", ""
        case e.MessageAdded() as p:
            return p.by, "said", p.text, ""
        case e.ComponentEntered() as p:
            return f"→ {p.component}", "dim", "", _texts(system=p.system, user=p.user)
        case e.ComponentLeft() as p:
            return _("{name} is done").format(name=p.component), "dim", "", _arguments(p.outputs)
        case e.ModelAnswered() as p:
            return f"{p.component} ({p.model})", "said", p.text, _texts(thinking=p.thinking)
        case e.ModelInterrupted() as p:
            return _("{name}, interrupted by {who}").format(name=p.component, who=p.by), "said", p.text, ""
        case e.ModelRetried() as p:
            return (
                _("the model is asked again at {time} UTC").format(time=f"{p.retry_at:%H:%M:%S}"),
                "warn",
                "",
                p.error,
            )
        case e.ToolCallRequested() as p:
            return p.tool, "", "", _arguments(p.args)
        case e.ToolCallsOffered() as p:
            return _("{n} calls are offered").format(n=len(p.call_ids)), "dim", "", ""
        case e.ToolCallStarted() as p:
            return _("{name} begins a call").format(name=p.executor), "dim", "", ""
        case e.ToolCallFinished() as p:
            look: Look = "" if p.outcome is e.Outcome.OK else "bad"
            return f"{p.tool}: {_ended(p, _)}", look, "", p.text
        case e.ApprovalRequested() as p:
            return _("asks"), "warn", "\n".join([p.question, *(f"- {choice}" for choice in p.choices)]), ""
        case e.ApprovalGranted() as p:
            return _("approved by {who}").format(who=p.by), "good", "", _arguments(p.args or {})
        case e.ApprovalDenied() as p:
            return _("denied by {who}").format(who=p.by), "bad", p.reason, ""
        case e.QuestionAnswered() as p:
            return p.by, "said", p.text, ""
        case e.DelegationStarted() as p:
            return _("delegated to {name}").format(name=p.component), "dim", p.user, _texts(system=p.system)
        case e.DelegationEnded() as p:
            return _("{name} returns").format(name=p.component), "dim", "", ""
        case e.NoticeAdded() as p:
            return _("{name} is told").format(name=p.component), "dim", p.text, ""
        case e.ContextCompacted() as p:
            return _("the conversation of {name} was compacted").format(name=p.component), "dim", p.text, ""
        case e.McpToolsPinned() as p:
            return _("MCP server {name}: {n} tools").format(name=p.server, n=len(p.tools)), "dim", "", ""
        case e.PlanChanged() as p:
            return _("plan"), "", "", "\n".join(f"{_MARKS[item.status]} {item.text}" for item in p.items)
        case e.ExecutorAssigned() as p:
            where = _("works in {name}").format(name=p.executor) if p.executor else _("works on a runner")
            return where, "dim", p.folder, ""
        case e.ExecutorAttached() as p:
            return _("executor {name}").format(name=p.executor), "dim", "", ""
        case e.WorkspacePrepared() as p:
            look = "dim" if p.isolation == "full" else "warn"
            head = _("workspace at {commit}, {kind} isolation").format(commit=p.base_commit[:12], kind=_(p.isolation))
            return head, look, "\n".join(p.notes), ""
        case e.SetupFinished() as p:
            look = "" if p.outcome is e.Outcome.OK else "bad"
            return f"{_('setup script')}: {_ended(p, _)}", look, "", p.text
        case e.NetworkRefused() as p:
            head = _("no network to {host}:{port}, {n} times").format(host=p.host, port=p.port, n=p.count)
            return head, "warn", p.reason, ""
        case e.SnapshotTaken() as p:
            files = (f"{file.change} {file.path} +{file.added} -{file.removed}" for file in p.files)
            if not p.call_id:
                return _("the folder as it was"), "dim", "", ""
            return _("step {n} changed {files} files").format(n=p.step, files=len(p.files)), "", "", "\n".join(files)
        case e.ArtifactCreated() as p:
            return f"{_(p.artifact.replace('_', ' '))} {p.name}", "good", p.url, ""
        case e.SessionRenamed() as p:
            return _("renamed by {who}: {title}").format(who=p.by, title=p.title), "dim", "", ""
        case e.SessionHeld() as p:
            return _("held by {who}").format(who=p.by), "dim", p.reason, ""
        case e.SessionReleased() as p:
            return _("released by {who}").format(who=p.by), "dim", "", ""
        case e.HistoryCopied() as p:
            head = _("all before this is of session #{n}, up to its event {seq}").format(n=p.session, seq=p.seq)
            return head, "warn", "", ""
        case e.BudgetChanged() as p:
            return _("budget set to {budget} by {who}").format(budget=p.budget or _("none"), who=p.by), "", "", ""
        case e.BudgetNeared() as p:
            return _("most of the budget of {budget} is used").format(budget=p.budget), "warn", "", ""
        case e.RetentionChanged() as p:
            return _("kept for {n} days by {who}").format(n=p.days, who=p.by), "dim", "", ""
        case e.SessionImported() as p:
            head = _("imported by {who}: session #{n} of {initiator} elsewhere")
            return head.format(who=p.by, n=p.number, initiator=p.initiator), "warn", "", ""
        case e.WorkspaceTornDown() as p:
            head = _("torn down: {killed} processes killed, {left} left, {ms} ms")
            told = head.format(killed=p.killed, left=p.left, ms=f"{p.duration_ms:.0f}")
            return told, "bad" if p.left else "dim", "", ""
        case e.TeardownMissed() as p:
            head = _(_MISSED[p.why]).format(name=p.executor)
            return head, "bad", "", ""
        case e.UsageRecorded() | e.ChildrenUsed() as p:
            head = _("{input} tokens in, {output} out, cost {cost}")
            if isinstance(p, e.ChildrenUsed):
                head = _("sessions below: {input} tokens in, {output} out, cost {cost}")
            cost = _("unknown") if p.usage.cost is None else f"${p.usage.cost}"
            told = head.format(input=f"{p.usage.input_tokens:,}", output=f"{p.usage.output_tokens:,}", cost=cost)
            return told, "dim", "", ""
        case e.CheckRecorded() as p:
            head = _("{name} passed") if p.passed else _("{name} failed")
            return head.format(name=p.name), "good" if p.passed else "bad", p.url, ""
        case e.LinkAdded() as p:
            return f"{_(p.relation)}: {_(p.target.replace('_', ' '))} {p.name}", "dim", p.url, ""
        case e.MergeRequestEnded() as p:
            return _("merge request {name} was {status}").format(name=p.name, status=_(p.status)), "good", "", ""
        case _:
            assert_never(payload)


_STATUS_LOOKS: dict[str, Look] = {
    "finished": "good", "idle": "good", "failed": "bad", "stopped": "bad", "paused": "warn", "input_required": "warn",
    "plan_approval_required": "warn", "tool_call_approval_required": "warn",
}  # fmt: skip
_MISSED = {
    "unreachable": "no proof from {name}: it is not heard of",
    "removed": "no proof from {name}: it was removed",
}
FOLDED = {"component.entered": "prompt", "delegation.started": "prompt", "model.answered": "thinking"}
_MARKS = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]", "cancelled": "[-]"}


def _ended(ended: e.ToolCallFinished | e.SetupFinished, _: Say) -> str:
    """How it went, and how long it took."""
    told = {"outcome": _(ended.outcome.value.replace("_", " ")), "ms": f"{ended.duration_ms:,}"}
    if ended.exit_code is None:
        return _("{outcome}, {ms} ms").format(**told)
    return _("{outcome}, exit code {code}, {ms} ms").format(code=ended.exit_code, **told)


def _arguments(args: dict[str, JsonValue]) -> str:
    """Values as they are when they are texts, else as JSON."""
    return "\n".join(f"{name}: {shown(value)}" for name, value in args.items())


def shown(value: JsonValue) -> str:
    """A value as it is when it is a text, else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _texts(**texts: str) -> str:
    return "\n\n".join(f"{name}:\n{text}" for name, text in texts.items() if text)
