"""Steering a session: write to it, answer it, pause, resume, cancel, rename, hold."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import answers, attachments, page_subjects, pipelines
from quarterdeck.app import session_views as views
from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.answers import Person
from quarterdeck.app.application import App
from quarterdeck.app.change import Change, changing
from quarterdeck.app.children import stop_children
from quarterdeck.app.page_subjects import Subject
from quarterdeck.app.session_access import may, steer_check
from quarterdeck.app.session_totals import check_raised
from quarterdeck.app.session_views import SessionView
from quarterdeck.app.skills import with_skill
from quarterdeck.app.start_options import check_sight
from quarterdeck.app.toolbox import toolbox
from quarterdeck.app.turns import pinned_flow
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.answer import RequestedCall
from quarterdeck.core.approval import asks_still, check_patterns, matches
from quarterdeck.core.attachment import Attachment
from quarterdeck.core.component import AgentComponent
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError
from quarterdeck.core.state import PendingApproval
from quarterdeck.core.status import AWAITING, Status, Transition, human
from quarterdeck.core.text import clean, cut, line
from quarterdeck.store import log


async def reply(
    app: App,
    actor: Actor,
    session_id: int,
    text: str,
    attached: tuple[int, ...] = (),
    *,
    about: Subject | None = None,
) -> SessionView:
    """A message to the session: taken at its next step, or the answer that it waited for.

    While a plan waits to be approved it is what to change; while approvals are open they are denied, and the message
    is the reason. `attached` are files that were uploaded for it, `about` is what the person had open when they wrote
    it; an answer to a question needs no such telling.
    """
    text = clean(text).strip()
    if not text:
        raise InvalidInputError("The message is empty.")
    if len(text) > limits.MESSAGE_CHARACTERS:
        raise InvalidInputError(f"A message may have {limits.MESSAGE_CHARACTERS:,} characters.")
    async with _steering(app, actor, session_id) as it:
        if it.state.final:
            raise ConflictError(f"Session #{session_id} is {human(it.state.status)}; it takes no more messages.")
        flow = await pinned_flow(app, it.connection, it.session.flow_hash)
        if not it.state.approvals and not any(isinstance(one, AgentComponent) for one in flow.components):
            raise ConflictError(f"Session #{session_id} has no agent that could read a message, and asks nothing now.")
        if attached and any(pending.ask != "tool_call" for pending in it.state.approvals.values()):
            raise ConflictError(f"Session #{session_id} asks a question: answer it in words, then send the files.")
        text, files = await _with_skill(app, it, text), await _files(app, it, actor, attached, about)
        taken, who = False, Person(actor.username, actor.door)
        for approval_id, pending in list(it.state.approvals.items()):
            if pending.ask == "tool_call":
                answers.refuse(it, flow, who, approval_id, "The person wrote a message instead.")
            else:
                answers.say(it, flow, who, approval_id, text)
                taken = True
        if not taken:
            # Between two agents it is for whichever comes next.
            component = it.state.agent if it.state.component == it.state.agent else ""
            it.append(e.MessageAdded(text=text, by=actor.username, component=component, attachments=files))
        if it.state.status in AWAITING or it.state.status is Status.IDLE:
            it.move(Transition.RESUME, by=actor.username)
        await log.flush(it.connection, it.session)
        return await views.load(app, it.connection, session_id)


async def _files(
    app: App, it: Change, actor: Actor, ids: tuple[int, ...], about: Subject | None
) -> tuple[Attachment, ...]:
    created = it.state.created
    room = created.context_tokens * limits.CHARACTERS_PER_TOKEN // limits.ATTACHED_SHARE
    found = await attachments.claim(it.connection, actor, it.session.id, ids, room=room) if ids else ()
    check_sight(app, {created.model, *created.component_models.values()}, found)
    if about is None or any(pending.ask != "tool_call" for pending in it.state.approvals.values()):
        return found
    return (*found, await page_subjects.note(app, it.connection, actor, it.session.id, about))


async def _with_skill(app: App, it: Change, text: str) -> str:
    created = it.state.created
    return text if created.project_id is None else await with_skill(app, created.project_id, created.commit, text)


async def told_by_comment(app: App, connection: AsyncConnection, actor: Actor, session_id: int, text: str) -> None:
    """What somebody says to a session where it was called, an issue or merge request; it goes on with that.

    Its initiator answers by it what the session asks; of others it is a message.

    Raises:
        NotFoundError, ForbiddenError: the person may start no sessions in the project.
        ConflictError: the session has ended.
    """
    text = cut(clean(text).strip(), limits.MESSAGE_CHARACTERS)
    async with changing(app, connection, session_id) as it:
        created = it.state.created
        await project_for(connection, actor, created.project_id or 0, Ability.START_SESSION)
        if it.state.final:
            raise ConflictError(f"Session #{session_id} is {human(it.state.status)}; it takes no more messages.")
        flow = await pinned_flow(app, connection, it.session.flow_hash)
        asked = [key for key, pending in it.state.approvals.items() if pending.ask == "input"]
        if asked and created.initiator_id == actor.user_id:
            for approval_id in asked:
                answers.say(it, flow, Person(actor.username, actor.door), approval_id, text)
            _resume_if_answered(it, actor)
            return
        component = it.state.agent if it.state.component == it.state.agent else ""
        it.append(e.MessageAdded(text=text, by=actor.username, component=component))
        if it.state.status is Status.IDLE:
            it.move(Transition.RESUME, by=actor.username)


async def approve(
    app: App,
    actor: Actor,
    session_id: int,
    approval_id: str | None = None,
    *,
    for_session: bool = False,
    pattern: str = "",
    args: dict[str, JsonValue] | None = None,
) -> SessionView:
    """Says yes to an approval, or to the only open one; `args` replace those of its call, checked as the tool's own.

    `pattern` is of its call's command and allows for the session what it matches.
    """
    async with _steering(app, actor, session_id) as it:
        approval_id, pending = _open_approval(it, approval_id)
        if pending.ask == "input":
            raise InvalidInputError(f"Session #{session_id} asks a question: answer it with a message.")
        if args is not None:
            args = await _changed_args(app, it, pending.call_ids, args)
        if pattern:
            _check_pattern(it, pending.call_ids, pattern, args)
        it.append(
            e.ApprovalGranted(
                approval_id=approval_id,
                by=actor.username,
                door=actor.door,
                for_session=for_session,
                pattern=pattern,
                args=args,
            )
        )
        if for_session or pattern:
            _grant_alike(it, actor)
        _resume_if_answered(it, actor)
        await log.flush(it.connection, it.session)
        return await views.load(app, it.connection, session_id)


def _grant_alike(it: Change, actor: Actor) -> None:
    """Grants what else is asked now and would not be asked any more: the same call twice in one answer."""
    state = it.state

    def asks(call_id: str) -> bool:
        call = state.calls[call_id]
        patterns = state.session_patterns.get(call.tool, ())
        return asks_still(call.tool, call.args, approvals=state.session_approvals, patterns=patterns)

    for approval_id, pending in tuple(state.approvals.items()):
        if pending.ask == "tool_call" and not any(map(asks, pending.call_ids)):
            it.append(e.ApprovalGranted(approval_id=approval_id, by=actor.username, door=actor.door))


def _check_pattern(it: Change, call_ids: tuple[str, ...], pattern: str, args: dict[str, JsonValue] | None) -> None:
    if len(call_ids) != 1:
        raise InvalidInputError("Only the approval of a single call can have a pattern.")
    call = it.state.calls[call_ids[0]]
    known = it.state.session_patterns.get(call.tool, ())
    check_patterns({call.tool: {*known, pattern}})
    if not matches(pattern, call.tool, call.args if args is None else args):
        raise InvalidInputError(
            f"{pattern!r} is not of this command, or the command has what means something to a shell; then it is asked "
            "for each time."
        )


async def _changed_args(
    app: App, it: Change, call_ids: tuple[str, ...], args: dict[str, JsonValue]
) -> dict[str, JsonValue]:
    """The arguments that a person wants instead; what the flow has fixed stays fixed."""
    if len(call_ids) != 1:
        raise InvalidInputError("Only the approval of a single call can change its arguments.")
    call = it.state.calls[call_ids[0]]
    flow = await pinned_flow(app, it.connection, it.session.flow_hash)
    usable = toolbox(flow, call.component, it.state)[call.tool]
    made = RequestedCall("", call.tool, args)
    if made.fault:
        raise InvalidInputError(made.fault)
    args = made.args | usable.fixed
    usable.tool.parse(args)
    if app.redactor.value(args) != args:
        raise InvalidInputError("The arguments hold what looks like a secret; no tool is given one.")
    return args


async def deny(
    app: App, actor: Actor, session_id: int, approval_id: str | None = None, *, reason: str = ""
) -> SessionView:
    """Says no to an approval, or to the only open one; the reason goes to the model.

    A plan denied with a reason comes back changed; one denied without ends the session.
    """
    async with _steering(app, actor, session_id) as it:
        approval_id, _ = _open_approval(it, approval_id)
        reason = cut(clean(reason), limits.REASON_CHARACTERS).strip()
        flow = await pinned_flow(app, it.connection, it.session.flow_hash)
        answers.refuse(it, flow, Person(actor.username, actor.door), approval_id, reason)
        _resume_if_answered(it, actor)
        await log.flush(it.connection, it.session)
        stopped = [session_id, *await stop_children(app, it, actor)] if it.state.final else []
        view = await views.load(app, it.connection, session_id)
    for one in stopped:
        await pipelines.cancel_of_session(app, one)
    return view


def _open_approval(it: Change, approval_id: str | None) -> tuple[str, PendingApproval]:
    pending = it.state.approvals
    if not pending:
        raise ConflictError(f"Session #{it.session.id} is {human(it.state.status)}; no approval is open in it.")
    if approval_id is None:
        if len(pending) > 1:
            raise InvalidInputError(f"{len(pending)} approvals are open; say which: {', '.join(pending)}.")
        approval_id = next(iter(pending))
    if approval_id not in pending:
        raise NotFoundError(f"No approval {approval_id} is open in session #{it.session.id}.")
    return approval_id, pending[approval_id]


def _resume_if_answered(it: Change, actor: Actor) -> None:
    if not it.state.approvals and it.state.status in AWAITING:
        it.move(Transition.RESUME, by=actor.username)


async def pause(app: App, actor: Actor, session_id: int) -> SessionView:
    """The brain stops after what it is at; a call that runs goes on to its end, nothing is killed."""
    async with _steering(app, actor, session_id) as it:
        it.move(Transition.PAUSE, reason=f"paused by {actor.username}", by=actor.username)
        await log.flush(it.connection, it.session)
        return await views.load(app, it.connection, session_id)


async def resume(app: App, actor: Actor, session_id: int) -> SessionView:
    """Goes on after a pause."""
    async with _steering(app, actor, session_id) as it:
        if it.state.status is not Status.PAUSED and it.state.status is not Status.RUNNING:
            raise ConflictError(
                f"Session #{session_id} is {human(it.state.status)}, not paused: answer it instead of resuming it."
            )
        await check_raised(it)
        it.move(Transition.RESUME, by=actor.username)
        await log.flush(it.connection, it.session)
        return await views.load(app, it.connection, session_id)


async def cancel(app: App, actor: Actor, session_id: int, reason: str = "") -> SessionView:
    """Stops the session for good: the status first, then whatever runs is killed; the proof comes as an event."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.CANCEL_SESSION)
        async with changing(app, connection, session_id) as it:
            it.move(
                Transition.STOP,
                reason=cut(clean(reason), limits.REASON_CHARACTERS) or f"cancelled by {actor.username}",
                by=actor.username,
            )
            children = await stop_children(app, it, actor)
        stopped = await views.load(app, connection, session_id)
    for one in (session_id, *children):
        await pipelines.cancel_of_session(app, one)
    return stopped


async def rename(app: App, actor: Actor, session_id: int, title: str) -> SessionView:
    """Gives the session another title."""
    title = line(clean(title), limits.TITLE_CHARACTERS)
    if not title:
        raise InvalidInputError("The title is empty.")
    async with _steering(app, actor, session_id, renames=True) as it:
        it.append(e.SessionRenamed(title=title, by=actor.username))
        await log.flush(it.connection, it.session)
        return await views.load(app, it.connection, session_id)


async def hold(app: App, actor: Actor, session_id: int, *, held: bool, reason: str = "") -> SessionView:
    """Keeps the session from being deleted by age, or lets its clock count again."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.HOLD_SESSION)
        async with changing(app, connection, session_id) as it:
            if held != it.state.held:
                it.append(
                    e.SessionHeld(by=actor.username, reason=clean(reason))
                    if held
                    else e.SessionReleased(by=actor.username)
                )
        return await views.load(app, connection, session_id)


async def merge_request_ended(
    connection: AsyncConnection, app: App, session_id: int, name: str, status: Literal["merged", "closed"]
) -> None:
    """The merge request that an idle flow waited for was merged or closed: it is finished; a chat lives on."""
    try:
        async with changing(app, connection, session_id) as it:
            if it.state.open_merge_request != name:
                return
            it.append(e.MergeRequestEnded(name=name, status=status))
            flow = await pinned_flow(app, connection, it.session.flow_hash)
            if it.state.status is Status.IDLE and not flow.chats:
                it.move(Transition.RESUME, reason=f"merge request {name} was {status}")
                it.move(Transition.FINISH, reason=f"merge request {name} was {status}")
    except NotFoundError:
        return


@asynccontextmanager
async def _steering(app: App, actor: Actor, session_id: int, *, renames: bool = False) -> AsyncGenerator[Change]:
    async with app.database.transaction() as connection:
        await steer_check(connection, actor, session_id, renames=renames)
        async with changing(app, connection, session_id) as it:
            yield it
