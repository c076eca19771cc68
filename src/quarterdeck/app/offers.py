"""What an executor has to do: offers of free work, endings of its own, over one stream."""

import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Row,
    Select,
    Text,
    all_,
    any_,
    bindparam,
    case,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import calls, job_offers, mcp_calls, people, repositories
from quarterdeck.app import leases as lease
from quarterdeck.app.application import App
from quarterdeck.app.change import Change, changing
from quarterdeck.app.executors import Hands, own
from quarterdeck.app.leases import OPEN, Subject, finish_offer, subject_of
from quarterdeck.app.runner_choice import suits
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.errors import InvalidInputError, NotFoundError, QuarterdeckError
from quarterdeck.core.mcp import is_mcp
from quarterdeck.core.session_limits import ProjectLimits
from quarterdeck.core.state import CallStatus
from quarterdeck.store import clock
from quarterdeck.store.tables import leases, offers, projects, runners, sessions, tokens, users

Order = p.Offer | p.Cancel | p.Wipe | p.Drained
_DRAIN_SECONDS = 1
"""How often one that drains is looked at: no bell tells that a call has ended."""


AT_ONCE = 200
"""So many offers are looked at together."""
TOKEN_LASTS = timedelta(days=1)


_RUNNER = bindparam("runner", type_=BigInteger)
_KNOWN = bindparam("known", type_=ARRAY(Text))
"""Calls as one array, so that the statement stays the same however many they are."""


def _endings_of() -> Select[*tuple[Any, ...]]:
    """The runner's leases that have ended, and each of its calls that is cancelled alone and not known to be."""
    cancelling = (offers.c.subject == leases.c.subject) & (offers.c.status == "cancelling")
    return (
        select(leases, offers.c.call_id)
        .outerjoin(offers, cancelling & (offers.c.call_id != all_(_KNOWN)))
        .where(leases.c.runner_id == _RUNNER, leases.c.cancelled | offers.c.call_id.is_not(None))
    )


def _candidates() -> Select[*tuple[Any, ...]]:
    """The open calls that the runner may be given, each with what it is told of them that no change of them can move.

    The subjects that it is busy with, and how many they may be, stand in each row.
    """
    working = offers.alias("working")
    holding = leases.alias("holding")
    busy = (
        select(func.array_agg(working.c.subject))
        .join(holding, holding.c.subject == working.c.subject)
        .where(holding.c.runner_id == _RUNNER, working.c.status.in_(("offered", "running")))
        .scalar_subquery()
    )
    return (
        select(
            offers.c.call_id, offers.c.subject, offers.c.status, runners.c.name.label("runner"), runners.c.capacity,
            runners.c.kind, users.c.name, users.c.username, users.c.email, projects.c.path, projects.c.limits,
            projects.c.created_at.label("project_made"), busy.label("busy"),
        )
        .select_from(offers)
        .join(runners, runners.c.id == _RUNNER)
        .outerjoin(leases, leases.c.subject == offers.c.subject)
        .outerjoin(sessions, sessions.c.id == offers.c.session_id)
        .outerjoin(users, users.c.id == sessions.c.initiator_id)
        .outerjoin(projects, projects.c.id == sessions.c.project_id)
        .where(offers.c.side == "executor", offers.c.status.in_(OPEN), offers.c.call_id != all_(_KNOWN))
        .where(
            # A paused runner goes on with what it has, a draining one only with the calls that it has.
            (leases.c.runner_id == _RUNNER) & ((runners.c.state != "draining") | (offers.c.status != "waiting"))
            | leases.c.runner_id.is_(None) & (runners.c.state == "active")
        )
        .where(suits(runners.c, sessions.c.project_id, projects.c.runner_tags, sessions.c.executor_id))
        .order_by(offers.c.created_at)
        .limit(AT_ONCE)
    )  # fmt: skip


# Made once: they are asked with every call of every session.
_ENDINGS, _CANDIDATES = _endings_of(), _candidates()


@dataclass
class _Line:
    """What one open stream has sent, so that each offer goes out once on it."""

    runner_id: int
    sent: set[str] = field(default_factory=set[str])
    ended: set[str] = field(default_factory=set[str])
    """Subjects of which it was told that they have ended, until they are torn down."""
    cancelled: set[str] = field(default_factory=set[str])
    """Calls of which it was told that they are cancelled."""
    tokens: dict[str, tuple[str, datetime]] = field(default_factory=dict[str, tuple[str, datetime]])
    """Of each session the workspace's, and until when it is given."""


async def stream(app: App, hands: Hands, runner_id: int) -> AsyncGenerator[list[Order]]:
    """What the runner has to do: at first all that is open, then what comes; an empty list keeps the line alive."""
    line, mine = _Line(runner_id), f"runner:{runner_id}"
    async with app.database.transaction() as connection:
        await own(connection, hands, runner_id)
    changed, draining = lease.state_bell(runner_id), False
    with app.doorbell.listener(mine, changed, "runners:all") as listener:
        rung: dict[str, int] | None = None
        while True:
            told = False
            if not rung or changed in rung:
                if (state := await _state(app, hands, runner_id)) is None:
                    return  # removed: its next hello is told so
                draining = state == "draining"
            if draining and await lease.hand_over(app, runner_id):
                yield [p.Drained()]
                return
            # A bell for all tells of new work only. What has ended goes out before new work is looked for.
            if (not rung or mine in rung) and (endings := await _endings(app, line)):
                told = True
                yield endings
            while given := await _offers(app, line):
                told = True
                yield given
                if len(given) < AT_ONCE:
                    break
            if rung == {} and not told:
                yield []
            rung = await listener.wait(_DRAIN_SECONDS if draining else p.KEEPALIVE_SECONDS)


async def _state(app: App, hands: Hands, runner_id: int) -> str | None:
    """Whether the runner is paused or drained; None when it or its token is gone."""
    async with app.database.transaction() as connection:
        mine = select(runners.c.state).join(tokens, tokens.c.runner_id == runners.c.id)
        row = await connection.execute(mine.where(tokens.c.id == hands.token_id, runners.c.id == runner_id))
        return row.scalar_one_or_none()


async def _endings(app: App, line: _Line) -> list[Order]:
    found: list[Order] = []
    async with app.database.transaction() as connection:
        rows = await connection.execute(_ENDINGS, {"runner": line.runner_id, "known": list(line.cancelled)})
        known, line.ended = line.ended, set()
        for row in rows.all():
            if row.cancelled:
                line.tokens.pop(row.subject, None)
            if row.torn_down:
                found.append(p.Wipe(subject=row.subject))
                await connection.execute(delete(leases).where(leases.c.subject == row.subject))
            elif row.cancelled:
                if row.subject not in known and row.subject not in line.ended:
                    found.append(p.Cancel(subject=row.subject, lease_epoch=row.epoch))
                line.ended.add(row.subject)
            else:
                line.cancelled.add(row.call_id)
                found.append(p.Cancel(subject=row.subject, lease_epoch=row.epoch, call_id=row.call_id))
    return found


async def _offers(app: App, line: _Line) -> list[Order]:
    async with app.database.transaction() as connection:
        asked = {"runner": line.runner_id, "known": list(line.sent)}
        candidates = (await connection.execute(_CANDIDATES, asked)).all()
        if len(line.sent) + len(line.cancelled) > 2 * AT_ONCE:
            await _forget_ended(connection, line)
    found: list[Order] = []
    busy = set[str](candidates[0].busy or ()) if candidates else set[str]()
    for candidate in candidates:
        if candidate.subject not in busy and len(busy) >= candidate.capacity and candidate.status == "waiting":
            continue
        offer = await _give(app, line, candidate)
        if offer is not None:
            busy.add(candidate.subject)
            line.sent.add(offer.call_id)
            found.append(offer)
    return found


async def _forget_ended(connection: AsyncConnection, line: _Line) -> None:
    """Calls that have ended are no candidates any more: a line that stays open for weeks keeps the others alone."""
    known = literal(list(line.sent | line.cancelled), ARRAY(Text))
    rows = await connection.execute(
        select(offers.c.call_id).where(offers.c.call_id == any_(known), offers.c.status.in_((*OPEN, "cancelling")))
    )
    still = set(rows.scalars())
    line.sent &= still
    line.cancelled &= still


async def _give(app: App, line: _Line, candidate: Row[Any]) -> p.Offer | None:
    """Leases the subject to the line's runner if nobody has it, and makes the offer; None when it went elsewhere."""
    subject = subject_of(candidate.subject)
    try:
        async with app.database.transaction() as connection:
            if subject.kind == "job":
                return await _give_job(app, connection, line, candidate, subject)
            async with changing(app, connection, subject.id) as it:
                return await _give_call(app, it, line, candidate, subject)
    except (NotFoundError, _ElsewhereError):
        return None


class _ElsewhereError(Exception):
    """Another runner has the subject by now. All is undone: what became of the call since we looked is that one's."""


async def _give_call(app: App, it: Change, line: _Line, candidate: Row[Any], subject: Subject) -> p.Offer | None:
    call_id: str = candidate.call_id
    row = await _open_offer(it.connection, call_id)
    if row is None or it.state.final:
        return None
    mcp = None
    if is_mcp(row.tool) and (mcp := await _mcp(app, it, call_id)) is None:
        return None
    held = await lease.take(it.connection, line.runner_id, subject)
    if held is None:
        raise _ElsewhereError
    if held.fresh:
        it.append(e.ExecutorAttached(executor=candidate.runner, executor_kind=candidate.kind, lease_epoch=held.epoch))
    created = it.state.created
    if created.project_id is None:
        raise InvalidInputError(f"Session #{it.session.id} has no project, so there is no workspace to work in.")
    author = created.triggered.account if created.triggered else "Quarterdeck"
    return p.Offer(
        call_id=call_id,
        subject=str(subject),
        turn_no=row.turn_no,
        lease_epoch=held.epoch,
        tool=row.tool,
        args=row.args,
        mcp=mcp,
        limits=ProjectLimits.model_validate(candidate.limits),
        used=it.state.used,
        workspace=p.WorkspaceSpec(
            clone_path=repositories.git_path(candidate.path),
            token=await _workspace_token(it.connection, line, subject, created.project_id, fresh=held.fresh),
            ref=created.ref,
            commit=created.commit,
            branch=created.branch,
            branch_commit=created.branch_commit,
            bundle_blob=it.state.bundle_blob,
            snapshot_commit=it.state.snapshot_commit,
            step=it.state.step,
            start_commit=it.state.start_commit,
            author=author,
            author_email=f"{author.lower()}@localhost",
            committer=candidate.name or candidate.username,
            committer_email=candidate.email or f"{candidate.username}@localhost",
            setup_script=created.agent_config.setup_script if created.agent_config else (),
            network=created.agent_config.network if created.agent_config else None,
            cache=_cache(it, candidate),
        ),
    )


def _cache(it: Change, candidate: Row[Any]) -> p.CacheSpec | None:
    """What of the setup is kept; only of a workspace that stands at the default branch, before anything ran in it."""
    created = it.state.created
    config = created.agent_config
    if config is None or config.cache is None:
        return None
    place = f"{created.project_id} {candidate.project_made.timestamp()}"
    return p.CacheSpec(
        scope=hashlib.sha256(place.encode()).hexdigest()[:32],
        key=config.cache.key,
        files=config.cache.files,
        paths=config.cache.paths,
        save=created.commit == config.commit and not it.state.snapshot_commit,
    )


async def _mcp(app: App, it: Change, call_id: str) -> p.McpSpec | None:
    """What is started for the call; None when its server may not be used any more, and the call has ended with that."""
    call = it.state.calls.get(call_id)
    if call is None:
        return None
    try:
        return await mcp_calls.spec(app, it, call)
    except QuarterdeckError as error:
        if call.status is CallStatus.RUNNING:  # its executor is told of it again, and answers from its journal
            return p.McpSpec(server=call.tool, command=())
        it.append(calls.finished(call_id, call, e.Outcome.ERROR, error.message))
        await finish_offer(it.connection, call_id)
        return None


async def _give_job(
    app: App, connection: AsyncConnection, line: _Line, candidate: Row[Any], subject: Subject
) -> p.Offer | None:
    call_id: str = candidate.call_id
    row = await _open_offer(connection, call_id)
    if row is None:
        return None
    held = await lease.take(connection, line.runner_id, subject)
    if held is None:
        raise _ElsewhereError
    offer = await job_offers.job_offer(connection, app, subject.id)
    return p.Offer(
        call_id=call_id,
        subject=str(subject),
        lease_epoch=held.epoch,
        tool=row.tool,
        args=row.args,
        job=offer.spec,
        limits=offer.limits,
        workspace=p.WorkspaceSpec(
            clone_path=await repositories.clone_path(connection, offer.project_id),
            token=await _workspace_token(connection, line, subject, offer.project_id, fresh=held.fresh),
            ref=offer.ref,
            commit=offer.sha,
            branch="",
            author="Quarterdeck",
            author_email="quarterdeck@localhost",
            committer="Quarterdeck",
            committer_email="quarterdeck@localhost",
        ),
    )


async def _open_offer(connection: AsyncConnection, call_id: str):
    """The offer, marked as offered; None when it has ended."""
    return (
        await connection.execute(
            update(offers)
            .where(offers.c.call_id == call_id, offers.c.status.in_(OPEN))
            .values(status=case((offers.c.status == "waiting", "offered"), else_=offers.c.status))
            .returning(offers.c.turn_no, offers.c.tool, offers.c.args)
        )
    ).one_or_none()


async def _workspace_token(
    connection: AsyncConnection, line: _Line, subject: Subject, project_id: int, *, fresh: bool
) -> str:
    """The one that the line has for the subject; another one when it grows old, and for a lease that is `fresh`."""
    now = clock.now()
    known, until = line.tokens.get(str(subject), ("", now)) if not fresh else ("", now)
    if now < until:
        return known
    # Under the same lease what was given before may still be fetched with: by a call that hasn't heard of another one.
    if fresh:
        await connection.execute(delete(tokens).where(tokens.c.kind == "workspace", tokens.c.subject == str(subject)))
    secret = await people.issue(connection, "workspace", project_id=project_id, subject=str(subject), lasts=TOKEN_LASTS)
    if subject.kind == "session":  # a job is offered once
        line.tokens[str(subject)] = (secret, now + TOKEN_LASTS / 2)
    return secret
