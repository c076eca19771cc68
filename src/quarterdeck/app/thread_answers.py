"""What a triggered session says where it was called: that it has begun, and what came of it."""

from typing import Any

from sqlalchemy import Row, ScalarSelect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import comments
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.forge_wants import want
from quarterdeck.app.session_access import initiator
from quarterdeck.core import events as e
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import Status, human
from quarterdeck.core.text import cut
from quarterdeck.core.trigger import Subject
from quarterdeck.store import log
from quarterdeck.store.tables import deliveries, merge_requests, sessions

ANSWER_CHARACTERS = 20_000
LOOKED_AT = 500
"""So many of the last events are looked at for the answer."""
RESTS = frozenset({Status.IDLE, Status.FINISHED, Status.FAILED, Status.STOPPED, Status.INPUT_REQUIRED})


def made(subject: Subject) -> ScalarSelect[Any]:
    """The session that made the merge request; of anything else none."""
    mine = merge_requests.c.id == (subject.id if subject.kind == "merge_request" else 0)
    return select(merge_requests.c.session_id).where(mine).scalar_subquery()


async def begun(
    app: App, connection: AsyncConnection, by: Actor, delivery: Row[Any], subject: Subject | None, session_id: int
) -> None:
    """Says in the thread that a session works on it, with its link."""
    url = f"{app.public_url}/sessions/{session_id}"
    text = f"I work on this in session [#{session_id}]({url}), for @{by.username}."
    await _say(app, connection, by, delivery.project_id, subject, text, session_id, f"delivery:{delivery.id}")


def due(state: SessionState) -> bool:
    """Whether it says something where it was called: it came to rest, or asks; what it started itself says nothing."""
    return state.created.triggered is not None and state.created.parent_id is None and state.status in RESTS


async def rested(app: App, session_id: int) -> None:
    """Says in the thread what came of the session, once for each time that it comes to rest."""
    async with app.database.transaction() as connection:
        query = select(sessions.c.state).where(sessions.c.id == session_id)
        stored = (await connection.execute(query)).scalar_one_or_none()
        if stored is None:
            return
        state = SessionState.model_validate(stored)
        triggered = state.created.triggered
        if triggered is None or not due(state):
            return
        first = select(deliveries.c.about).where(deliveries.c.id == triggered.delivery)
        found = (await connection.execute(first)).scalar_one_or_none()
        subject = await _place(connection, state, Subject.model_validate(found) if found else None, session_id)
        if subject is None:
            return
        events = await log.read(connection, session_id, after=max(0, state.seq - LOOKED_AT), limit=LOOKED_AT)
        at, answer = _answer(events)
        by = await initiator(connection, state.created)
        rest = f"rest:{session_id}:{at}"
        if await comments.known(connection, f"{rest}:{Status.IDLE}"):  # merged or closed: it stands there already
            answer = ""
        text = _told(app, session_id, state, answer)
        project_id = state.created.project_id
        await _say(app, connection, by, project_id, subject, text, session_id, f"{rest}:{state.status}")


async def _place(
    connection: AsyncConnection, state: SessionState, subject: Subject | None, session_id: int
) -> Subject | None:
    """The issue or merge request to talk on; of what began with a pipeline or by a clock the one that it made."""
    if subject is not None and subject.kind != "pipeline":
        return subject
    query = select(merge_requests.c.id, merge_requests.c.iid).where(merge_requests.c.session_id == session_id)
    row = (await connection.execute(query.order_by(merge_requests.c.id.desc()).limit(1))).one_or_none()
    return None if row is None else Subject(kind="merge_request", id=row.id, number=row.iid)


def _answer(events: list[e.Event]) -> tuple[int, str]:
    """The last thing that the agent said to people, and where; nothing where it only worked."""
    for event in reversed(events):
        match event.payload:
            case e.ModelAnswered(text=text) if text.strip():
                return event.seq, text.strip()
            case e.ApprovalRequested(question=question) if question.strip():
                return event.seq, question.strip()
            case _:
                pass
    return 0, ""


def _told(app: App, session_id: int, state: SessionState, answer: str) -> str:
    url = f"{app.public_url}/sessions/{session_id}"
    parts = [cut(answer, ANSWER_CHARACTERS)] if answer else []
    facts = [f"Session [#{session_id}]({url}) is {human(state.status)}"]
    if state.reason and state.status in (Status.FAILED, Status.STOPPED):
        facts[0] += f": {state.reason}"
    made_ = [f"[{one.name}]({one.url})" if one.url else one.name for one in state.artifacts if one.name]
    if made_:
        facts.append(f"it made {', '.join(made_[-10:])}")
    if state.checks_passed or state.checks_failed:
        facts.append(f"checks: {state.checks_passed} passed, {state.checks_failed} failed")
    return "\n\n".join([*parts, "; ".join(facts) + "."])


async def _say(
    app: App,
    connection: AsyncConnection,
    by: Actor,
    project_id: int | None,
    subject: Subject | None,
    text: str,
    session_id: int,
    call_id: str,
) -> None:
    if subject is None or subject.kind == "pipeline" or await comments.known(connection, call_id):
        return
    try:
        said = await comments.add(
            connection, by, subject.kind, subject.id, text, session_id=session_id, call_id=call_id
        )
        if project_id is not None:
            await want(connection, app.dispatch, project_id, "comment", said)
    except NotFoundError:
        return
