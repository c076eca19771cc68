"""The branches of deleted sessions: those that are the session's go, with their pipelines; the project's stay."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from quarterdeck.app import deletion, forks, leftovers, merge_requests, pipelines, sessions
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.app.forks import ForkSession
from quarterdeck.app.merge_requests import CreateMergeRequest
from quarterdeck.app.sessions import StartSession
from quarterdeck.core import events as e
from quarterdeck.core.errors import NotFoundError
from quarterdeck.store.tables import blobs, offers, outputs, pipeline_jobs
from quarterdeck.store.tables import leftovers as rows
from quarterdeck.store.tables import pipelines as pipeline_rows
from tests.app.test_sessions import FLOW, SCRIPT
from tests.conftest import Start


def git(app: App, *arguments: str, stdin: str = "") -> str:
    who = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments],
        cwd=app.home / "repositories" / "1.git", env=dict.fromkeys(who, "ada"), input=stdin,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def commit(app: App, branch: str, text: str, *, parent: str = "main") -> str:
    """A commit with a file of that text on the branch."""
    blob = git(app, "hash-object", "-w", "--stdin", stdin=text)
    listed = git(app, "ls-tree", parent)
    tree = git(app, "mktree", stdin=f"{listed}\n100644 blob {blob}\tmade.txt\n")
    made = git(app, "commit-tree", tree, "-p", parent, "-m", text)
    git(app, "update-ref", f"refs/heads/{branch}", made)
    return made


async def pushed(app: App, start: Start, *, ref: str = "") -> tuple[int, str, str]:
    """A session that has pushed a commit: its number, branch and commit."""
    request = StartSession(project="sample", flow_yaml=FLOW, goal="g", model="scripted", script=SCRIPT, ref=ref)
    view = await sessions.start(app, start.owner, request)
    made = commit(app, view.branch, f"work of #{view.id}")
    async with change(app, view.id) as it:
        it.append(
            e.ExecutorAttached(executor="r", executor_kind="runner", lease_epoch=1),
            e.ArtifactCreated(artifact="branch", name=view.branch),
            e.ArtifactCreated(artifact="commit", name=made, ref={"branch": view.branch}),
        )
        await pipelines.start_for(it.connection, app, 1, view.branch, made, source="session", session_id=view.id)
    return view.id, view.branch, made


async def test_a_branch_goes_unless_it_is_the_projects_by_now(app: App, start: Start) -> None:
    (plain, gone, made), (asked, for_request, _), (extended, with_more, head), (base, used, _) = [
        await pushed(app, start) for _ in range(4)
    ]
    wish = CreateMergeRequest(source_branch=for_request, title="Take it")
    await merge_requests.create(app, start.owner, "sample", wish)
    commit(app, with_more, "somebody's own", parent=head)
    await pushed(app, start, ref=used)
    job_id = await fill_job(app, gone)
    for session_id in (plain, asked, extended, base):
        await deletion.delete_session(app, start.owner, session_id)
    standing = await app.forge.branches(1)
    assert gone not in standing
    assert {for_request, with_more, used} <= standing.keys()
    with pytest.raises(NotFoundError):
        await pipelines.job(app, start.owner, job_id)
    async with app.database.transaction() as connection:
        assert (await connection.execute(select(blobs.c.id).where(blobs.c.subject == f"job:{job_id}"))).all() == []
        assert (await connection.execute(select(outputs).where(outputs.c.call_id == "c_job"))).all() == []
        assert [row.branch for row in await connection.execute(select(rows))] == [""], "what git keeps is still due"
    # Git forgets the objects an hour later; in the test at once.
    assert git(app, "cat-file", "-t", made) == "commit"
    assert await leftovers.clear(app) == 0
    await leftovers.clear(app, now=datetime.now(UTC) + timedelta(hours=2), objects_kept=timedelta(0))
    with pytest.raises(AssertionError, match=r"Not a valid object|could not get"):
        git(app, "cat-file", "-t", made)
    git(app, "fsck", "--connectivity-only")
    async with app.database.transaction() as connection:
        assert (await connection.execute(select(rows))).all() == []


async def test_a_branch_of_which_no_commit_is_known_stays(app: App, start: Start) -> None:
    request = StartSession(project="sample", flow_yaml=FLOW, goal="g", model="scripted", script=SCRIPT)
    view = await sessions.start(app, start.owner, request)
    async with change(app, view.id) as it:  # it had hands and pushed nothing
        it.append(e.ExecutorAttached(executor="r", executor_kind="runner", lease_epoch=1))
    commit(app, view.branch, "somebody else's")
    await leftovers.note(app, 1, "main", "")
    await deletion.delete_session(app, start.owner, view.id)
    assert {view.branch, "main"} <= (await app.forge.branches(1)).keys()


async def test_a_fork_takes_the_branch_that_it_began_with_and_no_other(app: App, start: Start) -> None:
    source, branch, made = await pushed(app, start)
    fork = await forks.fork(app, start.owner, source, ForkSession())
    standing = await app.forge.branches(1)
    assert standing[fork.branch] == standing[branch] == made
    await deletion.delete_session(app, start.owner, source)
    assert fork.branch in await app.forge.branches(1)
    git(app, "gc", "--prune=now", "--quiet")
    assert git(app, "cat-file", "-t", made) == "commit"
    await deletion.delete_session(app, start.owner, fork.id)
    assert not {branch, fork.branch} & (await app.forge.branches(1)).keys()


async def fill_job(app: App, branch: str) -> int:
    """A job of the branch's pipeline with output and artifacts."""
    async with app.database.transaction() as connection:
        query = (
            select(pipeline_jobs.c.id)
            .join(pipeline_rows, pipeline_rows.c.id == pipeline_jobs.c.pipeline_id)
            .where(pipeline_rows.c.ref == branch)
        )
        job_id = (await connection.execute(query.limit(1))).scalar_one()
        await connection.execute(insert(offers).values(
            call_id="c_job", subject=f"job:{job_id}", job_id=job_id, side="executor", tool="pipeline_job", args={},
            status="finished",
        ))  # fmt: skip
        await connection.execute(insert(outputs).values(call_id="c_job", offset=0, data=b"out"))
        await connection.execute(insert(blobs).values(subject=f"job:{job_id}", size=0, sha256=""))
    return job_id


async def test_a_repository_that_is_gone_is_tried_again_later(app: App, start: Start) -> None:
    session_id, *_ = await pushed(app, start)
    folder = app.home / "repositories" / "1.git"
    folder.rename(Path(f"{folder}.away"))
    await deletion.delete_session(app, start.owner, session_id)
    async with app.database.transaction() as connection:
        row = (await connection.execute(select(rows))).one()
    assert row.due_at > datetime.now(UTC)
    Path(f"{folder}.away").rename(folder)
    assert await leftovers.clear(app, now=row.due_at) == 1
    assert row.branch not in await app.forge.branches(1)
