"""Editors: executors of a person, each a folder that is open in a window, for the sessions that are given to it."""

import secrets
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, Select, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import leases as lease
from quarterdeck.app import people
from quarterdeck.app import session_views as views
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import Change, changing
from quarterdeck.app.runner_choice import alive
from quarterdeck.app.session_access import steer_check
from quarterdeck.app.session_views import SessionView
from quarterdeck.core import events as e
from quarterdeck.core.errors import ConflictError, NotFoundError
from quarterdeck.core.status import human
from quarterdeck.core.text import clean, line
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import leases, runners, sessions, tokens

EDITORS = 50
"""How many a person may have; one for each folder, so that who works in more forgets some."""
UNUSED = timedelta(days=30)
"""An editor that was not heard of for so long is forgotten, unless a session waits for it."""
NAME_CHARACTERS, FOLDER_CHARACTERS = 100, 1_000


class AttachEditor(BaseModel):
    """A folder that is open in an editor of yours."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["ide", "client"] = Field(description="It works by itself, or through an editor's own protocol.")
    name: str = Field(min_length=1, max_length=NAME_CHARACTERS, description="As people know it: `VS Code on laptop`.")
    instance: str = Field(
        min_length=16,
        max_length=64,
        description="A random id that the editor keeps for this folder; it is known by it.",
    )
    folder: str = Field(min_length=1, max_length=FOLDER_CHARACTERS, description="Where it is, as people know it.")


class AttachedEditor(BaseModel):
    """Its number, and the token with which it speaks the executor protocol, which is shown here alone."""

    model_config = ConfigDict(frozen=True)
    executor: int
    token: str
    name: str


class EditorView(BaseModel):
    """An editor of yours."""

    model_config = ConfigDict(frozen=True)
    id: int
    kind: Literal["ide", "client"]
    name: str
    folder: str
    instance: str
    alive: bool
    last_contact: datetime | None
    sessions: int
    """How many sessions are given to it that have not ended."""


async def attach(app: App, actor: Actor, request: AttachEditor) -> AttachedEditor:
    """The editor of that instance, made if there is none; the token that it had before ends.

    Raises:
        ConflictError: the person has as many as one may have.
        UnauthenticatedError: the person was shut out meanwhile.
    """
    name, folder = (
        line(clean(request.name), NAME_CHARACTERS) or "editor",
        line(clean(request.folder), FOLDER_CHARACTERS),
    )
    async with app.database.transaction() as connection:
        await people.demand_in(connection, actor)
        told = {"description": name, "folder": folder, "kind": request.kind}
        same = _of(actor) & (runners.c.instance == request.instance)
        known = update(runners).where(same).values(told).returning(runners.c.id)
        number = (await connection.execute(known)).scalar_one_or_none()
        if number is None:
            number = await _new(connection, actor, request, told)
        await connection.execute(delete(tokens).where(tokens.c.runner_id == number))
        token = await people.issue(connection, "runner", name=name, user_id=actor.user_id, runner_id=number)
        await ring(connection, lease.state_bell(number))
    return AttachedEditor(executor=number, token=token, name=name)


async def _new(connection: AsyncConnection, actor: Actor, request: AttachEditor, told: dict[str, Any]) -> int:
    mine = select(func.count()).select_from(runners).where(_of(actor))
    if (await connection.execute(mine)).scalar_one() >= EDITORS:
        raise ConflictError(f"You have {EDITORS} editors already. Forget one that you don't use: `qd editor forget`.")
    # Nobody can take the name of a runner by calling an editor so.
    place = PurePath(told["folder"]).name or told["folder"]
    name = f"{told['description']} in {place} ({actor.username}-{secrets.token_hex(4)})"
    row = {**told, "name": name, "instance": request.instance, "registered": True, "user_id": actor.user_id}
    return (await connection.execute(insert(runners).values(row).returning(runners.c.id))).scalar_one()


async def find(app: App, actor: Actor) -> tuple[EditorView, ...]:
    """Those of the person who asks; the one that was heard of last comes first."""
    async with app.database.reading() as connection:
        rows = (await connection.execute(_shown().where(_of(actor)))).all()
    return tuple(EditorView.model_validate(row, from_attributes=True) for row in rows)


def _shown() -> Select[*tuple[Any, ...]]:
    given = (
        select(func.count())
        .where(sessions.c.executor_id == runners.c.id, sessions.c.ended_at.is_(None))
        .scalar_subquery()
    )
    columns = runners.c.id, runners.c.kind, runners.c.description.label("name"), runners.c.folder, runners.c.instance
    shown = select(*columns, runners.c.last_contact, alive().label("alive"), given.label("sessions"))
    return shown.order_by(runners.c.last_contact.desc().nulls_last(), runners.c.id.desc())


async def forget(app: App, actor: Actor, editor_id: int) -> None:
    """Its token dies, and what it was carrying out is interrupted; its sessions wait until they are handed over.

    Raises:
        NotFoundError: the person has none of that number.
    """
    async with app.database.transaction() as connection:
        await own(connection, actor, editor_id)
        await lease.remove(connection, editor_id)
    await lease.expire(app)  # else the next sweep does it


async def forget_unused(app: App, at: datetime) -> None:
    """Forgets those that were not heard of for `UNUSED` before `at`, and that no session is given to."""
    heard = func.coalesce(runners.c.last_contact, runners.c.created_at)
    given = exists().where(sessions.c.executor_id == runners.c.id)
    held = exists().where(leases.c.runner_id == runners.c.id)
    unused = runners.c.user_id.is_not(None), heard < at - UNUSED, ~given, ~held
    async with app.database.transaction() as connection:
        await connection.execute(delete(runners).where(*unused))


async def own(connection: AsyncConnection, actor: Actor, editor_id: int) -> Row[*tuple[Any, ...]]:
    """The row of an editor of the person's. Raises NotFoundError."""
    query = select(runners).where(_of(actor), runners.c.id == editor_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFoundError(f"You have no editor {editor_id}; `qd editor list` names them.")
    return row


async def assigned(connection: AsyncConnection, actor: Actor, editor_id: int) -> e.ExecutorAssigned:
    """What a session's log says when its calls are given to an editor of the actor's. Raises NotFoundError."""
    row = await own(connection, actor, editor_id)
    return e.ExecutorAssigned(
        executor_id=row.id, executor=row.description, executor_kind=row.kind, folder=row.folder, by=actor.username
    )


async def hand_over(app: App, actor: Actor, session_id: int, editor_id: int | None) -> SessionView:
    """Gives the session's calls to another editor of its initiator's, or to a runner when none is named.

    It goes on from its last snapshot there. What it was given to before is fenced, and stops what it still does.

    Raises:
        ConflictError: it has ended, a call is being carried out, or nothing could be taken along.
        NotFoundError: there is no such editor of the actor's.
    """
    async with app.database.transaction() as connection:
        async with changing(app, connection, session_id) as it:
            await steer_check(connection, actor, session_id)
            new = e.ExecutorAssigned(executor_id=None, by=actor.username)
            if editor_id is not None:
                new = await assigned(connection, actor, editor_id)
            old = it.state.editor.id if it.state.editor else None
            if old == new.executor_id:
                return await views.load(app, connection, session_id)
            _may_move(it, new)
            await _let_go(it)
            it.append(new)
        await ring(connection, "runners:all")
        return await views.load(app, connection, session_id)


def _may_move(it: Change, new: e.ExecutorAssigned) -> None:
    state, number = it.state, it.session.id
    if state.final:
        raise ConflictError(f"Session #{number} is {human(state.status)}; nothing of it is carried out any more.")
    if state.created.project_id is None:
        raise ConflictError(f"Session #{number} has no project, so there are no files that could be taken along.")
    if state.editor is not None and state.executor and not state.start_commit:
        raise ConflictError(
            f"{state.editor.name} takes no snapshots: what session #{number} changed is in its folder alone. Fork the "
            "session to go on elsewhere."
        )
    if new.executor_kind == "client" and state.snapshot_commit:
        raise ConflictError(f"{new.executor} takes no snapshots, so the files of session #{number} can't come there.")


async def _let_go(it: Change) -> None:
    """Ends the session's lease; calls that it was given are interrupted, if whoever has them is not heard of."""
    held = (
        select(leases.c.epoch, runners.c.name, alive().label("alive"))
        .join(runners, runners.c.id == leases.c.runner_id)
        .where(leases.c.subject == f"session:{it.session.id}")
    )
    row = (await it.connection.execute(held)).one_or_none()
    if row is None:
        return
    if row.alive and it.state.in_flight and await lease.sent(it):
        raise ConflictError(
            f"{row.name} is carrying out a call of session #{it.session.id}. Wait until it is done, or interrupt it."
        )
    why = "was not heard of while it had this call, and the session was handed over"
    await lease.end_within(it, row.epoch, leases.c.cancelled.is_(False), why)


def _of(actor: Actor):
    return (runners.c.user_id == actor.user_id) & (runners.c.state != "removed")
