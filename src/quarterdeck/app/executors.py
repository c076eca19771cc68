"""The server's side of the executor protocol (`core/protocol.py`): who speaks, and what they report."""

import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import JsonValue
from sqlalchemy import BigInteger, Select, Text, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import job_offers, leftovers, mcp_calls, people, pipeline_jobs, pipelines
from quarterdeck.app.access import project_for
from quarterdeck.app.application import App
from quarterdeck.app.change import Change, changing
from quarterdeck.app.forge_wants import want
from quarterdeck.app.leases import Subject, fence, fenced, finish_offer, in_time, release, sent, subject_of
from quarterdeck.app.session_access import initiator
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core import protocol as p
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import (
    ConflictError,
    FencedError,
    InvalidInputError,
    NotFoundError,
    QuarterdeckError,
    SessionGoneError,
    TooLargeError,
    UnauthenticatedError,
)
from quarterdeck.core.session_limits import Used
from quarterdeck.core.state import Call, CallStatus
from quarterdeck.core.text import clean, cut, line
from quarterdeck.store import blobs, log
from quarterdeck.store import output as outputs
from quarterdeck.store.doorbell import ring
from quarterdeck.store.presence import present
from quarterdeck.store.tables import blobs as blob_rows
from quarterdeck.store.tables import leases, offers, runners, tokens

NO_TOKEN = "This is no token of a runner."  # noqa: S105 - a sentence


class OutputGapError(ConflictError):
    """Bytes before this chunk are missing."""

    code = "output_gap"

    def __init__(self, expected: int) -> None:
        super().__init__(f"The chunk begins behind what is here; send from {expected}.")
        self.expected = expected


@dataclass(frozen=True)
class Hands:
    """An executor that has shown its token."""

    token_id: int


async def authenticate(app: App, secret: str) -> Hands:
    """The executor behind a runner token. Raises UnauthenticatedError.

    A token that was known once is not looked for again: whatever the executor asks for is done only if the token is
    there in that transaction.
    """
    digest = people.digest(secret)
    if digest in app.hands:
        return Hands(app.hands[digest])
    async with app.database.transaction() as connection:
        token_id = (
            await connection.execute(select(tokens.c.id).where(tokens.c.hash == digest, tokens.c.kind == "runner"))
        ).scalar_one_or_none()
    if token_id is None:
        raise UnauthenticatedError(NO_TOKEN)
    app.hands[digest] = token_id
    return Hands(token_id)


async def renew(connection: AsyncConnection, runner_id: int) -> None:
    """The runner was heard of: its leases go on."""
    # One that somebody else changes now is left to the next time: who ends several may hold another that comes here.
    mine = select(leases.c.subject).where(leases.c.runner_id == runner_id).with_for_update(skip_locked=True)
    await connection.execute(update(leases).where(leases.c.subject.in_(mine)).values(expires_at=in_time()))
    await connection.execute(update(runners).where(runners.c.id == runner_id).values(last_contact=func.now()))


async def heartbeat(app: App, hands: Hands, said: p.Heartbeat) -> p.HeartbeatAnswer:
    """Renews the runner's leases and names those that it has lost."""
    async with app.database.transaction() as connection:
        await own(connection, hands, said.runner)
        await renew(connection, said.runner)
        rows = await connection.execute(
            select(leases.c.subject, leases.c.epoch).where(leases.c.runner_id == said.runner)
        )
        mine = {row.subject: row.epoch for row in rows}
    return p.HeartbeatAnswer(
        lost=tuple(held.subject for held in said.held if mine.get(held.subject) != held.lease_epoch)
    )


async def own(connection: AsyncConnection, hands: Hands, runner_id: int) -> None:
    """Raises NotFoundError unless the runner has said hello with this token."""
    mine = select(tokens.c.runner_id).where(tokens.c.id == hands.token_id)
    if (await connection.execute(mine)).scalar_one_or_none() != runner_id:
        raise NotFoundError(f"There is no runner {runner_id} of this token; say hello first.")


def _holder() -> Select[str, int, str]:
    holder = leases.join(runners, runners.c.id == leases.c.runner_id).join(
        tokens, (tokens.c.runner_id == runners.c.id) & (tokens.c.id == bindparam("token", type_=BigInteger))
    )
    return (
        select(offers.c.subject, leases.c.epoch, runners.c.name)
        .select_from(offers.outerjoin(holder, leases.c.subject == offers.c.subject))
        .where(offers.c.call_id == bindparam("call", type_=Text))
    )


_HELD = _holder()


async def _held(connection: AsyncConnection, hands: Hands, call_id: str, epoch: int) -> tuple[Subject, str]:
    """The subject of the call and the name of the reporting runner, if it has the subject's lease.

    Raises:
        NotFoundError: there is no such call.
        FencedError: the lease is another's, or nobody's.
    """
    row = (await connection.execute(_HELD, {"call": call_id, "token": hands.token_id})).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no call {call_id}.")
    subject = subject_of(row.subject)
    if row.epoch != epoch:
        raise fenced(subject, epoch)
    return subject, row.name


async def _running(connection: AsyncConnection, call_id: str) -> None:
    await connection.execute(
        update(offers)
        .where(offers.c.call_id == call_id, offers.c.status == "offered")
        .values(status="running", started_at=func.now())
    )


async def started(app: App, hands: Hands, call_id: str, said: p.Started) -> None:
    """The call began."""
    async with app.database.transaction() as connection:
        subject, name = await _held(connection, hands, call_id, said.lease_epoch)
        if subject.kind == "job":
            await pipeline_jobs.job_started(connection, app, subject.id)
            await _running(connection, call_id)
            return
        async with changing(app, connection, subject.id) as it:
            call = it.state.calls.get(call_id)
            if call is not None and call.status is CallStatus.OFFERED:
                it.append(log.Draft(e.ToolCallStarted(call_id=call_id, executor=name), call.level))
                await _running(connection, call_id)


async def output(app: App, hands: Hands, call_id: str, epoch: int, offset: int, data: bytes) -> p.OutputAnswer:
    """Takes a chunk of output. Raises OutputGapError when bytes before it are missing."""
    async with app.database.transaction() as connection:
        subject, _ = await _held(connection, hands, call_id, epoch)
        size = await outputs.write(connection, str(subject), call_id, offset, data)
        if size is None:
            known = select(offers.c.output_bytes).where(offers.c.call_id == call_id)
            raise OutputGapError((await connection.execute(known)).scalar_one())
        return p.OutputAnswer(next_offset=size)


async def result(app: App, hands: Hands, call_id: str, said: p.Result) -> None:
    """Takes a call's end; the same result again comes to the same."""
    async with app.database.transaction() as connection:
        subject, name = await _held(connection, hands, call_id, said.lease_epoch)
        if subject.kind == "job":
            # It ends the offer itself: the pipeline is always locked before the offers of its jobs.
            if await pipeline_jobs.job_finished(connection, app, subject.id, said):
                await release(connection, subject)
            return
        async with changing(app, connection, subject.id) as it:
            call = it.state.calls.get(call_id)
            if call is None or call.status not in (CallStatus.OFFERED, CallStatus.RUNNING):
                await _late(it, subject, call_id, said)
                return
            await _own_blobs(connection, subject, said.snapshot)
            if said.begun and call.status is CallStatus.OFFERED:
                it.append(log.Draft(e.ToolCallStarted(call_id=call_id, executor=name), call.level))
            if call.listing and said.outcome is e.Outcome.OK:
                said = await _pin(it, call, said)
            if said.outcome is e.Outcome.INTERRUPTED:
                said = said.model_copy(update={"used": await _at_least(it, call_id, said.used)})
            it.append(*_around(call_id, said), *_result_drafts(it, call_id, said))
            await finish_offer(connection, call_id)


async def _at_least(it: Change, call_id: str, said: Used | None) -> Used:
    """What an interrupted call took: a runner that was killed while it had it doesn't know how long that was."""
    if said is not None and said.ms:
        return said
    known = (await sent(it)).get(call_id, Used())
    return Used(ms=known.ms, output=max(known.output, said.output if said else 0))


async def _late(it: Change, subject: Subject, call_id: str, said: p.Result) -> None:
    """The result of a call that was cancelled alone: what it changed before it was killed is in the workspace."""
    ended = await it.connection.execute(
        update(offers)
        .where(offers.c.call_id == call_id, offers.c.status == "cancelling")
        .values(status="cancelled")
        .returning(offers.c.call_id)
    )
    if ended.one_or_none() is None or it.state.final:
        return
    if said.snapshot is not None and said.snapshot.step > it.state.step:
        await _own_blobs(it.connection, subject, said.snapshot)
        it.append(e.SnapshotTaken(call_id=call_id, **said.snapshot.model_dump()))


async def _pin(it: Change, call: Call, said: p.Result) -> p.Result:
    """Pins what an MCP server told the executor: looked at again, because an executor is not the server."""
    raw: list[JsonValue] = [
        {
            "name": tool.remote,
            "description": tool.description,
            "inputSchema": tool.form,
            "annotations": {"readOnlyHint": tool.read_only},
        }
        for tool in said.mcp_tools
    ]
    try:
        pin = await mcp_calls.pinned(it, call, raw, said.mcp_left_out)
    except QuarterdeckError as error:
        return said.model_copy(update={"outcome": e.Outcome.ERROR, "text": error.message})
    it.append(pin)
    return said.model_copy(update={"text": mcp_calls.told(pin)})


async def _own_blobs(connection: AsyncConnection, subject: Subject, snapshot: p.SnapshotReport | None) -> None:
    """Raises InvalidInputError when a snapshot is of bytes that were not kept for its subject."""
    if snapshot is None:
        return
    named = {snapshot.bundle_blob, snapshot.step_diff_blob, snapshot.whole_diff_blob}
    mine = await connection.execute(
        select(blob_rows.c.id).where(blob_rows.c.id.in_(named), blob_rows.c.subject == str(subject))
    )
    if named - set(mine.scalars()):
        raise InvalidInputError(f"The snapshot names bytes that are not of {subject}.")


def _around(call_id: str, said: p.Result) -> list[log.Draft | e.AnyPayload]:
    """What is told with a call: the setup of its workspace, and the hosts that it was refused."""
    told: list[log.Draft | e.AnyPayload] = []
    if said.setup is not None:
        level = e.Level.CONCISE if said.setup.outcome is e.Outcome.OK else e.Level.RESULT
        text = cut(clean(said.setup.text), limits.RESULT_CHARACTERS)
        ended = said.setup.model_copy(update={"text": text})
        told.append(log.Draft(e.SetupFinished.model_validate(ended.model_dump()), level))
    for one in said.refused[: limits.REFUSALS]:
        host, reason = line(clean(one.host), 300), line(clean(one.reason), 300)
        told.append(e.NetworkRefused(host=host, port=one.port, reason=reason, count=one.count, call_id=call_id))
    return told


def _result_drafts(it: Change, call_id: str, said: p.Result) -> list[log.Draft | e.AnyPayload]:
    drafts: list[log.Draft | e.AnyPayload] = []
    call = it.state.calls[call_id]
    if said.snapshot is not None and said.snapshot.step > it.state.step:
        drafts.append(e.SnapshotTaken(call_id=call_id, **said.snapshot.model_dump()))
    drafts.append(
        log.Draft(
            e.ToolCallFinished(
                call_id=call_id,
                tool=call.tool,
                outcome=said.outcome,
                text=cut(clean(said.text), limits.RESULT_CHARACTERS),
                exit_code=said.exit_code,
                duration_ms=said.duration_ms,
                output_bytes=said.output_bytes,
                output_sha256=said.output_sha256,
                truncated=said.truncated,
                # An executor of the version before doesn't say what commands took.
                used=said.used or Used(ms=max(0, said.duration_ms), output=max(0, said.output_bytes)),
                limit=said.limit,
            ),
            call.end_level(said.outcome),
        )
    )
    return drafts


async def prepared(app: App, hands: Hands, subject_text: str, said: p.Prepared) -> None:
    """The workspace is there."""
    subject = subject_of(subject_text)
    async with app.database.transaction() as connection:
        name = await fence(connection, hands.token_id, subject, said.lease_epoch)
        if subject.kind == "session":
            async with changing(app, connection, subject.id) as it:
                if not it.state.final and (it.state.base_commit != said.base_commit or not it.state.isolation):
                    it.append(
                        e.WorkspacePrepared(
                            executor=name,
                            base_commit=said.base_commit,
                            isolation=said.isolation,
                            duration_ms=said.duration_ms,
                            notes=tuple(clean(note)[: limits.REASON_CHARACTERS] for note in said.notes[:10]),
                        )
                    )
                if said.start is not None and not it.state.final and it.state.editor and not it.state.snapshot_commit:
                    await _own_blobs(connection, subject, said.start)
                    it.append(log.Draft(e.SnapshotTaken(call_id="", **said.start.model_dump()), e.Level.FULL))


async def teardown(app: App, hands: Hands, subject_text: str, said: p.Teardown) -> None:
    """The proof that nothing of an ended subject runs any more."""
    subject = subject_of(subject_text)
    async with app.database.transaction() as connection:
        name = await fence(connection, hands.token_id, subject, said.lease_epoch)
        if subject.kind == "session":
            try:
                async with changing(app, connection, subject.id) as it:
                    if it.state.final and not it.state.torn_down:
                        it.append(
                            e.WorkspaceTornDown(
                                executor=name,
                                killed=said.killed,
                                left=said.left,
                                duration_ms=said.duration_ms,
                                method=said.method,
                            )
                        )
            except NotFoundError:
                pass  # deleted in the meantime; the lease is ended all the same
        runner_id = (
            await connection.execute(
                update(leases)
                .where(leases.c.subject == str(subject), leases.c.cancelled)
                .values(torn_down=True)
                .returning(leases.c.runner_id)
            )
        ).scalar_one_or_none()
        if runner_id is not None:
            await ring(connection, f"runner:{runner_id}")
            await ring(connection, str(subject))


async def write_blob(app: App, hands: Hands, subject_text: str, epoch: int, body: AsyncIterator[bytes]) -> p.BlobAnswer:
    """Keeps bytes for the subject."""
    subject = subject_of(subject_text)
    async with app.database.reading() as connection:
        await fence(connection, hands.token_id, subject, epoch)  # before anything is taken
    with tempfile.TemporaryFile(dir=app.home) as file:
        await _spool(body, file.write)
        file.seek(0)
        async with app.database.transaction() as connection:
            await fence(connection, hands.token_id, subject, epoch)
            blob_id = await blobs.write(connection, str(subject), _pieces(file))
            if subject.kind == "session":
                await present(connection, subject.id)
            return p.BlobAnswer(blob=blob_id)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := file.read(blobs.CHUNK_BYTES):
        yield piece


async def read_blob(app: App, hands: Hands, subject_text: str, blob_id: int) -> AsyncIterator[bytes]:
    """A blob that the subject's executor needs: its own, or the artifacts of a job it needs."""
    subject = subject_of(subject_text)
    async with app.database.transaction() as connection:
        mine = (
            select(leases.c.subject)
            .join(tokens, tokens.c.runner_id == leases.c.runner_id)
            .where(leases.c.subject == str(subject), tokens.c.id == hands.token_id)
        )
        if (await connection.execute(mine)).one_or_none() is None:
            raise NotFoundError(f"There is no blob {blob_id}.")
        owner: str | None = str(subject)
        if subject.kind == "job":
            offer = await job_offers.job_offer(connection, app, subject.id)
            owner = None if blob_id in offer.spec.needs_artifacts else owner
        async for chunk in blobs.read(connection, blob_id, subject=owner):
            yield chunk


async def push(
    app: App, hands: Hands, call_id: str, epoch: int, branch: str, commit: str, body: AsyncIterator[bytes]
) -> p.PushAnswer:
    """Takes a session's work as a bundle, checks it, moves its branch and starts the branch's pipeline.

    Git works outside of any transaction, so that a stop never waits for it.

    Raises:
        InvalidInputError: the bundle is broken or is for another branch than the session's.
        ForbiddenError: the session's initiator may not push any more.
    """
    async with app.database.reading() as connection:
        await _held(connection, hands, call_id, epoch)  # before anything is taken
    with tempfile.NamedTemporaryFile(dir=app.home, prefix="push-", suffix=".bundle") as file:
        await _spool(body, file.write)
        file.flush()
        async with app.database.transaction() as connection:
            subject, _ = await _held(connection, hands, call_id, epoch)
            if subject.kind != "session":
                raise InvalidInputError("Only a session's call pushes.")
            async with changing(app, connection, subject.id) as it:
                project_id = await _may_push(it, call_id, branch)
        await app.forge.push_bundle(project_id, Path(file.name), branch=branch, commit=commit)
    try:
        async with app.database.transaction() as connection:
            await fence(connection, hands.token_id, subject, epoch)
            async with changing(app, connection, subject.id) as it:
                await _may_push(it, call_id, branch)
                if not any(known.artifact == "branch" for known in it.state.artifacts):
                    it.append(e.ArtifactCreated(artifact="branch", name=branch))
                if not any(known.name == commit for known in it.state.artifacts):
                    it.append(e.ArtifactCreated(artifact="commit", name=commit, ref={"branch": branch}))
            await pipelines.start_for(
                connection, app, project_id, branch, commit, source="session", session_id=subject.id
            )
            await want(connection, app.dispatch, project_id, "branch", branch)
    except SessionGoneError:  # deleted while git worked, and its branch came behind that
        await leftovers.note(app, project_id, branch, commit)
        raise
    return p.PushAnswer(branch=branch, commit=commit)


async def _may_push(it: Change, call_id: str, branch: str) -> int:
    """The project that the call may push its session's branch to."""
    created = it.state.created
    call = it.state.calls.get(call_id)
    if call is None or call.status not in (CallStatus.OFFERED, CallStatus.RUNNING):
        raise FencedError(f"Call {call_id} has ended; nothing is pushed for it any more.")
    if branch != created.branch or created.project_id is None:
        raise InvalidInputError(f"Session #{it.session.id} may push {created.branch!r} only.")
    await project_for(it.connection, await initiator(it.connection, created), created.project_id, Ability.PUSH)
    return created.project_id


async def _spool(body: AsyncIterator[bytes], write: Callable[[bytes], object]) -> None:
    """Takes a body whole before a connection of the database is held for it. Raises TooLargeError."""
    size = 0
    async for chunk in body:
        size += len(chunk)
        if size > limits.BUNDLE_BYTES:
            raise TooLargeError(f"At most {limits.BUNDLE_BYTES:,} bytes are taken; these are more.")
        write(chunk)
