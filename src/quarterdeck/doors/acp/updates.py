"""Events of a log as an editor is told them."""

from collections.abc import Iterator
from typing import Any

from acp import helpers
from acp.schema import PlanEntryStatus, SessionInfoUpdate, ToolCallLocation, ToolKind, UsageUpdate

from quarterdeck.core import events as e
from quarterdeck.core.status import Status, human

Update = Any
"""One of the package's models for `session/update`."""
KINDS: dict[str, ToolKind] = {
    "read_file": "read", "read_files": "read", "get_repository_file": "read", "list_dir": "search",
    "find_files": "search", "grep": "search", "blob_search": "search", "create_file_with_contents": "edit",
    "edit_file": "edit", "mkdir": "edit", "run_command": "execute", "run_git_command": "execute",
    "create_commit": "execute", "todo_write": "think",
}  # fmt: skip
"""What an editor shows a tool as; `other` where it is not named here."""
_PLAN: dict[str, PlanEntryStatus] = {
    "pending": "pending",
    "in_progress": "in_progress",
    "completed": "completed",
    "cancelled": "completed",
}
_TEXT_CHARACTERS = 20_000
"""Of a result; the session's page has all of it."""


class Teller:
    """Makes the updates of one session; remembers what of the answer that is being written was told."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._told = ""
        self._room = 0
        self.own: list[str] = []
        """Messages that this editor sent itself and shows already."""

    def partial(self, text: str) -> Iterator[Update]:
        """The answer so far."""
        if text.startswith(self._told) and len(text) > len(self._told):
            yield helpers.update_agent_message_text(text[len(self._told) :])
            self._told = text

    def event(self, event: e.Event) -> Iterator[Update]:  # noqa: C901 one arm for each kind, nothing nested
        """What an event comes to; nothing for what an editor doesn't show."""
        match event.payload:
            case e.SessionCreated() as p:
                self._room = p.context_tokens
                yield from self._said(p.goal)
            case e.MessageAdded() as p:
                yield from self._said(p.text)
            case e.ModelAnswered() as p:
                yield from self._answered(p)
            case e.ModelInterrupted() | e.ModelRetried():
                self._told = ""
            case e.ToolCallRequested() as p:
                yield self._requested(p)
            case e.ToolCallStarted() as p:
                yield helpers.update_tool_call(p.call_id, status="in_progress")
            case e.ToolCallFinished() as p:
                text = helpers.tool_content(helpers.text_block(p.text[:_TEXT_CHARACTERS]))
                status = "completed" if p.outcome is e.Outcome.OK else "failed"
                yield helpers.update_tool_call(p.call_id, status=status, content=[text] if p.text else None)
            case e.PlanChanged() as p:
                yield helpers.update_plan([_entry(item) for item in p.items])
            case e.SessionRenamed() as p:
                yield SessionInfoUpdate(session_update="session_info_update", title=p.title)
            case e.UsageRecorded() as p:
                used = p.usage.input_tokens + p.usage.output_tokens
                yield UsageUpdate(session_update="usage_update", used=used, size=max(used, self._room))
            case e.ApprovalRequested(ask="input") as p:
                yield helpers.update_agent_message_text(_question(p))
            case e.StatusChanged() as p if p.to_status in _TOLD:
                why = f": {p.reason}" if p.reason else ""
                yield helpers.update_agent_message_text(f"\n\n*The session is {human(p.to_status).lower()}{why}.*")
            case _:
                pass

    def _said(self, text: str) -> Iterator[Update]:
        if text in self.own:
            self.own.remove(text)
            return
        yield helpers.update_user_message_text(text)

    def _answered(self, answer: e.ModelAnswered) -> Iterator[Update]:
        told, self._told = self._told, ""
        if answer.thinking:
            yield helpers.update_agent_thought_text(answer.thinking)
        rest = answer.text[len(told) :] if answer.text.startswith(told) else answer.text
        if rest.strip():
            yield helpers.update_agent_message_text(rest)

    def _requested(self, call: e.ToolCallRequested) -> Update:
        places = [ToolCallLocation(path=self.path(path)) for path in paths(call.args)]
        return helpers.start_tool_call(
            call.call_id,
            title(call.tool, call.args),
            kind=KINDS.get(call.tool, "other"),
            status="pending",
            content=self.diff(call.tool, call.args),
            locations=places or None,
            raw_input=call.args,
        )

    def diff(self, tool: str, args: dict[str, Any]) -> list[Any] | None:
        """What a call would change, where its arguments say so."""
        if tool == "edit_file":
            old, new = str(args.get("old_str", "")), str(args.get("new_str", ""))
        elif tool == "create_file_with_contents":
            old, new = None, str(args.get("contents", ""))
        else:
            return None
        return [helpers.tool_diff_content(self.path(str(args.get("file_path", ""))), new, old)]

    def path(self, path: str) -> str:
        """A path of the workspace as the editor knows it."""
        return path if path.startswith("/") or not self._folder else f"{self._folder.rstrip('/')}/{path}"


_TOLD = (Status.PAUSED, Status.FAILED, Status.STOPPED)


def paths(args: dict[str, Any]) -> list[str]:
    """The files and folders that a call's arguments name."""
    named: list[Any] = [args.get(name) for name in ("file_path", "directory", "directory_path")]
    many: Any = args.get("file_paths")
    named += many if isinstance(many, list) else []
    return [path for path in named if isinstance(path, str)]


def title(tool: str, args: dict[str, Any]) -> str:
    """A call in one line."""
    said = args.get("command") or args.get("pattern") or args.get("name_pattern") or ", ".join(paths(args))
    if tool == "run_git_command":
        said = f"{args.get('command', '')} {args.get('args', '')}".strip()
    return " ".join(f"{tool.replace('_', ' ')} {said or ''}".split())[:200]


def _entry(item: e.PlanItem) -> Any:
    return helpers.plan_entry(item.text, status=_PLAN[item.status])


def _question(asked: e.ApprovalRequested) -> str:
    return "\n".join([f"\n\n{asked.question}", *(f"- {choice}" for choice in asked.choices)])
