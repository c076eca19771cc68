"""Sessions: start, look at, steer, stop, delete."""

from litestar import Router, delete, get, patch, post
from litestar.params import JSONBody
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from quarterdeck.app import budgets, deletion, editors, interruption, sessions, steering
from quarterdeck.app.session_views import ApprovalView, SessionView
from quarterdeck.app.sessions import StartSession
from quarterdeck.core import limits
from quarterdeck.core.budget import Budget
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.doors.api.parameters import Caller, IdempotencyKey, SessionId, TheApp


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(_Body):
    """What somebody says to a session."""

    text: str = Field(min_length=1, max_length=limits.MESSAGE_CHARACTERS)
    attachments: tuple[int, ...] = Field(default=(), max_length=limits.ATTACHMENTS)
    """Files and images, by the numbers that `POST /attachments` gave them."""


class Grant(_Body):
    """A yes; without `approval_id` to the only question that waits."""

    approval_id: str | None = Field(default=None, max_length=64)
    pattern: str = Field(default="", max_length=limits.PATTERN_CHARACTERS)
    """Commands of the same tool that match it ask nobody again in this session, for example `git status*`."""
    for_session: bool = False
    """Exactly this call asks nobody again in this session."""
    args: dict[str, JsonValue] | None = None
    """Replace those of the single call that is asked for."""


class Denial(_Body):
    """A no; the reason is told to the model."""

    approval_id: str | None = Field(default=None, max_length=64)
    reason: str = Field(default="", max_length=limits.REASON_CHARACTERS)


class Reason(_Body):
    """Why, for the log."""

    reason: str = Field(default="", max_length=limits.REASON_CHARACTERS)


class Handing(_Body):
    """Who carries the calls out from now on."""

    executor: int | None = Field(ge=1, le=2**63 - 1, description="An editor of yours; null is any runner.")


class Changing(_Body):
    """A new title, another budget, or both; what is absent stays, and a budget of null is none."""

    title: str | None = Field(default=None, min_length=1, max_length=limits.TITLE_CHARACTERS)
    budget: Budget | None = None


@post("/", summary="Start a session")
async def start(
    app: TheApp, actor: Caller, data: JSONBody[StartSession], idempotency_key: IdempotencyKey = None
) -> SessionView:
    """Starts a session; the same `Idempotency-Key` again answers the one that it started."""
    return await sessions.start(app, actor, data, idempotency_key)


@get("/{session_id:int}", summary="Show a session")
async def show(app: TheApp, actor: Caller, session_id: SessionId) -> SessionView:
    """The session as it stands."""
    return await sessions.show(app, actor, session_id)


@patch("/{session_id:int}", summary="Change a session")
async def change(app: TheApp, actor: Caller, session_id: SessionId, data: JSONBody[Changing]) -> SessionView:
    """Gives it another title or budget; one that is paused still has to be resumed."""
    if "budget" in data.model_fields_set:
        changed = await budgets.change(app, actor, session_id, data.budget)
        return changed if data.title is None else await steering.rename(app, actor, session_id, data.title)
    if data.title is None:
        raise InvalidInputError("There is nothing to change: give a title or a budget.")
    return await steering.rename(app, actor, session_id, data.title)


@delete("/{session_id:int}", summary="Delete a session")
async def remove(app: TheApp, actor: Caller, session_id: SessionId) -> None:
    """Deletes everything of it and leaves a tombstone without content."""
    await deletion.delete_session(app, actor, session_id)


@post("/{session_id:int}/messages", status_code=200, summary="Say something to a session")
async def reply(app: TheApp, actor: Caller, session_id: SessionId, data: JSONBody[Message]) -> SessionView:
    """Answers its question, or gives it a follow-up."""
    return await steering.reply(app, actor, session_id, data.text, data.attachments)


@get("/{session_id:int}/approvals", summary="List the questions that wait")
async def questions(app: TheApp, actor: Caller, session_id: SessionId) -> tuple[ApprovalView, ...]:
    """The approvals that a person is asked for now."""
    return (await sessions.show(app, actor, session_id)).approvals


@post("/{session_id:int}/approve", status_code=200, summary="Approve what waits")
async def approve(app: TheApp, actor: Caller, session_id: SessionId, data: JSONBody[Grant]) -> SessionView:
    """Says yes to a tool call or a plan."""
    return await steering.approve(
        app, actor, session_id, data.approval_id, for_session=data.for_session, pattern=data.pattern, args=data.args
    )


@post("/{session_id:int}/deny", status_code=200, summary="Deny what waits")
async def deny(app: TheApp, actor: Caller, session_id: SessionId, data: JSONBody[Denial]) -> SessionView:
    """Says no; the session goes on and is told the reason."""
    return await steering.deny(app, actor, session_id, data.approval_id, reason=data.reason)


@post("/{session_id:int}/pause", status_code=200, summary="Pause a session")
async def pause(app: TheApp, actor: Caller, session_id: SessionId) -> SessionView:
    """Takes effect after the present call; nothing is killed."""
    return await steering.pause(app, actor, session_id)


@post("/{session_id:int}/resume", status_code=200, summary="Resume a session")
async def resume(app: TheApp, actor: Caller, session_id: SessionId) -> SessionView:
    """Goes on with a paused one."""
    return await steering.resume(app, actor, session_id)


@post("/{session_id:int}/interrupt", status_code=200, summary="Interrupt a chat's answer")
async def interrupt(app: TheApp, actor: Caller, session_id: SessionId) -> SessionView:
    """What there is of the answer stays, what runs is killed, and the chat is idle."""
    return await interruption.interrupt(app, actor, session_id)


@post("/{session_id:int}/cancel", status_code=200, summary="Stop a session for good")
async def cancel(app: TheApp, actor: Caller, session_id: SessionId, data: JSONBody[Reason]) -> SessionView:
    """Final at once; the proof that nothing runs any more follows in the log as `workspace.torn_down`."""
    return await steering.cancel(app, actor, session_id, data.reason)


@post("/{session_id:int}/executor", status_code=200, summary="Hand a session over")
async def hand_over(app: TheApp, actor: Caller, session_id: SessionId, data: JSONBody[Handing]) -> SessionView:
    """To an editor of yours, or to a runner; it goes on there from its last snapshot."""
    return await editors.hand_over(app, actor, session_id, data.executor)


@post("/{session_id:int}/hold", status_code=200, summary="Keep a session")
async def hold(app: TheApp, actor: Caller, session_id: SessionId, data: JSONBody[Reason]) -> SessionView:
    """It is not deleted by age."""
    return await steering.hold(app, actor, session_id, held=True, reason=data.reason)


@post("/{session_id:int}/release", status_code=200, summary="Stop keeping a session")
async def release(app: TheApp, actor: Caller, session_id: SessionId) -> SessionView:
    """The retention clock counts again."""
    return await steering.hold(app, actor, session_id, held=False)


ROUTES = Router(
    "/sessions",
    route_handlers=[
        start, show, change, remove, reply, questions, approve, deny, pause, resume, interrupt,
        cancel, hand_over, hold, release,
    ],
    tags=["sessions"],
)  # fmt: skip
