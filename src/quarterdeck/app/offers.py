"""What an executor has to do: offers of free work, endings of its own, over one stream."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import case, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import calls, job_offers, mcp_calls, people, repositories
from quarterdeck.app import leases as lease
from quarterdeck.app.application import App
from quarterdeck.app.change import Change, changing
from quarterdeck.app.executors import Hands, own
from quarterdeck.app.leases import OPEN, Subject, finish_offer, subject_of
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.errors import InvalidInputError, NotFoundError, QuarterdeckError
from quarterdeck.core.mcp import is_mcp
from quarterdeck.core.state import CallStatus
from quarterdeck.store.tables import leases, offers, runners, tokens, users

Order = p.Offer | p.Cancel | p.Wipe


@dataclass
class _Line:
    """What one open stream has sent, so that each offer goes out once on it."""

    runner_id: int
    sent: set[str] = field(default_factory=set[str])
    cancelled: set[str] = field(default_factory=set[str])
    """Calls of which it was told that they are cancelled."""
    tokens: dict[str, str] = field(default_factory=dict[str, str])


async def stream(app: App, hands: Hands, runner_id: int) -> AsyncGenerator[list[Order]]:
    """What the runner has to do: at first all that is open, then what comes; an empty list keeps the line alive."""
    line = _Line(runner_id)
    async with app.database.transaction() as connection:
        await own(connection, hands, runner_id)
    with app.doorbell.listener(f"runner:{runner_id}", "runners:all") as listener:
        while True:
            found: list[Order] = await _endings(app, line)
            found += await _offers(app, line)
            if found:
                yield found
            elif not await listener.wait(p.KEEPALIVE_SECONDS):
                yield []


async def _endings(app: App, line: _Line) -> list[Order]:
    found: list[Order] = []
    async with app.database.transaction() as connection:
        rows = await connection.execute(select(leases).where(leases.c.runner_id == line.runner_id, leases.c.cancelled))
        for row in rows.all():
            if row.torn_down:
                found.append(p.Wipe(subject=row.subject))
                await connection.execute(delete(leases).where(leases.c.subject == row.subject))
            elif f"cancel {row.subject}" not in line.sent:
                line.sent.add(f"cancel {row.subject}")
                found.append(p.Cancel(subject=row.subject, lease_epoch=row.epoch))
        calls = await connection.execute(
            select(offers.c.call_id, offers.c.subject, leases.c.epoch)
            .join(leases, leases.c.subject == offers.c.subject)
            .where(offers.c.status == "cancelling", offers.c.call_id.not_in(line.cancelled))
            .where(leases.c.runner_id == line.runner_id, leases.c.cancelled.is_(False))
        )
        for row in calls.all():
            line.cancelled.add(row.call_id)
            found.append(p.Cancel(subject=row.subject, lease_epoch=row.epoch, call_id=row.call_id))
    return found


async def _offers(app: App, line: _Line) -> list[Order]:
    async with app.database.transaction() as connection:
        candidates = (
            await connection.execute(
                select(offers.c.call_id, offers.c.subject, offers.c.status, leases.c.runner_id)
                .select_from(offers)
                .join(runners, runners.c.id == line.runner_id)
                .outerjoin(leases, leases.c.subject == offers.c.subject)
                .where(offers.c.side == "executor", offers.c.status.in_(OPEN), offers.c.call_id.not_in(line.sent))
                .where((leases.c.runner_id == line.runner_id) | leases.c.runner_id.is_(None))
                # A pipeline job goes only to a runner that has all of its tags.
                .where(runners.c.tags.contains(func.coalesce(offers.c.args["tags"], text("'[]'::jsonb"))))
                .order_by(offers.c.created_at)
                .limit(200)
            )
        ).all()
        if not candidates:
            return []
        capacity = (
            await connection.execute(select(runners.c.capacity).where(runners.c.id == line.runner_id))
        ).scalar_one()
        busy = set(
            (
                await connection.execute(
                    select(offers.c.subject)
                    .join(leases, leases.c.subject == offers.c.subject)
                    .where(leases.c.runner_id == line.runner_id, offers.c.status.in_(("offered", "running")))
                )
            ).scalars()
        )
    found: list[Order] = []
    for candidate in candidates:
        if candidate.subject not in busy and len(busy) >= capacity and candidate.status == "waiting":
            continue
        offer = await _give(app, line, candidate.call_id, subject_of(candidate.subject))
        if offer is not None:
            busy.add(candidate.subject)
            line.sent.add(offer.call_id)
            found.append(offer)
    return found


async def _give(app: App, line: _Line, call_id: str, subject: Subject) -> p.Offer | None:
    """Leases the subject to the line's runner if nobody has it, and makes the offer; None when it went elsewhere."""
    async with app.database.transaction() as connection:
        if subject.kind == "job":
            return await _give_job(app, connection, line, call_id, subject)
        try:
            async with changing(app, connection, subject.id) as it:
                return await _give_call(app, it, line, call_id, subject)
        except NotFoundError:
            return None


async def _give_call(app: App, it: Change, line: _Line, call_id: str, subject: Subject) -> p.Offer | None:
    row = await _open_offer(it.connection, call_id)
    if row is None or it.state.final:
        return None
    mcp = None
    if is_mcp(row.tool) and (mcp := await _mcp(app, it, call_id)) is None:
        return None
    held = await lease.take(it.connection, line.runner_id, subject)
    if held is None:
        return None
    name = (await it.connection.execute(select(runners.c.name).where(runners.c.id == line.runner_id))).scalar_one()
    if held.fresh:
        it.append(e.ExecutorAttached(executor=name, executor_kind="runner", lease_epoch=held.epoch))
    created = it.state.created
    initiator = (await it.connection.execute(select(users).where(users.c.id == created.initiator_id))).one()
    if created.project_id is None:
        raise InvalidInputError(f"Session #{it.session.id} has no project, so there is no workspace to work in.")
    return p.Offer(
        call_id=call_id,
        subject=str(subject),
        turn_no=row.turn_no,
        lease_epoch=held.epoch,
        tool=row.tool,
        args=row.args,
        mcp=mcp,
        workspace=p.WorkspaceSpec(
            clone_path=await repositories.clone_path(it.connection, created.project_id),
            token=await _workspace_token(it.connection, line, subject, created.project_id),
            ref=created.ref,
            commit=created.commit,
            branch=created.branch,
            branch_commit=created.branch_commit,
            bundle_blob=it.state.bundle_blob,
            snapshot_commit=it.state.snapshot_commit,
            step=it.state.step,
            author="Quarterdeck",
            author_email="quarterdeck@localhost",
            committer=initiator.name or initiator.username,
            committer_email=initiator.email or f"{initiator.username}@localhost",
        ),
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
    app: App, connection: AsyncConnection, line: _Line, call_id: str, subject: Subject
) -> p.Offer | None:
    row = await _open_offer(connection, call_id)
    held = await lease.take(connection, line.runner_id, subject) if row is not None else None
    if row is None or held is None:
        return None
    offer = await job_offers.job_offer(connection, app, subject.id)
    return p.Offer(
        call_id=call_id,
        subject=str(subject),
        lease_epoch=held.epoch,
        tool=row.tool,
        args=row.args,
        job=offer.spec,
        workspace=p.WorkspaceSpec(
            clone_path=await repositories.clone_path(connection, offer.project_id),
            token=await _workspace_token(connection, line, subject, offer.project_id),
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


async def _workspace_token(connection: AsyncConnection, line: _Line, subject: Subject, project_id: int) -> str:
    if str(subject) not in line.tokens:
        await connection.execute(delete(tokens).where(tokens.c.kind == "workspace", tokens.c.subject == str(subject)))
        line.tokens[str(subject)] = await people.issue(
            connection, "workspace", project_id=project_id, subject=str(subject), lasts=timedelta(days=1)
        )
    return line.tokens[str(subject)]
