"""What the source of an external session sends, put behind its log: each event once, in order, and whole batches.

Requests that come together are one transaction: one lock of all their sessions, one write, one commit. Each has a
check and an outcome of its own, and nobody is answered before what they sent is committed.
"""

from collections.abc import Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.appended import Append, Appended
from quarterdeck.app.application import App
from quarterdeck.app.change import redacted, settle, suspect
from quarterdeck.app.session_access import may
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.access import Ability, Role, allows
from quarterdeck.core.errors import (
    ConflictError,
    ForbiddenError,
    QuarterdeckError,
    SessionEndedError,
)
from quarterdeck.core.fold import apply
from quarterdeck.core.source_events import AnySourceEvent, SourceBatch, SourceGapError, WrongEventError
from quarterdeck.core.status import human
from quarterdeck.store import log


async def append(app: App, actor: Actor, session_id: int, batch: SourceBatch, size: int) -> Appended:
    """Stores the events of the batch, which came in `size` bytes, that are not stored yet: all of them, or none.

    Raises:
        NotFoundError, ForbiddenError: the actor is not its initiator, or has no role in its project any more.
        ConflictError: its work is done here.
        SourceGapError: events before these are missing.
        SessionEndedError: it has ended, and takes no more work.
        WrongEventError: an event doesn't fit.
    """
    request = Append(actor, session_id, batch, size)
    try:
        return await app.appends.ask(request, partial(_store, app))
    except _LockedError:
        outcome = (await _store(app, [request], patient=True))[0]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class _LockedError(Exception):
    """Another has the session, such as who seals it or forks it: who waits for that waits apart from the group."""


async def _store(app: App, group: Sequence[Append], *, patient: bool = False) -> Sequence[Appended | Exception]:
    async with app.database.transaction() as connection:
        numbers = [request.session_id for request in group]
        held = await log.lock_all(connection, numbers, external=True, patient=patient)
        before = {session_id: session.state.model_copy() for session_id, session in held.items()}
        outcomes: list[Appended | Exception] = []
        for request in group:
            session = held.get(request.session_id)
            if session is None and not patient:
                outcomes.append(_LockedError())
                continue
            kept = len(session.fresh) if session else 0
            try:
                session = await _checked(connection, request, session)
                outcomes.append(_take(app, session, request.batch))
            except QuarterdeckError as error:
                if session is not None and len(session.fresh) > kept:
                    held[session.id] = await _restored(connection, session, kept)
                outcomes.append(error)
        await log.flush(connection, *held.values())
        for session_id, session in held.items():
            if session.state.status is not before[session_id].status:
                await settle(app, connection, session, before=before[session_id], wanted=False)
    return outcomes


async def _checked(connection: AsyncConnection, request: Append, session: log.Locked | None) -> log.Locked:
    """Only the initiator, as long as a role in the project allows sessions."""
    actor, number = request.actor, request.session_id
    if session is None:
        await may(connection, actor, number, Ability.READ_SESSION)
        raise ConflictError(f"The work of session #{number} is done here; only external sessions take events.")
    created = session.state.created
    if created.initiator_id != actor.user_id:
        await may(connection, actor, number, Ability.READ_SESSION)
        raise ForbiddenError(f"Only the initiator of session #{number} records it; you may watch it.")
    role = Role(session.initiator_role) if session.initiator_role else None
    if created.project_id is not None and not (actor.admin or allows(role, Ability.START_SESSION)):
        await project_for(connection, actor, created.project_id, Ability.START_SESSION)
    return session


def _take(app: App, session: log.Locked, batch: SourceBatch) -> Appended:
    first, known = batch.events[0].seq, session.source_seq or 0
    if first > known + 1:
        raise SourceGapError(session.id, first, known + 1)
    fresh = batch.events[known + 1 - first :]
    if fresh:
        _append(app, session, fresh, len(batch.events) - len(fresh))
        session.source_seq = fresh[-1].seq
    state = session.state
    return Appended(taken=len(fresh), next=max(known, batch.events[-1].seq) + 1, seq=state.seq, status=state.status)


def _append(app: App, session: log.Locked, events: Sequence[AnySourceEvent], skipped: int) -> None:
    ended, secrets = session.state.final, suspect(app.redactor, events)
    for index, event in enumerate(events, skipped):
        if ended and not event.record:
            raise SessionEndedError(
                f"Session #{session.id} is {human(session.state.status)}; it takes no more work ({event.kind}). "
                "Nothing of the batch was stored."
            )
        try:
            payload = event.payload(session.state, session.id)
            level = event.level
            if level is None and isinstance(payload, e.ToolCallFinished):
                level = session.state.calls[payload.call_id].end_level(payload.outcome)
            draft = log.Draft(payload, level, event.at)
            log.append(session, redacted(app.redactor, draft) if secrets else draft)
        except (QuarterdeckError, ValueError) as error:
            raise WrongEventError(index, str(error)) from error
    if len(session.state.model_dump_json()) > limits.SOURCE_STATE_CHARACTERS:
        raise WrongEventError(skipped + len(events) - 1, "what is open by then is more than a session can have.")


async def _restored(connection: AsyncConnection, session: log.Locked, kept: int) -> log.Locked:
    """The session without the batch that failed: as it is stored, with the first `kept` that came with others."""
    stored = (await log.lock_all(connection, [session.id]))[session.id]
    for event in session.fresh[:kept]:
        apply(stored.state, event)
    stored.fresh, stored.source_seq = session.fresh[:kept], session.source_seq
    return stored
