import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from quarterdeck.app import ci_lint, job_offers, pipeline_jobs, pipelines, projects, repositories
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.job_variables import expanded
from quarterdeck.core.access import Role
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.events import Outcome
from quarterdeck.core.pipeline import JobStatus, PipelineStatus
from quarterdeck.core.protocol import Result
from quarterdeck.forges.local import git
from quarterdeck.store import blobs, output
from quarterdeck.store.tables import leases, offers, pipeline_waits, runners, users
from quarterdeck.store.tables import projects as project_rows

CI = """
stages: [build, test, deploy]
variables: {WHO: you, GREETING: "hello $WHO in $CI_PROJECT_DIR, $HOME"}
compile: {stage: build, script: make, artifacts: {paths: [out]}, tags: [linux]}
unit: {stage: test, script: make test}
lint: {stage: test, script: make lint, allow_failure: true, needs: []}
ship: {stage: deploy, script: make ship, needs: [{job: compile, artifacts: true}, {job: unit, artifacts: false}]}
clean: {stage: deploy, script: make clean, when: on_failure}
by hand: {stage: deploy, script: make page, when: manual}
"""


async def put(app: App, project_id: int, text: str | None, branch: str = "main", date: str = "now", **more: str) -> str:
    """A commit with that pipeline file, or with none, as the branch's only one; `more` are further files of `ci/`."""
    name, data = (".gitlab-ci.yml", text) if text is not None else ("readme", "x")
    stream = f"commit refs/heads/{branch}\ncommitter A <a@b> {date}\ndata 1\nm\ndeleteall\n"
    for path, content in {name: data, **{f"ci/{one}.yml": content for one, content in more.items()}}.items():
        stream += f"M 100644 inline {path}\ndata {len(content.encode())}\n{content}\n"
    folder = app.home / "repositories" / f"{project_id}.git"
    form = f"--date-format={'now' if date == 'now' else 'raw'}"
    await git.ask("fast-import", "--quiet", "--force", form, directory=folder, stdin=stream.encode())
    return await app.forge.commit_of(project_id, branch)


@pytest.fixture
async def project(app: App, owner: Actor) -> projects.ProjectView:
    made = await projects.add(app, owner, projects.AddProject(path="team/app"))
    await put(app, made.id, CI)
    return made


async def person(app: App, name: str, project_id: int, role: Role | None, owner: Actor) -> Actor:
    async with app.database.transaction() as connection:
        made = insert(users).values(username=name, name=name.title()).returning(users.c.id)
        user_id = (await connection.execute(made)).scalar_one()
    if role is not None:
        await projects.set_member(app, owner, project_id, name, role)
    return Actor(user_id, name, name.title(), "", False)


async def offered(app: App) -> dict[str, Any]:
    """The open offers by their jobs' names; those of the sample project are left out."""
    async with app.database.transaction() as connection:
        rows = (await connection.execute(select(offers).where(offers.c.status == "waiting"))).all()
        found = [(await job_offers.job_offer(connection, app, row.job_id), row) for row in rows]
        return {job.spec.name: row for job, row in found if job.project_id != 1}


async def end(
    app: App, job: Any, code: int | None, *, log: str = "", artifacts: bytes = b"", outcome: Outcome | None = None
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield artifacts

    async with app.database.transaction() as connection:
        await pipeline_jobs.job_started(connection, app, job.job_id)
        if log:
            await output.write(connection, job.subject, job.call_id, 0, log.encode())
        blob = await blobs.write(connection, job.subject, pieces()) if artifacts else None
        outcome = outcome or (Outcome.OK if code == 0 else Outcome.ERROR)
        result = Result(turn_no=0, lease_epoch=1, outcome=outcome, text="", exit_code=code, artifacts_blob=blob)
        await pipeline_jobs.job_finished(connection, app, job.job_id, result)
        assert not await pipeline_jobs.job_finished(connection, app, job.job_id, result)


def statuses(view: pipelines.PipelineView) -> dict[str, JobStatus]:
    return {job.name: job.status for job in view.jobs}


async def test_a_pipeline_from_start_to_success(app: App, owner: Actor, project: projects.ProjectView) -> None:
    view = await pipelines.start(app, owner, project.id)
    assert (view.status, view.ref, view.source) == (PipelineStatus.RUNNING, "main", "api")
    waiting = await offered(app)
    assert set(waiting) == {"compile", "lint"}
    assert (waiting["compile"].subject, waiting["compile"].tool) == (f"job:{waiting['compile'].job_id}", "pipeline_job")
    assert waiting["compile"].tags == ["linux"]
    await end(app, waiting["compile"], 0, artifacts=b"the files")
    await end(app, waiting["lint"], 3)
    waiting = await offered(app)
    assert set(waiting) == {"unit"}
    async with app.database.transaction() as connection:
        spec = (await job_offers.job_offer(connection, app, waiting["unit"].job_id)).spec
        assert len(spec.needs_artifacts) == 1
        assert await blobs.whole(connection, spec.needs_artifacts[0]) == b"the files"
        assert spec.variables["GREETING"] == "hello you in /workspace, $HOME"
        assert spec.variables["CI_COMMIT_SHA"] == view.sha
        assert spec.variables["CI_PROJECT_PATH"] == "team/app"
        assert spec.variables["CI_JOB_ID"] == str(waiting["unit"].job_id)
    await end(app, waiting["unit"], 0)
    ship = (await offered(app))["ship"]
    async with app.database.transaction() as connection:
        assert len((await job_offers.job_offer(connection, app, ship.job_id)).spec.needs_artifacts) == 1
    await end(app, ship, 0)
    view = await pipelines.show(app, owner, view.id)
    assert view.status is PipelineStatus.SUCCESS
    assert view.started_at is not None
    assert view.ended_at is not None
    assert statuses(view) == {
        "compile": JobStatus.SUCCESS,
        "lint": JobStatus.FAILED,
        "unit": JobStatus.SUCCESS,
        "by hand": JobStatus.MANUAL,
        "clean": JobStatus.SKIPPED,
        "ship": JobStatus.SUCCESS,
    }
    assert [job.stage for job in view.jobs] == ["build", "test", "test", "deploy", "deploy", "deploy"]
    by_hand = next(job for job in view.jobs if job.name == "by hand")
    view = await pipelines.retry_job(app, owner, by_hand.id)
    assert view.status is PipelineStatus.RUNNING
    await end(app, (await offered(app))["by hand"], 0)
    assert (await pipelines.show(app, owner, view.id)).status is PipelineStatus.SUCCESS


async def test_a_failure_its_text_and_another_try(app: App, owner: Actor, project: projects.ProjectView) -> None:
    view = await pipelines.start(app, owner, project.path)
    log = "\x1b[31mmake: no rule\x1b[0m\r\n" + "x" * 100_000 + "\nthe end of it"
    first = (await offered(app))["compile"]
    await end(app, first, 2, log=log)
    await end(app, (await offered(app))["lint"], 0)
    await end(app, (await offered(app))["clean"], 0)
    view = await pipelines.show(app, owner, view.id)
    assert view.status is PipelineStatus.FAILED
    assert statuses(view)["ship"] is JobStatus.SKIPPED
    async with app.database.transaction() as connection:
        outcome, text = await pipelines.told(connection, view.id)
    assert outcome is Outcome.ERROR
    for part in (f"Pipeline #{view.id}", "failed", "Job compile", "stage build", "exit code 2", "the end of it"):
        assert part in text
    assert len(text) < 33_000
    assert await pipelines.job_log(app, owner, first.job_id, limit=5) == b"\x1b[31m"
    assert await pipelines.job_log(app, owner, first.job_id, offset=len(log) - 3) == b" it"
    assert (await pipelines.job_tail(app, owner, first.job_id)).startswith("make: no rule\nxxx")
    view = await pipelines.retry(app, owner, view.id)
    assert (view.status, view.ended_at) == (PipelineStatus.RUNNING, None)
    assert [(job.name, job.attempt, job.exit_code) for job in view.earlier] == [("compile", 1, 2)]
    with pytest.raises(ConflictError):
        await pipelines.retry(app, owner, view.id)
    with pytest.raises(ConflictError):
        await pipelines.retry_job(app, owner, first.job_id)
    await end(app, (await offered(app))["compile"], 0)
    await end(app, (await offered(app))["unit"], 0)
    await end(app, (await offered(app))["ship"], 0)
    view = await pipelines.show(app, owner, view.id)
    assert view.status is PipelineStatus.SUCCESS
    assert await pipelines.job_log(app, owner, first.job_id, limit=5) == b"\x1b[31m"


async def test_a_job_whose_runner_dies_is_tried_once_more(
    app: App, owner: Actor, project: projects.ProjectView
) -> None:
    view = await pipelines.start(app, owner, project.id)
    for attempt in (1, 2):
        job = (await offered(app))["compile"]
        async with app.database.transaction() as connection:
            await pipeline_jobs.job_started(connection, app, job.job_id)
            await pipeline_jobs.job_interrupted(connection, app, job.job_id)
            await pipeline_jobs.job_interrupted(connection, app, job.job_id)
        view = await pipelines.show(app, owner, view.id)
        assert len(view.earlier) == 1, attempt
    compiled = view.jobs[0]
    assert (compiled.status, compiled.attempt) == (JobStatus.FAILED, 2)
    assert "not heard of" in compiled.reason
    assert "compile" not in await offered(app)


async def test_a_job_that_failed_is_tried_again_by_itself(
    app: App, owner: Actor, project: projects.ProjectView
) -> None:
    await put(app, project.id, """
        flaky: {script: x, retry: {max: 2, when: script_failure}}
        slow: {script: x, retry: {max: 1, when: job_execution_timeout}}
        sick: {script: x, retry: {max: 1, when: runner_system_failure}}
        code: {script: x, retry: {max: 1, exit_codes: 7}}
        by hand: {script: x, retry: 1, when: manual}
        last: {stage: deploy, script: x}
    """)  # fmt: skip
    view = await pipelines.start(app, owner, project.id)

    async def failed(name: str, code: int | None, outcome: Outcome = Outcome.ERROR) -> bool:
        await end(app, (await offered(app))[name], code, outcome=outcome)
        return name in await offered(app)

    assert await failed("flaky", 1)
    assert (await pipelines.show(app, owner, view.id)).status is PipelineStatus.RUNNING
    assert await failed("flaky", 1)
    await end(app, (await offered(app))["flaky"], 0)
    assert await failed("slow", None, Outcome.TIMED_OUT)
    assert not await failed("slow", 1)
    assert await failed("sick", None, Outcome.INTERRUPTED)  # its runner took it along: that doesn't count
    assert await failed("sick", None)
    assert not await failed("sick", None, Outcome.INTERRUPTED)
    assert await failed("code", 7)
    assert not await failed("code", 7)
    view = await pipelines.show(app, owner, view.id)
    assert view.status is PipelineStatus.FAILED
    assert {job.name: job.attempt for job in view.jobs} == {
        "flaky": 3, "slow": 2, "sick": 3, "code": 2, "by hand": 1, "last": 1
    }  # fmt: skip
    assert [(job.name, job.exit_code) for job in view.earlier] == [
        ("flaky", 1), ("slow", None), ("sick", None), ("code", 7), ("flaky", 1), ("sick", None)
    ]  # fmt: skip
    by_hand = next(job for job in view.jobs if job.name == "by hand")
    await pipelines.retry_job(app, owner, by_hand.id)
    assert await failed("by hand", 1)
    view = await pipelines.cancel(app, owner, view.id)
    assert "by hand" not in await offered(app), "what a person cancels is not tried again"


async def test_files_that_a_pipeline_includes_are_those_of_its_commit(
    app: App, owner: Actor, project: projects.ProjectView
) -> None:
    text = "include: [ci/base.yml, 'ci/jobs*.yml']\nunit: {extends: .base, parallel: 2}"
    base, jobs = ".base: {script: first}", "lint: {script: ruff}"
    old = await put(app, project.id, text, base=base, jobs1=jobs, jobs2="docs: {script: x}", other="o: {script: x}")
    await put(app, project.id, text, base=base.replace("first", "second"), jobs=jobs)
    assert statuses(await pipelines.start(app, owner, project.id)).keys() == {"unit 1/2", "unit 2/2", "lint"}
    async with app.database.transaction() as connection:
        rows = (await offered(app)).values()
        specs = {
            one.spec.name: one.spec for one in [await job_offers.job_offer(connection, app, r.job_id) for r in rows]
        }
    assert specs["unit 2/2"].script == ("second",)
    assert (specs["unit 2/2"].variables["CI_NODE_INDEX"], specs["unit 2/2"].variables["CI_NODE_TOTAL"]) == ("2", "2")
    assert specs["unit 2/2"].variables["CI_JOB_NAME"] == "unit 2/2"
    made = await app.forge.read_ci(project.id, text, ref="main", sha=old, default_branch="main", source="push")
    assert [(job.name, job.script) for job in made.jobs] == [
        ("lint", ("ruff",)), ("docs", ("x",)), ("unit 1/2", ("first",)), ("unit 2/2", ("first",))
    ]  # fmt: skip
    seen = await ci_lint.lint(app, owner, project.id, text + "\nmore: {extends: .gone, script: x}")
    assert seen.faults == ("line 3: job more: `extends: .gone`: there is no such job",)
    seen = await ci_lint.lint(app, owner, project.id, "include: ci/none.yml")
    assert seen.faults == ("line 1: `include: ci/none.yml`: there is no such file at this commit",)
    empty = await projects.add(app, owner, projects.AddProject(path="team/empty"))
    assert "no such file" in (await ci_lint.lint(app, owner, empty.id, text)).faults[0]
    seen = await ci_lint.lint(app, owner, project.id, "workflow: {rules: [{when: never}]}\na: {script: x}")
    assert (seen.valid, seen.jobs) == (True, ())
    assert (
        "the rule of line 1 holds for CI_PIPELINE_SOURCE=push and CI_COMMIT_BRANCH=main, and says never" in seen.nothing
    )


async def test_cancelling_kills_what_runs(app: App, owner: Actor, project: projects.ProjectView) -> None:
    view = await pipelines.start(app, owner, project.id)
    job = (await offered(app))["compile"]
    async with app.database.transaction() as connection:
        runner = (
            await connection.execute(insert(runners).values(name="r", kind="runner").returning(runners.c.id))
        ).scalar_one()
        row = {"subject": job.subject, "runner_id": runner, "epoch": 1, "expires_at": view.created_at}
        await connection.execute(insert(leases).values(row))
        await pipeline_jobs.job_started(connection, app, job.job_id)
    with app.doorbell.listener(f"runner:{runner}") as listener:
        view = await pipelines.cancel(app, owner, view.id)
        async with asyncio.timeout(60):
            while f"runner:{runner}" not in await listener.wait(1):
                pass
    assert view.status is PipelineStatus.CANCELED
    assert set(statuses(view).values()) == {JobStatus.CANCELED}
    assert await offered(app) == {}
    async with app.database.transaction() as connection:
        assert (await connection.execute(select(leases.c.cancelled))).scalar_one() is True
    await end(app, job, 0)  # a late report changes nothing
    assert (await pipelines.show(app, owner, view.id)).status is PipelineStatus.CANCELED


async def test_pipelines_of_commits(app: App, owner: Actor, project: projects.ProjectView) -> None:
    async def come(text: str | None, branch: str) -> tuple[int | None, str]:
        sha = await put(app, project.id, text, branch)
        async with app.database.transaction() as connection:
            made = await pipelines.start_for(connection, app, project.id, branch, sha, source="session")
            assert await pipelines.start_for(connection, app, project.id, branch, sha, source="session") == made
            return made, sha

    assert (await come(None, "none"))[0] is None
    assert (await come("a: {script: x, rules: [{if: $CI_COMMIT_BRANCH == 'x'}]}", "ruled"))[0] is None
    kept_out = "workflow: {rules: [{if: $CI_PIPELINE_SOURCE == 'push'}]}\na: {script: x}"
    assert (await come(kept_out.replace("==", "!="), "sessions"))[0] is None
    await put(app, project.id, kept_out, "pushes")
    for branch, why in (
        ("none", "nothing to run at [0-9a-f]{12} of none: it has no .gitlab-ci.yml"),
        ("ruled", "the rules of its jobs let none of them in"),
        ("pushes", r"`workflow: rules` \(line 1\) let no pipeline start: none holds for CI_PIPELINE_SOURCE=api"),
    ):
        with pytest.raises(InvalidInputError, match=why):
            await pipelines.start(app, owner, project.id, branch)
    with pytest.raises(InvalidInputError, match="no branch"):
        await pipelines.start(app, owner, project.id, "gone")
    faulty, sha = await come("a: {script: x, image: y}", "faulty")
    assert faulty is not None
    view = await pipelines.show(app, owner, faulty)
    assert (view.status, view.sha, view.jobs) == (PipelineStatus.FAILED, sha, ())
    assert "line 1: job a: `image` is not supported" in view.error
    async with app.database.transaction() as connection:
        assert "`image`" in (await pipelines.told(connection, faulty))[1]
    pushed, _ = await come("a: {script: x, rules: [{if: $CI_PIPELINE_SOURCE == 'push'}]}", "pushed")
    again = await pipelines.start(app, owner, project.id, "main")
    newest, *_, oldest = await pipelines.find(app, owner, project.id)
    assert (newest.id, oldest.id) == (again.id, faulty)
    assert [view.id for view in await pipelines.find(app, owner, project.id, ref="pushed")] == [pushed]
    assert await pipelines.find(app, owner, project.id, before=faulty) == []


async def test_a_push_that_nobody_heard_of_gets_its_pipeline_at_the_next_start(
    app: App, owner: Actor, project: projects.ProjectView
) -> None:
    await put(app, project.id, CI, "imported", date="978307200 +0000")
    side = await put(app, project.id, CI.replace("you", "me"), "side")
    for _ in range(2):
        await repositories.catch_up(app)
        views = await pipelines.find(app, owner, project.id)
        assert sorted((view.ref, view.source) for view in views) == [("main", "push"), ("side", "push")]
        assert side in {view.sha for view in views}


async def test_a_call_that_waits_for_a_pipeline(app: App, owner: Actor, project: projects.ProjectView) -> None:
    view = await pipelines.start(app, owner, project.id)
    call = "c_" + "1" * 26
    for _ in range(2):
        assert await pipelines.wait_for(app, view.id, 999, call) is None
    await pipelines.cancel(app, owner, view.id)  # the session is gone; that spoils nothing
    async with app.database.transaction() as connection:
        assert (await connection.execute(select(pipeline_waits))).all() == []
    ended = await pipelines.wait_for(app, view.id, 999, call)
    assert ended is not None
    assert ended[0] is Outcome.ERROR


async def test_who_may(app: App, owner: Actor, project: projects.ProjectView) -> None:
    view = await pipelines.start(app, owner, project.id)
    stranger = await person(app, "eve", project.id, None, owner)
    guest = await person(app, "gus", project.id, Role.GUEST, owner)
    reporter = await person(app, "rex", project.id, Role.REPORTER, owner)
    developer = await person(app, "dev", project.id, Role.DEVELOPER, owner)
    for hidden in (stranger, guest):
        with pytest.raises(NotFoundError):
            await pipelines.show(app, hidden, view.id)
        with pytest.raises(NotFoundError):
            await pipelines.job_log(app, hidden, view.jobs[0].id)
    assert (await pipelines.show(app, reporter, view.id)).id == view.id
    for verb in (pipelines.cancel, pipelines.retry):
        with pytest.raises(ForbiddenError):
            await verb(app, reporter, view.id)
    with pytest.raises(ForbiddenError):
        await pipelines.start(app, reporter, project.id)
    assert (await pipelines.cancel(app, developer, view.id)).status is PipelineStatus.CANCELED


async def test_reports_at_once_let_the_next_stage_begin_once(
    app: App, owner: Actor, project: projects.ProjectView
) -> None:
    jobs = "\n".join(f"j{n}: {{script: x, stage: build}}" for n in range(6))
    await put(app, project.id, f"{jobs}\nlast: {{script: y, stage: deploy}}")
    await pipelines.start(app, owner, project.id)
    waiting = await offered(app)
    await asyncio.gather(*(end(app, job, 0) for job in waiting.values()))
    assert set(await offered(app)) == {"last"}


def test_variables_in_variables() -> None:
    grown = {f"V{n}": f"$V{n - 1}" * 100 for n in range(1, 9)}
    known = expanded({"A": "1", "B": "${A}2$C", "C": "$$A $X", "L": "$M", "M": "$L", "V0": "v" * 100, **grown})
    assert (known["B"], known["C"]) == ("12$A $X", "$A $X")
    assert "$" in known["L"]
    assert max(map(len, known.values())) < 300_000


async def test_deleting_a_project(app: App, owner: Actor, project: projects.ProjectView) -> None:
    await pipelines.start(app, owner, project.id)
    job = (await offered(app))["compile"]
    await end(app, job, 0, log="x", artifacts=b"y")
    await projects.delete_project(app, owner, project.id)
    async with app.database.transaction() as connection:
        for table in (project_rows, offers, leases):
            query = select(table)
            if table is project_rows:
                query = query.where(project_rows.c.id == project.id)
            elif table is offers:
                query = query.where(offers.c.job_id == job.job_id)
            assert (await connection.execute(query)).all() == []
        assert await output.read(connection, job.call_id) == b""
        await connection.execute(update(users).values(admin=True))
    with pytest.raises(NotFoundError):
        await app.forge.branches(project.id)
