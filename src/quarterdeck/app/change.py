"""The one way to change a session: its row locked, events appended, the next turn enqueued, in one transaction."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import cast

from pydantic import BaseModel, JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import sealing, thread_answers
from quarterdeck.app.application import App
from quarterdeck.app.wanted import happened
from quarterdeck.core.events import AnyPayload, ModelAnswered, StatusChanged
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import Status, Transition, after
from quarterdeck.store import log
from quarterdeck.store.doorbell import CHANNEL


@dataclass
class Change:
    """A session while its row is locked."""

    connection: AsyncConnection
    session: log.Locked
    redactor: Redactor

    @property
    def state(self) -> SessionState:
        """The state, moved along by what is appended."""
        return self.session.state

    def append(self, *drafts: log.Draft | AnyPayload) -> None:
        """Puts events behind the log, without the secrets that are in them."""
        log.append(self.session, *without_secrets(self.redactor, drafts))

    def move(self, transition: Transition, *, reason: str = "", by: str = "") -> None:
        """Appends the status change; nothing when the session is there already.

        Raises:
            IllegalTransitionError: names the event and the status.
        """
        target = after(self.state.status, transition)
        if target is self.state.status:
            return
        self.append(
            StatusChanged(transition=transition, from_status=self.state.status, to_status=target, reason=reason, by=by)
        )


def without_secrets(redactor: Redactor, drafts: Sequence[log.Draft | AnyPayload]) -> Sequence[log.Draft | AnyPayload]:
    """The same without secrets: one look at all of them together, and only where that finds something one at each."""
    return [redacted(redactor, draft) for draft in drafts] if suspect(redactor, map(_payload, drafts)) else drafts


def redacted(redactor: Redactor, draft: log.Draft | AnyPayload) -> log.Draft | AnyPayload:
    """The same without secrets; the one gate that everything passes on its way into a log."""
    payload = _payload(draft)
    if not suspect(redactor, (payload,)):
        return draft
    plain: JsonValue = payload.model_dump(mode="json", exclude={"opaque"})
    clean = _redacted(redactor, payload, plain)
    if clean == plain or not isinstance(clean, dict):
        return draft
    kept = {"opaque": payload.opaque} if isinstance(payload, ModelAnswered) else {}
    payload = type(payload).model_validate({**clean, **kept})
    return replace(draft, payload=payload) if isinstance(draft, log.Draft) else payload


def suspect(redactor: Redactor, models: Iterable[BaseModel]) -> bool:
    """Whether any of these payloads may have to change; what only a model's provider reads is left as it is."""
    found: list[str] = []
    for model in models:
        for name, value in vars(model).items():
            if name != "opaque":
                _gather(value, found)
    return redactor.suspects(found)


def _payload(draft: log.Draft | AnyPayload) -> AnyPayload:
    return draft.payload if isinstance(draft, log.Draft) else draft


def _gather(value: object, found: list[str]) -> None:
    """Every text within `value` that the redactor looks at."""
    match value:
        case str():
            found.append(value)
        case list() | tuple():
            for item in cast("Sequence[object]", value):
                _gather(item, found)
        case dict():
            for name, item in cast("dict[str, object]", value).items():
                found.append(name)
                _gather(item, found)
        case BaseModel():
            for item in vars(value).values():
                _gather(item, found)
        case _:
            pass


def _redacted(redactor: Redactor, whole: object, plain: JsonValue) -> JsonValue:
    """`plain`, the JSON of `whole`, without secrets; the names of our own fields are none, whatever they look like."""
    match plain:
        case dict() if isinstance(whole, BaseModel):
            return {name: _redacted(redactor, getattr(whole, name), value) for name, value in plain.items()}
        case list() if isinstance(whole, tuple):
            items = zip(cast("tuple[object, ...]", whole), plain, strict=True)
            return [_redacted(redactor, item, value) for item, value in items]
        case _:
            return redactor.value(plain)


@asynccontextmanager
async def change(app: App, session_id: int, *, turn_no: int | None = None) -> AsyncGenerator[Change]:
    """Locks a session for a change of its own transaction; `turn_no` fences a turn's changes.

    Raises:
        NotFoundError, FencedError: from the lock.
    """
    async with app.database.transaction() as connection, changing(app, connection, session_id, turn_no=turn_no) as it:
        yield it


@asynccontextmanager
async def changing(
    app: App, connection: AsyncConnection, session_id: int, *, turn_no: int | None = None
) -> AsyncGenerator[Change]:
    """The same within a transaction that is open already."""
    session = await log.lock(connection, session_id, turn_no=turn_no)
    before = session.state.model_copy()
    wanted = before.wants_turn
    yield Change(connection, session, app.redactor)
    await log.flush(connection, session)
    await settle(app, connection, session, before=before, wanted=wanted)


async def settle(
    app: App, connection: AsyncConnection, session: log.Locked, *, before: SessionState | None, wanted: bool
) -> None:
    """What a change of state brings with it: the next turn, the end of hands."""
    state = session.state
    if state.wants_turn and not wanted:
        at = state.retry.retry_at if state.retry else None
        await app.dispatch.turn(connection, session.id, state.turn_no + 1, at)
    if before is not None and state.status is not before.status and (state.final or state.status is Status.IDLE):
        await happened(connection, app.dispatch, "session", session.id)
        await sealing.at_rest(app, connection, session.id, state)
    if before is not None and state.status is not before.status and thread_answers.due(state):
        await app.dispatch.thread_answer(connection, session.id)
    if state.final and before is not None and not before.final:
        await end(connection, session.id)


async def end(connection: AsyncConnection, *session_ids: int) -> None:
    """The sessions have ended: nobody is offered their calls, their turns are aborted, their executors kill what runs.

    One round trip, because the kill waits for it.
    """
    subjects = [f"session:{one}" for one in session_ids]
    await connection.exec_driver_sql(_END, {"ids": list(session_ids), "subjects": subjects, "channel": CHANNEL})


_END = (
    "with calls as (update offers set status = 'cancelled' where subject = any(%(subjects)s)"
    " and status in ('waiting', 'offered', 'running', 'cancelling')),"
    " keys as (delete from tokens where kind = 'workspace' and subject = any(%(subjects)s)),"
    # Two that want to hear of each other's end have each the other's wish: one that is held is left, and moves nobody.
    " mine as (select id from notifications_wanted where session_id = any(%(ids)s) for update skip locked),"
    " wishes as (delete from notifications_wanted using mine where notifications_wanted.id = mine.id),"
    " held as (update leases set cancelled = true where subject = any(%(subjects)s) returning runner_id)"
    " select pg_notify(%(channel)s, bell || ' 0') from ("
    "select 'turn:' || id as bell from unnest(cast(%(ids)s as bigint[])) as ended(id)"
    " union all select distinct 'runner:' || runner_id from held where runner_id is not null) as bells"
)
