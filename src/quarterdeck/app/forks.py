"""Forks: a new session from an event of another, with its conversation and its workspace as of then."""

import secrets
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import attachments, budgets, repository_context, session_subjects, skills
from quarterdeck.app import session_views as views
from quarterdeck.app.access import Project, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.beginning import by_key, make
from quarterdeck.app.change import changing, redacted, settle
from quarterdeck.app.fork_history import copy_history
from quarterdeck.app.model_choice import Choice, Wish, again, choose
from quarterdeck.app.network import with_tools_told
from quarterdeck.app.session_access import may
from quarterdeck.app.session_views import SessionView
from quarterdeck.app.start_options import check_sight
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.budget import Budget
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError, SessionGoneError, TooLargeError
from quarterdeck.core.flow import Flow
from quarterdeck.core.fork import opening, renumbered
from quarterdeck.core.fork_events import ForkedFrom
from quarterdeck.core.state import EXTERNAL, SessionState
from quarterdeck.core.text import clean, line
from quarterdeck.store import log
from quarterdeck.store.tables import approvals, artifacts, documents, sessions


class ForkSession(BaseModel):
    """What a fork is made with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: int | None = Field(default=None, ge=1, le=2**63 - 1, description="From which event; the last if absent.")
    message: str = Field(
        default="",
        max_length=limits.MESSAGE_CHARACTERS,
        description="What it shall do; without one it goes on by itself, or rests if it is a chat that did.",
    )
    title: str | None = Field(default=None, max_length=limits.TITLE_CHARACTERS)
    model: str | None = Field(default=None, max_length=200, description="`provider:model`; the same if absent.")
    script: str | None = Field(
        default=None,
        description="The answers of a `scripted:` model, as YAML: those that the session has had already stand first.",
    )
    budget: Budget | None = Field(default=None, description="What it may use; as much as the other may if absent.")
    origin: Literal["api", "cli", "web"] = "api"


@dataclass(frozen=True)
class _Source:
    """The session that is forked."""

    id: int
    state: SessionState
    flow: Flow
    flow_text: str
    script: tuple[str, str] | None
    """What answers in a language model's place: its kind and its text."""


@with_tools_told
async def fork(
    app: App, actor: Actor, session_id: int, request: ForkSession, idempotency_key: str | None = None
) -> SessionView:
    """Makes a new session that goes on from an event of this one, which may have ended and is left as it is.

    The same `idempotency_key` of the same person answers the session that it made before.

    Raises:
        InvalidInputError: nothing would come of it, or the model or script can't be used, also for the files that
            the other was given or within the budget; says which and why.
        ConflictError: the snapshot or the commit that its workspace begins with is gone.
        TooLargeError: more would be copied than `limits` has.
    """
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        source = await _source(app, connection, session_id)
        created = source.state.created
        project = None
        if created.project_id is not None:
            project = await project_for(connection, actor, created.project_id, Ability.START_SESSION)
        if idempotency_key is not None:
            before = await by_key(connection, actor, idempotency_key)
            if before is not None:
                return await views.load(app, connection, before)
        fork_id = await _fork(app, connection, actor, project, source, request, idempotency_key)
        return await views.load(app, connection, fork_id)


async def _fork(
    app: App,
    connection: AsyncConnection,
    actor: Actor,
    project: Project | None,
    source: _Source,
    request: ForkSession,
    idempotency_key: str | None,
) -> int:
    seq = _seq(source, request)
    message = await _message(app, project, source, actor, request)
    choice = await _choice(app, connection, actor, project, source, request)
    created, number = await _created(app, connection, actor, project, source, request, seq, choice)
    await budgets.check(app, connection, created.budget, choice.models)
    files = await attachments.copy(connection, source.id, number, created.attachments)
    created = created.model_copy(update={"attachments": renumbered(created.attachments, files)})
    session = await make(
        app, connection, created, flow_text=source.flow_text, choice=choice, idempotency_key=idempotency_key,
        session_id=number,
    )  # fmt: skip
    through = await copy_history(connection, source.id, session, seq, files)
    if files:
        given = await attachments.given(connection, session.id)
        check_sight(app, choice.models, given)
        at_start = {one.id for one in created.attachments}
        attachments.check_room((one for one in given if one.id in at_start), choice.room)
    # A copied question that waits no more was never answered; where it is still open it is put again.
    unanswered = approvals.c.session_id == session.id, approvals.c.decision.is_(None)
    await connection.execute(delete(approvals).where(*unanswered))
    place = ForkedFrom(session=source.id, seq=through)
    elsewhere = source.state.elsewhere
    for payload in opening(source.flow, session.state, place, message, door=actor.door, elsewhere=elsewhere):
        level = None
        if isinstance(payload, e.ToolCallFinished):
            level = session.state.calls[payload.call_id].end_level(payload.outcome)
        log.append(session, redacted(app.redactor, log.Draft(payload, level)))
    log.append(session, _link(app, "forked_from", source.id))
    await log.flush(connection, session)
    await session_subjects.keep_same(connection, session.id, source_id=source.id)
    await settle(app, connection, session, before=None, wanted=False)
    # The last, so that nobody waits for the copying; a source that was deleted meanwhile is not found any more.
    async with changing(app, connection, source.id) as it:
        it.append(_link(app, "fork", session.id))
    if created.project_id is not None and created.branch_commit:
        await app.forge.start_branch(created.project_id, created.branch, created.branch_commit)
    return session.id


def _link(app: App, relation: Literal["forked_from", "fork"], session_id: int) -> e.LinkAdded:
    url = f"{app.public_url}/sessions/{session_id}"
    return e.LinkAdded(relation=relation, target="session", name=f"#{session_id}", url=url)


async def _source(app: App, connection: AsyncConnection, session_id: int) -> _Source:
    row = (
        await connection.execute(
            select(sessions.c.state, sessions.c.flow_hash, sessions.c.script_hash).where(sessions.c.id == session_id)
        )
    ).one_or_none()
    if row is None:
        raise SessionGoneError(f"There is no session #{session_id}.")
    wanted = [digest for digest in (row.flow_hash, row.script_hash) if digest is not None]
    found = await connection.execute(select(documents).where(documents.c.hash.in_(wanted)))
    texts = {one.hash: (one.kind, one.text) for one in found}
    flow_text = texts[row.flow_hash][1]
    script = texts[row.script_hash] if row.script_hash is not None else None
    state = SessionState.model_validate(row.state)
    return _Source(session_id, state, app.flows.pinned(flow_text), flow_text, script)


def _seq(source: _Source, request: ForkSession) -> int:
    seq, last = request.seq or source.state.seq, source.state.seq
    if seq > last:
        raise InvalidInputError(f"Session #{source.id} has no event {seq}; its last is {last}.")
    if seq > limits.FORK_EVENTS:
        raise TooLargeError(
            f"A fork may begin with {limits.FORK_EVENTS:,} events of another session. Fork #{source.id} from an "
            "earlier one."
        )
    return seq


async def _message(
    app: App, project: Project | None, source: _Source, actor: Actor, request: ForkSession
) -> e.MessageAdded | None:
    text = clean(request.message).strip()
    if text and project is not None:
        text = await skills.with_skill(app, project.id, source.state.created.commit, text)
    return e.MessageAdded(text=text, by=actor.username) if text else None


async def _choice(
    app: App,
    connection: AsyncConnection,
    actor: Actor,
    project: Project | None,
    source: _Source,
    request: ForkSession,
) -> Choice:
    """The same model, unless another is asked for; work from elsewhere goes on with what a new session would have."""
    created = source.state.created
    if source.state.elsewhere or created.model == EXTERNAL:  # the latter came by a file
        wish = Wish(request.model, request.script, None, created.flow)
        return await choose(app, connection, actor, project.id if project else None, source.flow, wish)
    if request.model is None and request.script is None:
        if source.script is None:
            return await again(app, connection, created, source.flow)
        kind, text = source.script
        return Choice(created.model, text, "replay" if kind == "replay" else "script")
    shipped = source.script[1] if source.script is not None and source.script[0] == "script" else None
    wish = Wish(request.model or created.model, request.script, shipped, created.flow)
    return await choose(app, connection, actor, project.id if project else None, source.flow, wish)


async def _created(
    app: App,
    connection: AsyncConnection,
    actor: Actor,
    project: Project | None,
    source: _Source,
    request: ForkSession,
    seq: int,
    choice: Choice,
) -> tuple[e.SessionCreated, int]:
    """The fork's first event, and its number: for the same and with the same, but for who, where and by which model."""
    before = source.state.created
    pushed = await _pushed(app, connection, source, seq) if project is not None else ""
    branch = f"{before.branch.rpartition('-')[0]}-{secrets.token_hex(4)}" if before.branch else ""
    try:
        around = await repository_context.renewed(app, connection, actor, project, before, branch=branch)
    except NotFoundError:
        raise ConflictError(
            f"The commit {before.commit[:12]} that session #{source.id} started from is gone from its repository, so "
            "its workspace can't be made again."
        ) from None
    title = app.redactor.text(clean(request.title or "")) or source.state.title
    always_ask = project.always_ask if project else ()
    created = before.model_copy(
        update={
            "title": line(title, limits.TITLE_CHARACTERS),
            "model": choice.model,
            "scripted": choice.document is not None,
            "component_models": choice.component_models,
            "context_tokens": choice.context_tokens,
            "initiator_id": actor.user_id,
            "initiator": actor.username,
            # What is private stays private.
            "origin": before.origin if before.origin in ("chat", "ide") else request.origin,
            "branch": branch,
            "branch_commit": pushed,
            "inputs": around.inputs,
            "facts": around.facts,
            "agent_config": around.agent_config,
            "retention_days": project.retention_days if project else limits.RETENTION_DAYS,
            "always_ask": always_ask,
            "pre_approved": tuple(one for one in before.pre_approved if one not in always_ask),
            "parent_id": None,
            "triggered": None,
            # What a file says is allowed, nobody here has allowed.
            **({"pre_approved": (), "pre_approved_patterns": {}, "runner_tags": ()} if source.state.imported else {}),
            "budget": request.budget or source.state.budget,
            "forked_from": ForkedFrom(session=source.id, seq=seq),
        }
    )
    return created, around.session_id


async def _pushed(app: App, connection: AsyncConnection, source: _Source, seq: int) -> str:
    """The newest commit that the source had pushed by then, so that what comes behind it in the flow finds it.

    Empty when there is none, or when it is gone with its branch: its changes are in the workspace all the same.
    """
    mine = artifacts.c.session_id == source.id, artifacts.c.kind == "commit", artifacts.c.seq <= seq
    newest = select(artifacts.c.name).where(*mine).order_by(artifacts.c.seq.desc()).limit(1)
    created = source.state.created
    commit = (await connection.execute(newest)).scalar_one_or_none() or created.branch_commit
    if not commit or created.project_id is None:
        return ""
    try:
        return await app.forge.commit_of(created.project_id, commit)
    except NotFoundError:
        return ""
