"""A session that an editor has open: what happens in it is told, and what it asks is put to the person there."""

import asyncio
from typing import Any

import structlog
from acp import helpers
from acp.schema import PermissionOption, ToolCallUpdate

from quarterdeck.app import session_log, sessions, steering, watch
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_views import ApprovalView, SessionView
from quarterdeck.app.signals import EventSignal, PartialSignal
from quarterdeck.core import events as e
from quarterdeck.core.errors import ConflictError, NotFoundError, QuarterdeckError
from quarterdeck.core.status import FINAL, Status
from quarterdeck.doors.acp.updates import KINDS, Teller, title

RESTS = frozenset({
    Status.IDLE, Status.INPUT_REQUIRED, Status.PLAN_APPROVAL_REQUIRED, Status.PAUSED, *FINAL,
})  # fmt: skip
"""Where a prompt's turn ends: the next word is the person's, or nobody's."""
PLANNING = "The person is in plan mode: nothing is changed now. Make a plan, and say what you would do."
_OPTIONS = [
    PermissionOption(option_id="once", name="Allow once", kind="allow_once"),
    PermissionOption(option_id="session", name="Allow for this session", kind="allow_always"),
    PermissionOption(option_id="deny", name="Deny", kind="reject_once"),
]
_PLAN_OPTIONS = [
    PermissionOption(option_id="once", name="Approve the plan", kind="allow_once"),
    PermissionOption(option_id="deny", name="Ask for changes", kind="reject_once"),
]
_log = structlog.get_logger(__name__)


class OpenSession:
    """One of them; it is followed until the connection ends or the editor closes it."""

    def __init__(self, app: App, actor: Actor, client: Any, session_id: str, number: int, folder: str) -> None:
        self._app, self._actor, self._client = app, actor, client
        self.session_id, self.number = session_id, number
        self.planning = False
        self.teller = Teller(folder)
        self._after = 0
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._answering: set[str] = set()
        self._turn: asyncio.Future[Status] | None = None
        self._following: asyncio.Task[None] | None = None

    async def replay(self) -> None:
        """Tells all of the log."""
        while events := await session_log.events(self._app, self._actor, self.number, after=self._after):
            for event in events:
                await self._event(event)

    async def skip(self) -> None:
        """Takes what is in the log as known."""
        first = await session_log.event(self._app, self._actor, self.number, 1)
        list(self.teller.event(first))
        self._after = (await self.view()).seq

    async def view(self) -> SessionView:
        """The session now."""
        return await sessions.show(self._app, self._actor, self.number)

    def follow(self) -> None:
        """Tells what comes from here on, and asks what is asked now."""
        if self._following is None:
            self._following = asyncio.create_task(self._follow())

    async def say(self, text: str) -> None:
        """A word of ours, which is in no log."""
        await self._tell([helpers.update_agent_message_text(text)])

    def turn(self) -> asyncio.Future[Status]:
        """What comes when the session rests again, or has ended."""
        self._turn = asyncio.get_running_loop().create_future()
        return self._turn

    async def close(self) -> None:
        """Follows it no more."""
        tasks = [task for task in (self._following, *self._asking.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._rest(Status.STOPPED)

    async def _follow(self) -> None:
        while True:
            try:
                for approval in (await self.view()).approvals:
                    self._ask(approval)
                moments = await watch.session(self._app, self._actor, self.number, after=self._after, most_output=0)
                async for moment in moments:
                    for signal in moment.signals:
                        if isinstance(signal, EventSignal):
                            await self._event(signal.event)
                        elif isinstance(signal, PartialSignal):
                            await self._tell(self.teller.partial(signal.text))
                break
            except NotFoundError:  # deleted, or the person may see it no more
                break
            except QuarterdeckError as error:
                _log.info("editor's session not followed for a moment", session=self.number, fault=error.message)
                await asyncio.sleep(1)
        self._rest(Status.STOPPED)

    async def _event(self, event: e.Event) -> None:
        self._after = event.seq
        await self._tell(self.teller.event(event))
        match event.payload:
            case e.ApprovalRequested() if self._following is not None:
                for approval in (await self.view()).approvals:
                    self._ask(approval)
            case e.ApprovalGranted() | e.ApprovalDenied() | e.QuestionAnswered() as p:
                task = self._asking.pop(p.approval_id, None)
                if task is not None and p.approval_id not in self._answering:
                    task.cancel()  # it was answered elsewhere
            case e.StatusChanged() as p if p.to_status in RESTS:
                self._rest(p.to_status)
            case _:
                pass

    async def _tell(self, updates: Any) -> None:
        for update in updates:
            await self._client.session_update(session_id=self.session_id, update=update)

    def _rest(self, status: Status) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(status)

    def _ask(self, approval: ApprovalView) -> None:
        if approval.ask != "input" and approval.id not in self._asking:
            self._asking[approval.id] = asyncio.create_task(self._put(approval))

    async def _put(self, approval: ApprovalView) -> None:
        try:
            choice = await self._choice(approval)
            self._answering.add(approval.id)  # the event that says so needs to call nobody off
            await self._answer(approval, choice)
        except (NotFoundError, ConflictError):
            pass  # it was answered elsewhere a moment before
        except QuarterdeckError as error:
            await self._tell([helpers.update_agent_message_text(f"\n\n*{error.message}*")])
        except Exception as error:  # the editor can't ask: the browser and the command line can
            _log.info("editor can't ask its person", session=self.number, fault=str(error))
        finally:
            self._answering.discard(approval.id)

    async def _choice(self, approval: ApprovalView) -> str:
        if self.planning and approval.ask == "tool_call":
            return "planning"
        call = approval.calls[0] if approval.calls else None
        told = ToolCallUpdate(
            tool_call_id=call.call_id if call else approval.id,
            title=title(call.tool, call.args) if call else "Approve the plan",
            kind=KINDS.get(call.tool, "other") if call else "switch_mode",
            status="pending",
            raw_input=call.args if call else None,
            content=self.teller.diff(call.tool, call.args) if call else _as_content(approval.question),
        )
        options = _OPTIONS if call else _PLAN_OPTIONS
        answer = await self._client.request_permission(session_id=self.session_id, tool_call=told, options=options)
        return getattr(answer.outcome, "option_id", "cancelled")

    async def _answer(self, approval: ApprovalView, choice: str) -> None:
        number, who = self.number, self._actor
        match choice:
            case "once" | "session":
                for_session = choice == "session"
                await steering.approve(self._app, who, number, approval.id, for_session=for_session)
            case "planning":
                await steering.deny(self._app, who, number, approval.id, reason=PLANNING)
            case "deny" if approval.ask == "tool_call":
                await steering.deny(self._app, who, number, approval.id)
            case _:
                pass  # a plan to be changed waits for the words; a prompt that was cancelled is interrupted


def _as_content(text: str) -> list[Any]:
    return [helpers.tool_content(helpers.text_block(text))]
