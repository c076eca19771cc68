"""Calls of the server's side: begun by a job, ended by it or by what it waits for."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from pydantic import JsonValue
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import calls
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import change, changing
from quarterdeck.app.session_access import initiator
from quarterdeck.core import events as e
from quarterdeck.core.errors import NotFoundError, UnavailableError
from quarterdeck.core.state import CallStatus
from quarterdeck.store import log
from quarterdeck.store.tables import offers, pipeline_waits

REVIVE_SECONDS = 30
"""How long a call may be open before the net looks whether somebody still has it."""


@dataclass(frozen=True)
class Begun:
    """A call that is to be carried out, and in whose name."""

    tool: str
    args: dict[str, JsonValue]
    actor: Actor
    project_id: int
    branch: str
    base: str
    listing: bool = False
    again: bool = False
    """Whether somebody began it before and did not end it."""


async def begin(app: App, session_id: int, call_id: str) -> Begun | None:
    """The call that a job is to carry out, marked as begun; None when it has ended or was cancelled."""
    try:
        async with change(app, session_id) as it:
            call = it.state.calls.get(call_id)
            if call is None or call.status not in (CallStatus.OFFERED, CallStatus.RUNNING):
                return None
            again = call.status is CallStatus.RUNNING
            if not again:
                it.append(log.Draft(e.ToolCallStarted(call_id=call_id, executor="server"), call.level))
            created = it.state.created
            return Begun(
                tool=call.tool,
                args=call.args,
                actor=await initiator(it.connection, created),
                project_id=created.project_id or 0,
                branch=created.branch,
                base=created.ref,
                listing=call.listing,
                again=again,
            )
    except NotFoundError:
        return None


async def until_ended(app: App, session_id: int, call_id: str) -> None:
    """Returns when nobody wants the call's result any more: the session was ended, or its answer was."""
    open_ = select(offers.c.call_id).where(offers.c.call_id == call_id, offers.c.status.in_(("offered", "running")))
    with app.doorbell.listener(f"turn:{session_id}") as listener:
        while True:
            try:
                async with app.database.transaction() as connection:
                    if (await connection.execute(open_)).one_or_none() is None:
                        return
            except UnavailableError:  # no reason to end a call
                await asyncio.sleep(1)
                continue
            await listener.wait()


async def revive(app: App) -> int:
    """Gives calls out again that no job carries out and no pipeline will end: a net that should catch nothing."""
    async with app.database.transaction() as connection:
        rows = await connection.execute(
            select(offers.c.session_id, offers.c.call_id)
            .where(offers.c.side == "server", offers.c.status.in_(("offered", "running")))
            .where(offers.c.created_at < func.now() - timedelta(seconds=REVIVE_SECONDS))
            .where(offers.c.call_id.not_in(select(pipeline_waits.c.call_id)))
        )
        quiet = rows.all()
        working = await app.dispatch.with_server_calls(connection) if quiet else set[str]()
        lost = [row for row in quiet if row.call_id not in working]
        for row in lost:
            await app.dispatch.server_call(connection, row.session_id, row.call_id)
    return len(lost)


async def finish(
    app: App,
    session_id: int,
    call_id: str,
    *,
    outcome: e.Outcome,
    text: str,
    before: tuple[e.AnyPayload, ...] = (),
) -> None:
    """Ends a call in a transaction of its own; nothing when the session is gone."""
    try:
        async with app.database.transaction() as connection:
            await finish_call(app, connection, session_id, call_id, outcome=outcome, text=text, before=before)
    except NotFoundError:
        return


async def finish_call(
    app: App,
    connection: AsyncConnection,
    session_id: int,
    call_id: str,
    *,
    outcome: e.Outcome,
    text: str,
    before: tuple[e.AnyPayload, ...] = (),
) -> None:
    """Ends a call of the server's side; the second time nothing happens. `before` are events that it made."""
    async with changing(app, connection, session_id) as it:
        call = it.state.calls.get(call_id)
        if call is None or call.status is CallStatus.FINISHED:
            return
        it.append(*before, calls.finished(call_id, call, outcome, text))
        await connection.execute(update(offers).where(offers.c.call_id == call_id).values(status="finished"))
