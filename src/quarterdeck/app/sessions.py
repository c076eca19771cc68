"""Sessions: start, look, steer, stop, delete. Each function is one ability check and one transaction."""

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy import delete as sql_delete
from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import session_views as views
from quarterdeck.app.access import Project, demand, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import Change, changing, settle
from quarterdeck.app.server_calls import finished_draft
from quarterdeck.app.session_views import Page, SessionView
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.access import INITIATOR_ABILITIES, Ability
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.events import Event, Level, Outcome
from quarterdeck.core.flow import Flow
from quarterdeck.core.status import AWAITING, GROUPS, Status, StatusGroup, Transition, human
from quarterdeck.core.text import clean, cut, line
from quarterdeck.store import blobs, log
from quarterdeck.store import output as outputs
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import (
    approvals,
    artifacts,
    documents,
    event_batches,
    offers,
    partials,
    pipeline_waits,
    pipelines,
    sessions,
    tombstones,
    usage,
)
from quarterdeck.store.tables import outputs as output_rows
from quarterdeck.tools.catalogue import CATALOGUE
from quarterdeck.tools.tool import Privilege

RUNNER_PRIVILEGES = (
    Privilege.READ_ONLY_FILES,
    Privilege.READ_WRITE_FILES,
    Privilege.READ_ONLY_GITLAB,
    Privilege.READ_WRITE_GITLAB,
    Privilege.RUN_COMMANDS,
    Privilege.USE_GIT,
)
"""What a flow on a runner may do without asking, unless its start says otherwise; the same as GitLab's."""


class StartSession(BaseModel):
    """What a session is started with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: int | str
    flow: str = Field(default="fix_pipeline/v1", max_length=200)
    flow_yaml: str | None = Field(default=None, description="A flow of your own instead, as YAML.")
    goal: str = Field(default="", max_length=limits.GOAL_CHARACTERS)
    title: str | None = Field(default=None, max_length=limits.TITLE_CHARACTERS)
    model: str | None = Field(
        default=None, max_length=200, description="`provider:model`; the configured one if absent."
    )
    script: str | None = Field(default=None, description="The answers of a `scripted:` model, as YAML.")
    ref: str = Field(default="", max_length=limits.REF_CHARACTERS, description="Branch, tag or commit to start from.")
    pipeline_id: int | None = None
    inputs: dict[str, JsonValue] = {}
    pre_approved: tuple[Privilege, ...] | None = None
    origin: str = Field(default="api", max_length=20)


async def start(app: App, actor: Actor, request: StartSession, idempotency_key: str | None = None) -> SessionView:
    """Starts a session; the same `idempotency_key` of the same person answers the session that it made before.

    Raises:
        InvalidInputError: the flow, the model, the script or the ref can't be used; says which and why.
    """
    async with app.database.transaction() as connection:
        project = await project_for(connection, actor, request.project, Ability.START_SESSION)
        if idempotency_key is not None:
            before = await _by_key(connection, actor, idempotency_key)
            if before is not None:
                return await views.load(app, connection, before)
        flow_text, shipped_script = _flow_text(app, request)
        flow = app.flows.read(flow_text)
        model, script = _model(app, request, shipped_script)
        inputs, pipeline_ref = await _inputs(connection, project, request)
        ref = request.ref or pipeline_ref or project.default_branch
        created = e.SessionCreated(
            goal=clean(request.goal) or _default_goal(flow, request),
            title=clean(request.title or "") or line(clean(request.goal) or flow.name, limits.TITLE_CHARACTERS),
            flow=flow.id,
            model=model,
            scripted=script is not None,
            project_id=project.id,
            initiator_id=actor.user_id,
            initiator=actor.username,
            origin=request.origin,
            ref=ref,
            commit=await app.forge.commit_of(project.id, ref),
            branch=f"quarterdeck/{flow.name.replace('_', '-')}-{secrets.token_hex(4)}",
            inputs=inputs,
            pre_approved=tuple(RUNNER_PRIVILEGES if request.pre_approved is None else request.pre_approved),
            retention_days=project.retention_days,
        )
        session = await log.create(
            connection,
            created,
            flow_hash=await _keep(connection, "flow", flow_text),
            script_hash=await _keep(connection, "script", script) if script is not None else None,
            idempotency_key=idempotency_key,
        )
        if request.pipeline_id is not None:
            log.append(
                session,
                e.LinkAdded(
                    relation="source",
                    target="pipeline",
                    name=f"#{request.pipeline_id}",
                    url=f"{app.public_url}/pipelines/{request.pipeline_id}",
                ),
            )
        await log.flush(connection, session)
        await settle(app, connection, session, before=None, wanted=False)
        return await views.load(app, connection, session.id)


async def _by_key(connection: AsyncConnection, actor: Actor, key: str) -> int | None:
    # Taken before the look, so that two starts with one key come one after the other.
    await connection.exec_driver_sql("select pg_advisory_xact_lock(hashtext(%s))", (f"{actor.user_id}:{key}",))
    return (
        await connection.execute(
            select(sessions.c.id).where(sessions.c.initiator_id == actor.user_id, sessions.c.idempotency_key == key)
        )
    ).scalar_one_or_none()


def _flow_text(app: App, request: StartSession) -> tuple[str, str | None]:
    if request.flow_yaml is None:
        return app.flows.shipped(request.flow)
    if len(request.flow_yaml.encode()) > limits.FLOW_BYTES:
        raise InvalidInputError(f"A flow may have {limits.FLOW_BYTES:,} bytes of YAML; this one is larger.")
    return clean(request.flow_yaml), None


def _model(app: App, request: StartSession, shipped_script: str | None) -> tuple[str, str | None]:
    """The model's full name and its script; never a silent fallback to the scripted one (promise 10)."""
    name = request.model or app.default_model
    if name is None:
        raise InvalidInputError(
            "No model is configured. Set ANTHROPIC_API_KEY or OPENAI_API_KEY and start the server again, "
            "or ask for the scripted model by name: --model scripted."
        )
    if not name.startswith("scripted"):
        app.check_model(name)
        return name, None
    script = request.script if request.script is not None else shipped_script
    if script is None:
        raise InvalidInputError(f"The flow {request.flow} ships no script; pass one with the model (--script FILE).")
    if len(script.encode()) > limits.SCRIPT_BYTES:
        raise InvalidInputError(f"A script may have {limits.SCRIPT_BYTES:,} bytes; this one is larger.")
    app.check_script(script)
    return "scripted:script" if request.script is not None else f"scripted:{request.flow}", script


async def _inputs(
    connection: AsyncConnection, project: Project, request: StartSession
) -> tuple[dict[str, JsonValue], str]:
    inputs = dict(request.inputs)
    if request.pipeline_id is None:
        return inputs, ""
    row = (
        await connection.execute(
            select(pipelines.c.ref, pipelines.c.sha, pipelines.c.status).where(
                pipelines.c.id == request.pipeline_id, pipelines.c.project_id == project.id
            )
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no pipeline #{request.pipeline_id} in {project.path}.")
    inputs["pipeline"] = {"id": request.pipeline_id, "ref": row.ref, "sha": row.sha, "status": row.status}
    return inputs, row.ref


def _default_goal(flow: Flow, request: StartSession) -> str:
    if request.pipeline_id is not None:
        return f"Find out why pipeline #{request.pipeline_id} fails and repair it."
    return flow.description or f"Run the flow {flow.id}."


async def _keep(connection: AsyncConnection, kind: str, text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    await connection.execute(upsert(documents).values(hash=digest, kind=kind, text=text).on_conflict_do_nothing())
    return digest


async def may(connection: AsyncConnection, actor: Actor, session_id: int, ability: Ability) -> None:
    """The one check for everything about a session.

    Raises:
        NotFoundError: there is none that the actor may know of.
        ForbiddenError: the actor may see it, but not this.
    """
    row = (
        await connection.execute(
            select(sessions.c.project_id, sessions.c.initiator_id, sessions.c.origin).where(sessions.c.id == session_id)
        )
    ).one_or_none()
    unknown = NotFoundError(f"There is no session #{session_id} that you may see.")
    if row is None:
        raise unknown
    if row.initiator_id == actor.user_id and ability in INITIATOR_ABILITIES:
        return
    if row.project_id is None or row.origin in ("chat", "ide"):
        raise unknown
    try:
        project = await project_for(connection, actor, row.project_id, Ability.READ_SESSION)
    except (NotFoundError, ForbiddenError):
        raise unknown from None
    demand(project, ability)


async def steer_check(connection: AsyncConnection, actor: Actor, session_id: int) -> None:
    """Only the initiator answers, writes, pauses and resumes.

    Raises:
        NotFoundError, ForbiddenError: as `may` does.
    """
    await may(connection, actor, session_id, Ability.READ_SESSION)
    initiator = (
        await connection.execute(select(sessions.c.initiator_id, sessions.c.id).where(sessions.c.id == session_id))
    ).one()
    if initiator.initiator_id != actor.user_id:
        raise ForbiddenError(f"Only the initiator of session #{session_id} steers it; you may watch it.")


async def show(app: App, actor: Actor, session_id: int) -> SessionView:
    """One session."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        return await views.load(app, connection, session_id)


async def find(
    app: App,
    actor: Actor,
    *,
    project: int | str | None = None,
    status: Status | None = None,
    status_group: StatusGroup | None = None,
    mine: bool = False,
    before: str | None = None,
    limit: int = limits.PAGE_ROWS,
) -> Page:
    """The newest sessions that the actor may see, by last activity; `before` is an earlier page's `next`."""
    async with app.database.transaction() as connection:
        query = views.visible(actor)
        if project is not None:
            found = await project_for(connection, actor, project, Ability.READ_SESSION)
            query = query.where(sessions.c.project_id == found.id)
        if status is not None:
            query = query.where(sessions.c.status == status.value)
        if status_group is not None:
            inside = [name.value for name, group in GROUPS.items() if group is status_group]
            query = query.where(sessions.c.status.in_(inside))
        if mine:
            query = query.where(sessions.c.initiator_id == actor.user_id)
        return await views.page(app, connection, query, before=before, limit=min(max(limit, 1), 100))


async def reply(app: App, actor: Actor, session_id: int, text: str) -> SessionView:
    """A message to the session: taken at its next step, or what it waited for.

    A message while approvals are open answers them: they are denied, and the message is the reason.
    """
    text = clean(text).strip()
    if not text:
        raise InvalidInputError("The message is empty.")
    if len(text) > limits.MESSAGE_CHARACTERS:
        raise InvalidInputError(f"A message may have {limits.MESSAGE_CHARACTERS:,} characters.")
    async with _steering(app, actor, session_id) as it:
        if it.state.final:
            raise ConflictError(f"Session #{session_id} is {human(it.state.status)}; it takes no more messages.")
        for approval_id in list(it.state.approvals):
            _deny(it, actor, approval_id, "The person wrote a message instead.")
        it.append(e.MessageAdded(text=text, by=actor.username, component=it.state.agent))
        if it.state.status in AWAITING or it.state.status is Status.IDLE:
            it.move(Transition.RESUME, by=actor.username)
        await log.flush(it.connection, it.session)
        return await views.load(app, it.connection, session_id)


async def approve(
    app: App,
    actor: Actor,
    session_id: int,
    approval_id: str | None = None,
    *,
    for_session: bool = False,
    args: dict[str, JsonValue] | None = None,
) -> SessionView:
    """Says yes to an approval, or to the only open one; `args` replace those of its call, checked as the tool's own."""
    async with _steering(app, actor, session_id) as it:
        approval_id, call_ids = _open_approval(it, approval_id)
        if args is not None:
            if len(call_ids) != 1:
                raise InvalidInputError("Only the approval of a single call can change its arguments.")
            tool = CATALOGUE[it.state.calls[call_ids[0]].tool]
            tool.parse(args)
        it.append(
            e.ApprovalGranted(
                approval_id=approval_id, by=actor.username, door=actor.door, for_session=for_session, args=args
            )
        )
        _resume_if_answered(it, actor)
        await log.flush(it.connection, it.session)
        return await views.load(app, it.connection, session_id)


async def deny(
    app: App, actor: Actor, session_id: int, approval_id: str | None = None, *, reason: str = ""
) -> SessionView:
    """Says no to an approval, or to the only open one; the reason goes to the model."""
    async with _steering(app, actor, session_id) as it:
        approval_id, _ = _open_approval(it, approval_id)
        _deny(it, actor, approval_id, cut(clean(reason), limits.REASON_CHARACTERS))
        _resume_if_answered(it, actor)
        await log.flush(it.connection, it.session)
        return await views.load(app, it.connection, session_id)


def _open_approval(it: Change, approval_id: str | None) -> tuple[str, tuple[str, ...]]:
    pending = it.state.approvals
    if not pending:
        raise ConflictError(f"Session #{it.session.id} is {human(it.state.status)}; no approval is open in it.")
    if approval_id is None:
        if len(pending) > 1:
            raise InvalidInputError(f"{len(pending)} approvals are open; say which: {', '.join(pending)}.")
        approval_id = next(iter(pending))
    if approval_id not in pending:
        raise NotFoundError(f"No approval {approval_id} is open in session #{it.session.id}.")
    return approval_id, pending[approval_id].call_ids


def _deny(it: Change, actor: Actor, approval_id: str, reason: str) -> None:
    call_ids = it.state.approvals[approval_id].call_ids
    it.append(e.ApprovalDenied(approval_id=approval_id, by=actor.username, door=actor.door, reason=reason))
    said = f"{actor.username} did not allow this call." + (f" The reason: {reason}" if reason else "")
    for call_id in call_ids:
        it.append(finished_draft(call_id, it.state.calls[call_id], Outcome.DENIED, said))


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
        return await views.load(app, connection, session_id)


async def rename(app: App, actor: Actor, session_id: int, title: str) -> SessionView:
    """Gives the session another title."""
    title = line(clean(title), limits.TITLE_CHARACTERS)
    if not title:
        raise InvalidInputError("The title is empty.")
    async with _steering(app, actor, session_id) as it:
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


async def delete(app: App, actor: Actor, session_id: int) -> None:
    """Deletes the session and all of its content at once; what runs is stopped first. A tombstone stays."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.DELETE_SESSION)
        async with changing(app, connection, session_id) as it:
            if it.state.held:
                raise ConflictError(f"Session #{session_id} is held. Release it before you delete it.")
            if not it.state.final:
                it.move(Transition.STOP, reason=f"deleted by {actor.username}", by=actor.username)
        await _erase(connection, it.session, by=actor.username)


async def _erase(connection: AsyncConnection, session: log.Locked, *, by: str) -> None:
    subject = f"session:{session.id}"
    calls = select(offers.c.call_id).where(offers.c.subject == subject)
    await connection.execute(sql_delete(output_rows).where(output_rows.c.call_id.in_(calls)))
    await blobs.remove(connection, subject)
    for table in (event_batches, partials, usage, approvals, artifacts, pipeline_waits):
        await connection.execute(sql_delete(table).where(table.c.session_id == session.id))
    await connection.execute(sql_delete(offers).where(offers.c.subject == subject))
    await connection.execute(sql_delete(sessions).where(sessions.c.id == session.id))
    await connection.execute(
        insert(tombstones).values(
            session_id=session.id,
            project_id=session.project_id,
            created_at=session.state.created_at,
            deleted_by=by,
        )
    )
    await ring(connection, f"session:{session.id}")


async def events(
    app: App, actor: Actor, session_id: int, *, after: int = 0, limit: int = 1_000, level: Level = Level.FULL
) -> list[Event]:
    """The events behind `after`, those that a view of `level` shows."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        found = await log.read(connection, session_id, after=after, limit=min(max(limit, 1), 10_000))
    return [event for event in found if shown(event.level, level)]


def shown(level: Level, view: Level) -> bool:
    """Whether a view of level `view` shows an event of `level`."""
    order = list(Level)
    return order.index(level) <= order.index(view)


async def output(
    app: App, actor: Actor, session_id: int, call_id: str, *, offset: int = 0, limit: int = 1 << 20
) -> bytes:
    """A range of what a call of the session printed."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        owner = select(offers.c.session_id).where(offers.c.call_id == call_id)
        if (await connection.execute(owner)).scalar_one_or_none() != session_id:
            raise NotFoundError(f"There is no call {call_id} in session #{session_id}.")
        return await outputs.read(connection, call_id, offset, min(max(limit, 1), 1 << 22))


async def diff(app: App, actor: Actor, session_id: int, *, step: int | None = None) -> bytes:
    """What the session changed, as a unified diff: all of it, or one step's."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        taken = [
            event.payload
            for event in await log.read(connection, session_id, limit=1_000_000)
            if isinstance(event.payload, e.SnapshotTaken)
        ]
        if step is None:
            return await blobs.whole(connection, taken[-1].whole_diff_blob) if taken else b""
        for snapshot in taken:
            if snapshot.step == step:
                return await blobs.whole(connection, snapshot.step_diff_blob)
    raise NotFoundError(f"Session #{session_id} has no step {step}; it has {len(taken)}.")


async def merge_request_ended(
    connection: AsyncConnection, app: App, session_id: int, name: str, status: Literal["merged", "closed"]
) -> None:
    """The merge request that an idle session waited for was merged or closed: the session is finished."""
    try:
        async with changing(app, connection, session_id) as it:
            if it.state.open_merge_request != name:
                return
            it.append(e.MergeRequestEnded(name=name, status=status))
            if it.state.status is Status.IDLE:
                it.move(Transition.RESUME, reason=f"merge request {name} was {status}")
                it.move(Transition.FINISH, reason=f"merge request {name} was {status}")
    except NotFoundError:
        return


@asynccontextmanager
async def _steering(app: App, actor: Actor, session_id: int) -> AsyncIterator[Change]:
    async with app.database.transaction() as connection:
        await steer_check(connection, actor, session_id)
        async with changing(app, connection, session_id) as it:
            yield it
