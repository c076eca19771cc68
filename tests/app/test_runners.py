"""Runners: who registers and manages them, what a registration is worth, and which work they are given."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from quarterdeck.app import (
    executors,
    forks,
    hellos,
    leases,
    offers,
    pipelines,
    project_settings,
    projects,
    registrations,
    runners,
)
from quarterdeck.app import sessions as session_cases
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.executors import Hands
from quarterdeck.app.forks import ForkSession
from quarterdeck.app.project_settings import EditProject
from quarterdeck.app.registrations import AddRegistration
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.access import Role
from quarterdeck.core.errors import (
    ConflictError,
    FencedError,
    ForbiddenError,
    NotFoundError,
    QuarterdeckError,
    UnauthenticatedError,
    VersionMismatchError,
)
from quarterdeck.store import log
from quarterdeck.store.tables import leases as lease_rows
from quarterdeck.store.tables import offers as offer_rows
from quarterdeck.store.tables import runners as rows
from quarterdeck.store.tables import tokens
from tests.app.test_mcp import person
from tests.app.test_reports import asked, calls, payloads
from tests.conftest import Start

ADMIN, MAINTAINER, DEVELOPER, STRANGER = "ada", "mai", "dev", "str"


def asking(name: str = "far", **more: Any) -> p.Register:
    return p.Register.model_validate(
        {"protocol": p.PROTOCOL_VERSION, "version": "1", "name": name, "instance": f"home of {name}", **more}
    )


def hello(name: str = "far", **more: Any) -> p.Hello:
    return p.Hello.model_validate(
        {
            "protocol": p.PROTOCOL_VERSION, "version": "1", "name": name, "instance": f"home of {name}",
            "capacity": 4, "isolation": "full", **more,
        }
    )  # fmt: skip


async def joined(
    app: App, actor: Actor, name: str = "far", *, own: tuple[str, ...] | None = None, **more: Any
) -> tuple[Hands, int]:
    """A runner that was registered and has said hello."""
    made = await registrations.add(app, actor, AddRegistration(**more))
    answer = await registrations.register(app, made.token, asking(name, tags=own))
    hands = await executors.authenticate(app, answer.token)
    assert (await hellos.hello(app, hands, hello(name))).runner == answer.runner
    return hands, answer.runner


async def given(app: App, hands: Hands, runner: int) -> list[offers.Order]:
    """What a runner is told first on a new stream; nothing is what only keeps the line alive."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(p, "KEEPALIVE_SECONDS", 0.1)
        stream = offers.stream(app, hands, runner)
        try:
            async with asyncio.timeout(60):
                return await anext(stream)
        finally:
            await stream.aclose()


async def people(app: App, start: Start) -> dict[str, Actor]:
    return {
        ADMIN: start.owner,
        MAINTAINER: await person(app, start, MAINTAINER, Role.MAINTAINER),
        DEVELOPER: await person(app, start, DEVELOPER, Role.DEVELOPER),
        STRANGER: await person(app, start, STRANGER, None),
    }


@pytest.mark.parametrize(
    ("project", "refusals"),
    [
        (None, {MAINTAINER: ForbiddenError, DEVELOPER: ForbiddenError, STRANGER: ForbiddenError}),
        ("sample", {DEVELOPER: ForbiddenError, STRANGER: NotFoundError}),
    ],
)
async def test_who_may_register_and_manage_a_runner(
    app: App, start: Start, project: str | None, refusals: dict[str, type[QuarterdeckError]]
) -> None:
    actors = await people(app, start)
    _, runner = await joined(app, start.owner, project=project)
    for name, actor in actors.items():
        if name not in refusals:
            await registrations.add(app, actor, AddRegistration(project=project))
            assert (await runners.change(app, actor, runner, "paused")).state == "paused"
            continue
        with pytest.raises(refusals[name]):
            await registrations.add(app, actor, AddRegistration(project=project))
        for action in (runners.change(app, actor, runner, "draining"), runners.remove(app, actor, runner)):
            with pytest.raises(refusals[name]):
                await action
    seen = {name: [one.id for one in await runners.find(app, actor)] for name, actor in actors.items()}
    hidden = {STRANGER} if project else set[str]()
    assert {name for name, ids in seen.items() if ids != [runner]} == hidden
    assert (await runners.show(app, start.owner, runner)).state == "paused"


async def test_a_registration_works_once_and_for_an_hour(app: App, start: Start) -> None:
    made = await registrations.add(app, start.owner, AddRegistration(description="under the desk"))
    assert made.token.startswith("qdg_")
    attempts = await asyncio.gather(
        *(registrations.register(app, made.token, asking(f"n{number}")) for number in range(8)), return_exceptions=True
    )
    used = [one for one in attempts if isinstance(one, p.Registered)]
    refused = [one for one in attempts if isinstance(one, UnauthenticatedError)]
    assert (len(used), len(refused)) == (1, 7), "one of those that come at the same moment, and whole"
    assert [one.description for one in await runners.find(app, start.owner)] == ["under the desk"]
    late = await registrations.add(app, start.owner, AddRegistration())
    async with app.database.transaction() as connection:
        past = datetime.now(UTC) - timedelta(seconds=1)
        await connection.execute(update(tokens).where(tokens.c.kind == "registration").values(expires_at=past))
    for secret in (late.token, used[0].token, start.token, start.runner_token, "qdg_never-made"):
        with pytest.raises(UnauthenticatedError):
            await registrations.register(app, secret, asking())
    with pytest.raises(UnauthenticatedError):
        await executors.authenticate(app, made.token)


async def test_what_is_refused_uses_no_registration_up(app: App, start: Start) -> None:
    taken = await registrations.add(app, start.owner, AddRegistration(tags=("gpu",)))
    await joined(app, start.owner, "desk")
    refusals: list[tuple[p.Register, type[QuarterdeckError]]] = [
        (asking("desk", instance="another home"), ConflictError),
        (asking(tags=("gpu", "root")), ForbiddenError),
        (asking(protocol=p.PROTOCOL_VERSION + p.VERSIONS_APART + 1), VersionMismatchError),
    ]
    for said, error in refusals:
        with pytest.raises(error):
            await registrations.register(app, taken.token, said)
    assert (await registrations.register(app, taken.token, asking())).tags == ("gpu",)


async def test_the_same_home_registers_again_and_its_old_token_dies(app: App, start: Start) -> None:
    hands, runner = await joined(app, start.owner, own=("a",))
    made = await registrations.add(app, start.owner, AddRegistration(tags=("b", "c")))
    again = await registrations.register(app, made.token, asking())
    assert (again.runner, again.tags) == (runner, ("b", "c"))
    with pytest.raises(UnauthenticatedError):
        await hellos.hello(app, hands, hello("other"))
    scoped = await registrations.add(app, start.owner, AddRegistration(project="sample"))
    with pytest.raises(ConflictError):
        await registrations.register(app, scoped.token, asking())


async def test_no_hello_changes_what_a_registration_said(app: App, start: Start) -> None:
    hands, runner = await joined(app, start.owner, project="sample", tags=("gpu",))
    pretended = hello("other", instance="home of far", tags=("gpu", "root"), capacity=9)
    assert (await hellos.hello(app, hands, pretended)).runner == runner
    view = await runners.show(app, start.owner, runner)
    assert (view.name, view.tags, view.project, view.capacity) == ("far", ("gpu",), "sample", 9)
    with pytest.raises(ConflictError):
        await hellos.hello(app, hands, hello(instance="a copy of the home"))
    local = await executors.authenticate(app, start.runner_token)
    async with app.database.transaction() as connection:
        await connection.execute(update(rows).values(last_contact=None))
    with pytest.raises(ConflictError, match="registered"):
        await hellos.hello(app, local, hello())


async def test_versions_may_be_one_apart(app: App, start: Start) -> None:
    hands, _ = await joined(app, start.owner)
    for apart in (-1, 1):
        await hellos.hello(app, hands, hello(protocol=p.PROTOCOL_VERSION + apart))
        with pytest.raises(VersionMismatchError, match="executor" if apart < 0 else "server"):
            await hellos.hello(app, hands, hello(protocol=p.PROTOCOL_VERSION + 2 * apart))


async def test_work_goes_where_project_and_tags_say(app: App, start: Start) -> None:
    await projects.add(app, start.owner, projects.AddProject(path="other"))
    strange = await joined(app, start.owner, "strange", project="other", own=("gpu",))
    plain = await joined(app, start.owner, "plain")
    await project_settings.edit(app, start.owner, "sample", EditProject(runner_tags=("gpu",)))
    session_id = await asked(app, start, 2)
    job = select(offer_rows.c.subject).where(offer_rows.c.tool == "pipeline_job")
    async with app.database.transaction() as connection:
        await connection.execute(update(offer_rows).where(offer_rows.c.job_id.is_not(None)).values(tags=["gpu"]))
        subjects = {f"session:{session_id}", *(await connection.execute(job)).scalars()}
    assert await given(app, *strange) == await given(app, *plain) == []
    view = await session_cases.show(app, start.owner, session_id)
    assert view.waiting_for is not None
    assert view.waiting_for.detail == "a runner with tag gpu; none is registered that fits"
    fitting = await joined(app, start.owner, "fitting", project="sample", own=("gpu", "linux"))
    async with app.database.transaction() as connection:
        await connection.execute(update(rows).where(rows.c.id == fitting[1]).values(last_contact=None))
    view = await session_cases.show(app, start.owner, session_id)
    assert view.waiting_for is not None
    assert view.waiting_for.detail.endswith("none that fits is alive")
    told = await given(app, *fitting)
    assert {one.subject for one in told if isinstance(one, p.Offer)} == subjects
    seen = await runners.show(app, start.owner, fitting[1])
    assert {(one.session_id, one.tools) for one in seen.work if one.session_id} == {
        (session_id, ("read_file", "read_file"))
    }
    stranger = await person(app, start, STRANGER, None)
    with pytest.raises(NotFoundError):
        await runners.show(app, stranger, fitting[1])


async def test_a_session_says_which_runner_it_needs_and_so_do_its_calls_and_jobs(app: App, start: Start) -> None:
    """Beside what its project asks for, for life, and for all that comes of it."""
    await project_settings.edit(app, start.owner, "sample", EditProject(runner_tags=("linux",)))
    half = await joined(app, start.owner, "half", own=("gpu",))
    session_id = await asked(app, start, 1, runner_tags=("gpu", "gpu", "big"))
    view = await session_cases.show(app, start.owner, session_id)
    assert view.runner_tags == ("big", "gpu")
    assert view.waiting_for is not None
    assert view.waiting_for.detail == "a runner with tags big, gpu, linux; none is registered that fits"
    assert not calls(await given(app, *half))
    whole = await joined(app, start.owner, "whole", own=("gpu", "big", "linux"))
    assert {one.subject for one in calls(await given(app, *whole))} == {f"session:{session_id}"}
    fork = await forks.fork(app, start.owner, session_id, ForkSession(seq=1))
    assert fork.runner_tags == view.runner_tags


async def test_a_job_that_waits_says_for_which_runner(app: App, start: Start) -> None:
    async def seen() -> list[str]:
        pipeline = await pipelines.show(app, start.owner, 1)
        waits = [job.waiting_for.detail for job in pipeline.jobs if job.waiting_for]
        single = await pipelines.job(app, start.owner, pipeline.jobs[0].id)
        assert [single.waiting_for.detail] == waits[:1] if single.waiting_for else not waits
        return waits

    assert await seen() == ["a runner; none is registered that fits"]
    async with app.database.transaction() as connection:
        await connection.execute(update(offer_rows).where(offer_rows.c.job_id.is_not(None)).values(tags=["gpu"]))
    hands, runner = await joined(app, start.owner, "far", own=("gpu",))
    assert await seen() == ["a runner with tag gpu; those that fit are busy"]
    await runners.change(app, start.owner, runner, "paused")
    assert await seen() == ["a runner with tag gpu; those that fit are paused"]
    await runners.change(app, start.owner, runner, "active")
    assert await given(app, hands, runner)
    assert await seen() == []


async def test_what_a_runner_does_is_seen_by_those_who_may_see_the_session(app: App, start: Start) -> None:
    await asked(app, start, 1)
    hands, runner = await joined(app, start.owner)
    assert await given(app, hands, runner)
    stranger = await person(app, start, STRANGER, None)
    seen = await runners.show(app, stranger, runner)
    assert (seen.work, seen.hidden) == ((), 2)


async def test_arguments_of_a_tool_are_no_tags(app: App, start: Start) -> None:
    session_id = await asked(app, start, 1)
    async with app.database.transaction() as connection:
        mine = offer_rows.c.session_id == session_id
        await connection.execute(update(offer_rows).where(mine).values(args={"tags": ["gpu"], "file_path": "a"}))
    assert calls(await given(app, *await joined(app, start.owner)))


async def test_of_two_runners_that_reach_for_a_call_the_second_leaves_it_with_the_first(app: App, start: Start) -> None:
    """Else it would wait again though it runs, and who has it next would do it once more."""
    session_id = await asked(app, start, 1)
    streams = [offers.stream(app, *await joined(app, start.owner, name)) for name in ("one", "two")]

    async def others(condition: str, count: int) -> None:
        query = f"select count(*) from pg_stat_activity where datname = current_database() and {condition}"
        async with asyncio.timeout(30), app.database.reading() as connection:
            while (await connection.exec_driver_sql(f"{query} and pid <> pg_backend_pid()")).scalar_one() != count:
                await asyncio.sleep(0.02)

    async with app.database.transaction() as holding:
        await log.lock(holding, session_id)
        reaching = [asyncio.create_task(anext(stream)) for stream in streams]
        await others("wait_event_type = 'Lock'", 2)  # both saw it wait
    await others("state in ('active', 'idle in transaction')", 0)
    async with app.database.reading() as connection:
        statuses = await connection.execute(select(offer_rows.c.status).where(offer_rows.c.session_id == session_id))
        assert statuses.scalars().all() == ["offered"]
    for task in reaching:
        task.cancel()
    await asyncio.wait(reaching)


async def test_a_paused_runner_finishes_what_it_has(app: App, start: Start) -> None:
    first = await asked(app, start, 2)
    hands, runner = await joined(app, start.owner)
    had = calls(await given(app, hands, runner))
    assert len(had) == 2
    await runners.change(app, start.owner, runner, "paused")
    second = await asked(app, start, 1)
    async with app.database.transaction() as connection:  # a further call of the first comes
        mine = offer_rows.c.call_id == had[0].call_id
        await connection.execute(update(offer_rows).where(mine).values(status="waiting"))
    again = {one.call_id for one in calls(await given(app, hands, runner))}
    assert again == {one.call_id for one in had}
    view = await session_cases.show(app, start.owner, second)
    assert view.waiting_for is not None
    assert view.waiting_for.detail == "a runner; those that fit are paused"
    await runners.change(app, start.owner, runner, "active")
    assert {one.subject for one in calls(await given(app, hands, runner))} == {f"session:{first}", f"session:{second}"}


def ended(offer: p.Offer) -> p.Result:
    return p.Result(turn_no=offer.turn_no, lease_epoch=offer.lease_epoch, outcome=e.Outcome.OK, text="", begun=True)


async def test_a_drained_runner_ends_its_calls_hands_its_sessions_over_and_is_told_to_end(
    app: App, start: Start
) -> None:
    session_id = await asked(app, start, 2)
    hands, runner = await joined(app, start.owner, project="sample")
    stream = offers.stream(app, hands, runner)
    told = [one for one in await anext(stream) if isinstance(one, p.Offer)]
    one, other = calls(list(told))
    await executors.result(app, hands, one.call_id, ended(one))
    async with app.database.transaction() as connection:  # as if it had only now been asked for
        mine = offer_rows.c.call_id == one.call_id
        await connection.execute(update(offer_rows).where(mine).values(status="waiting"))
    await runners.change(app, start.owner, runner, "draining")
    assert await anext(stream) == [], "it has a call, and what waits of the same session is not for it"
    heir = await joined(app, start.owner, "heir")
    assert calls(await given(app, *heir)) == [], "the call that runs is nobody else's"
    await executors.result(app, hands, other.call_id, ended(other))
    for job in (offer for offer in told if offer.subject.startswith("job:")):
        await executors.result(app, hands, job.call_id, ended(job).model_copy(update={"exit_code": 0}))
    orders: list[offers.Order] = []
    async with asyncio.timeout(60):
        async for news in stream:
            orders += news
    assert orders == [p.Drained()]
    assert (await runners.show(app, start.owner, runner)).state == "paused"
    assert [offer.call_id for offer in calls(await given(app, *heir))] == [one.call_id]
    with pytest.raises(FencedError):
        await executors.output(app, hands, one.call_id, one.lease_epoch, 0, b"late")
    assert (await session_cases.show(app, start.owner, session_id)).executor == "heir"


async def test_a_removed_runner_writes_nothing_more_and_its_calls_are_interrupted(app: App, start: Start) -> None:
    session_id = await asked(app, start, 2)
    hands, runner = await joined(app, start.owner)
    stream = offers.stream(app, hands, runner)
    one, other = calls(await anext(stream))
    await executors.started(app, hands, one.call_id, p.Started(turn_no=one.turn_no, lease_epoch=one.lease_epoch))
    await runners.remove(app, start.owner, runner)
    with pytest.raises(StopAsyncIteration):
        async with asyncio.timeout(60):
            await anext(stream)
    assert await runners.find(app, start.owner) == ()
    ends = [one for one in await payloads(app, session_id) if isinstance(one, e.ToolCallFinished)]
    assert {end.call_id: end.outcome for end in ends} == dict.fromkeys((one.call_id, other.call_id), "interrupted")
    for report in (
        executors.result(app, hands, one.call_id, ended(one)),
        executors.output(app, hands, one.call_id, one.lease_epoch, 0, b"late"),
        executors.heartbeat(app, hands, p.Heartbeat(runner=runner)),
        hellos.hello(app, hands, hello()),
    ):
        with pytest.raises((UnauthenticatedError, FencedError, NotFoundError)):
            await report
    async with app.database.transaction() as connection:
        held = (await connection.execute(select(lease_rows.c.subject, lease_rows.c.runner_id))).all()
    assert all(row.runner_id is None for row in held)
    await joined(app, start.owner)  # its name is free


async def test_a_server_s_own_runner_is_removed_only_when_it_is_gone(app: App, start: Start) -> None:
    hands = await executors.authenticate(app, start.runner_token)
    runner = (await hellos.hello(app, hands, hello("local"))).runner
    with pytest.raises(ConflictError, match="--no-runner"):
        await runners.remove(app, start.owner, runner)
    async with app.database.transaction() as connection:
        await connection.execute(update(rows).values(last_contact=None))
    await runners.remove(app, start.owner, runner)
    assert await runners.find(app, start.owner) == ()
    assert (await hellos.hello(app, hands, hello("local"))).runner != runner, "its token is the server's, and lives"
    assert await leases.expire(app) == 0
