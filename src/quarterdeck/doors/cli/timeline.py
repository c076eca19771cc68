"""An event of the log as lines for a terminal."""

import json
from dataclasses import dataclass
from typing import assert_never

from pydantic import JsonValue

from quarterdeck.core import events as e
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.status import Status, human
from quarterdeck.doors.cli.plain import line, plain, visible
from quarterdeck.doors.cli.screen import GLYPHS, STATUS_STYLES, duration

ARGUMENT_CHARACTERS = 100
CALL_CHARACTERS = 200
ENTRIES_CHARACTERS = 60
FAILED_LINES, FAILED_CHARACTERS = 12, 300
"""The last lines of a failed call's result, and how much of each."""


@dataclass(frozen=True)
class Row:
    """One entry: a glyph, text of one or more lines, and how it looks."""

    glyph: str
    text: str
    style: str = ""


def arguments(args: dict[str, JsonValue]) -> str:
    """A call's arguments, short: the value alone when there is one."""
    if len(args) == 1:
        return line(_value(next(iter(args.values()))), CALL_CHARACTERS)
    shown = ", ".join(f"{name}={line(_value(value), ARGUMENT_CHARACTERS)}" for name, value in args.items())
    return line(shown, CALL_CHARACTERS)


def whole(tool: str, args: dict[str, JsonValue]) -> str:
    """A call that a person is asked about: nothing is cut, and nothing that it holds is invisible."""
    if len(args) == 1:
        return visible(f"{tool} {_text(next(iter(args.values())))}")
    return visible("\n".join([tool, *(f"{name}: {_text(value)}" for name, value in args.items())]))


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _value(value: JsonValue) -> str:
    if isinstance(value, str):
        return value
    shown = json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | dict) and len(shown) > ENTRIES_CHARACTERS:
        return f"({len(value)} entries)"
    return shown


def unspoken(model: str) -> str:
    """What answers in a language model's place."""
    provider, _, name = model.partition(":")
    return f"the answers of session #{name} are given again" if provider == "replay" else "a script answers"


def row(event: e.Event) -> Row | None:  # noqa: C901 one arm per kind reads best in one place
    """The event as people read it; None for what only machines need."""
    match event.payload:
        case e.SessionCreated() as p:
            scripted = f"\nNo language model answers here: {unspoken(p.model)}." if p.scripted else ""
            scripted = _attached(p.attachments) + scripted + _configured(p)
            if p.origin == "chat":
                return Row("»", f"{p.initiator}: {plain(p.goal)}{scripted}", "bold")
            return Row("▶", f"{p.flow} with {p.model} on {p.ref}: {plain(p.goal)}{scripted}", "bold")
        case e.StatusChanged() as p:
            return _status(p)
        case e.MessageAdded() as p:
            return Row("»", f"{p.by}: {plain(p.text)}{_attached(p.attachments)}", "bold")
        case e.ComponentEntered() as p:
            return Row("→", p.component, "dim")
        case e.ModelAnswered() as p:
            by = f"{line(p.component)}: " if ":" in p.component else ""
            return Row("●", by + plain(p.text), "") if p.text.strip() else None
        case e.ModelInterrupted() as p:
            return Row("●", f"{plain(p.text)}\n(interrupted by {p.by})".strip(), "")
        case e.DelegationStarted() as p:
            return Row("⇢", f"delegated to {line(p.component)}", "dim")
        case e.DelegationEnded() as p:
            return Row("⇠", f"{line(p.component)} returns", "dim")
        case e.NoticeAdded() as p:
            return Row("!", f"{line(p.component)} is told: {plain(p.text)}", "dim")
        case e.ContextCompacted() as p:
            return Row("≡", f"the conversation of {line(p.component)} was compacted:\n{plain(p.text)}", "dim")
        case e.QuestionAnswered() as p:
            return Row("»", f"{p.by}: {plain(p.text)}", "bold")
        case e.ModelRetried() as p:
            return Row("!", f"the model is asked again at {p.retry_at:%H:%M:%S} UTC: {line(p.error)}", "yellow")
        case e.ToolCallRequested() as p:
            text = whole(p.tool, p.args) if p.asks else f"{p.tool} {arguments(p.args)}"
            return Row("$" if "command" in p.tool else "⚙", text, "cyan")
        case e.ToolCallFinished() as p:
            return finished(p)
        case e.ApprovalRequested() as p:
            choices = "".join(f"\n  {number}. {line(choice, 200)}" for number, choice in enumerate(p.choices, 1))
            return Row("?", visible(p.question) + choices, "bold yellow")
        case e.ApprovalGranted() as p:
            return Row("✓", f"approved by {p.by}{_extent(p)}", "green")
        case e.ApprovalDenied() as p:
            return Row("✗", f"denied by {p.by}{': ' + plain(p.reason) if p.reason else ''}", "red")
        case e.McpToolsPinned() as p:
            more = f", {p.left_out} left out" if p.left_out else ""
            return Row("⚙", f"MCP server {line(p.server)}: {len(p.tools)} tools{more}", "dim")
        case e.HistoryCopied() as p:
            return Row("⑂", f"forked from #{p.session}, which was here at its event {p.seq}", "bold")
        case e.BudgetChanged() as p:
            return Row("$", f"budget set to {p.budget or 'none'} by {p.by}", "bold")
        case e.BudgetNeared() as p:
            return Row("!", f"most of the budget of {p.budget} is used", "yellow")
        case e.PlanChanged() as p:
            return Row("☰", "\n".join(f"{_MARKS[item.status]} {line(item.text, 200)}" for item in p.items))
        case e.ExecutorAssigned() as p:
            return Row(
                "⌁", f"works in {line(p.executor)}, {line(p.folder)}" if p.executor else "works on a runner", "dim"
            )
        case e.ExecutorAttached() as p:
            return Row("⌁", f"executor {line(p.executor)}", "dim")
        case e.WorkspacePrepared() as p:
            return _prepared(p)
        case e.SetupFinished() as p:
            return _setup(p)
        case e.NetworkRefused() as p:
            times = f" ({p.count} times)" if p.count > 1 else ""
            return Row("⊘", f"no network to {line(p.host)}:{p.port}: {line(p.reason)}{times}", "yellow")
        case e.SnapshotTaken() as p:
            files = (f"{f.change} {line(f.path, 200)} +{f.added} -{f.removed}" for f in p.files)
            return Row("±", "\n".join(files) or ("nothing changed" if p.call_id else "the folder as it was"), "magenta")
        case e.ArtifactCreated() as p:
            return Row("★", f"{p.artifact.replace('_', ' ')} {line(p.name)} {line(p.url)}".rstrip(), "green")
        case e.SessionRenamed() as p:
            return Row("✎", f"renamed by {p.by}: {line(p.title)}", "dim")
        case e.SessionHeld() as p:
            return Row("⚓", f"held by {p.by} {line(p.reason)}".rstrip(), "dim")
        case e.SessionReleased() as p:
            return Row("⚓", f"released by {p.by}", "dim")
        case e.SessionImported() as p:
            return Row("⇣", f"imported by {p.by}: session #{p.number} of {line(p.initiator)} elsewhere", "bold yellow")
        case e.RetentionChanged() as p:
            return Row("⚓", f"kept for {p.days} days by {p.by}", "dim")
        case e.WorkspaceTornDown() as p:
            return Row("■", torn_down(p), "red" if p.left else "dim")
        case e.TeardownMissed() as p:
            return Row("!", missed(p), "bold red")
        case e.CheckRecorded() as p:
            return Row("✓" if p.passed else "✗", f"{line(p.name)} {'passed' if p.passed else 'failed'}",
                       "green" if p.passed else "red")  # fmt: skip
        case e.MergeRequestEnded() as p:
            return Row("★", f"merge request {line(p.name)} was {p.status}", "green")
        case e.LinkAdded() as p:
            return Row("↔", f"{p.relation.replace('_', ' ')}: {p.target.replace('_', ' ')} {line(p.name)}", "dim")
        case (
            e.TurnStarted() | e.TurnEnded() | e.ComponentLeft() | e.ToolCallsOffered() | e.ToolCallStarted()
            | e.UsageRecorded() | e.ChildrenUsed()
        ):  # fmt: skip
            return None
        case _:
            assert_never(event.payload)


def _configured(p: e.SessionCreated) -> str:
    config = p.agent_config
    return "".join(f"\n{line(config.path)}: {line(note, 500)}" for note in config.notes) if config else ""


def _attached(files: tuple[Attachment, ...]) -> str:
    return "".join(f"\n+ {line(one.name, 200)} ({one.media_type}, {one.size:,} bytes)" for one in files)


def _extent(p: e.ApprovalGranted) -> str:
    if p.pattern:
        return f", as everything for the session that is {line(p.pattern)}"
    return " for the session" if p.for_session else ""


_MARKS = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]", "cancelled": "[-]"}


def torn_down(p: e.WorkspaceTornDown) -> str:
    """The proof of a stop in words."""
    return (
        f"torn down: {p.killed} process{'' if p.killed == 1 else 'es'} killed, {p.left} left, "
        f"{duration(p.duration_ms)} ({line(p.method, 60)})"
    )


def missed(p: e.TeardownMissed) -> str:
    """Why there is no proof of a stop, in words."""
    if p.why == "removed":
        return f"the runner {line(p.executor)} was removed: no proof will come that nothing runs there"
    return f"the runner {line(p.executor)} is not heard of; the proof that nothing runs there comes when it is back"


def _status(p: e.StatusChanged) -> Row:
    by = f" by {p.by}" if p.by and p.by not in p.reason else ""
    why = f": {line(p.reason)}" if p.reason else ""
    name = p.to_status.value
    style = STATUS_STYLES.get(name, "")
    return Row(GLYPHS.get(name, "·"), f"{human(Status(name))}{by}{why}", f"bold {style}".strip())


def failed(p: e.ToolCallFinished, args: dict[str, JsonValue]) -> Row:
    """A failed call of which nothing was shown: what it was, how it ended, and the end of what it said."""
    return Row("✗", "\n".join([f"{p.tool} {arguments(args)}".rstrip() + f": {_end(p)}", *_said(p)]), "red")


def finished(p: e.ToolCallFinished, *, heard: bool = False) -> Row:
    """The end of a call below its request; of one that failed the end of what it said, unless that was `heard`."""
    if p.outcome is e.Outcome.OK:
        return Row("└", _end(p), "dim")
    return Row("└", "\n".join([_end(p), *(() if heard else _said(p))]), "red")


def _end(p: e.ToolCallFinished) -> str:
    code = f", exit code {p.exit_code}" if p.exit_code is not None else ""
    return f"{p.outcome.value.replace('_', ' ')}{code}, {duration(p.duration_ms)}"


def _said(p: e.ToolCallFinished) -> list[str]:
    rows = [row.rstrip()[:FAILED_CHARACTERS] for row in plain(p.text).split("\n")]
    return [row for row in rows if row and row != f"Exit code {p.exit_code}."][-FAILED_LINES:]


def _prepared(p: e.WorkspacePrepared) -> Row:
    warnings = {
        "full": "",
        "reduced": "\nReduced isolation: commands run under Landlock alone.",
        "none": "\nNo isolation: commands run with the rights of the runner.",
    }
    text = f"workspace at {p.base_commit[:12]}, {p.isolation} isolation, {duration(p.duration_ms)}"
    notes = "".join(f"\n{line(note, 500)}" for note in p.notes)
    return Row("⌂", text + warnings[p.isolation] + notes, "dim" if p.isolation == "full" else "bold red")


def _setup(p: e.SetupFinished) -> Row:
    code = f", exit code {p.exit_code}" if p.exit_code is not None else ""
    head = f"setup script: {p.outcome.value.replace('_', ' ')}{code}, {duration(p.duration_ms)}"
    if p.outcome is e.Outcome.OK:
        return Row("⌂", head, "dim")
    said = [row.rstrip()[:FAILED_CHARACTERS] for row in plain(p.text).split("\n") if row.strip()]
    return Row("✗", "\n".join([head, *said[-FAILED_LINES:]]), "red")
