import asyncio
from typing import Any

import pytest
from sqlalchemy import insert, select

from quarterdeck.app import merge_requests, pipelines, projects, repositories, reviews
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.comments import TEXT_CHARACTERS
from quarterdeck.app.merge_requests import CreateMergeRequest, UpdateMergeRequest
from quarterdeck.app.reviews import Review
from quarterdeck.core.access import Role
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.forges.local import git
from quarterdeck.store.tables import projects as project_rows
from quarterdeck.store.tables import users

CI = "a: {script: x}\n"


async def commit(app: App, project_id: int, branch: str, base: str | None, **files: str) -> str:
    stream = f"commit refs/heads/{branch}\ncommitter Ada <a@b> now\ndata 4\nwork\n"
    stream += f"from refs/heads/{base}\n" if base else ""
    for name, text in files.items():
        stream += f"M 100644 inline {name}\ndata {len(text)}\n{text}\n"
    folder = app.home / "repositories" / f"{project_id}.git"
    await git.ask("fast-import", "--quiet", "--date-format=now", directory=folder, stdin=stream.encode())
    return await app.forge.commit_of(project_id, branch)


@pytest.fixture
async def project(app: App, owner: Actor) -> projects.ProjectView:
    made = await projects.add(app, owner, projects.AddProject(path="app"))
    await commit(app, made.id, "main", None, **{".gitlab-ci.yml": CI, "text": "one\n"})
    await commit(app, made.id, "work", "main", text="two\n")
    await commit(app, made.id, "clash", "main", text="three\n")
    return made


async def person(app: App, owner: Actor, project: projects.ProjectView, name: str, role: Role | None) -> Actor:
    async with app.database.transaction() as connection:
        made = insert(users).values(username=name, name=name).returning(users.c.id)
        user_id = (await connection.execute(made)).scalar_one()
    if role is not None:
        await projects.set_member(app, owner, project.id, name, role)
    return Actor(user_id, name, name, f"{name}@example.com", False)


def request(source: str = "work", **more: Any) -> CreateMergeRequest:
    return CreateMergeRequest.model_validate({"source_branch": source, "title": "Say two", **more})


async def test_from_open_to_merged(app: App, owner: Actor, project: projects.ProjectView) -> None:
    dev = await person(app, owner, project, "dev", Role.DEVELOPER)
    made = await merge_requests.create(app, dev, project.id, request(description="why"), call_id="c_1")
    assert (made.iid, made.name, made.status, made.author, made.target_branch) == (1, "!1", "opened", "dev", "main")
    assert (await merge_requests.create(app, dev, project.id, request(title="again"))).iid == 1
    assert (await merge_requests.create(app, dev, project.id, request("clash"), call_id="c_1")).iid == 1
    sha = await app.forge.commit_of(project.id, "work")
    async with app.database.transaction() as connection:
        pipeline = await pipelines.start_for(connection, app, project.id, "work", sha, source="push")
    for _ in range(2):
        await merge_requests.comment(app, dev, project.id, 1, " looks\x00 good ", call_id="c_2")
    view = await merge_requests.show(app, dev, project.id, 1)
    assert [(one.author, one.text) for one in view.comments] == [("dev", "looks\ufffd good")]
    assert view.pipeline is not None
    assert view.pipeline.id == pipeline
    diff = await merge_requests.diff(app, dev, project.id, 1)
    assert b"-one\n+two\n" in diff
    with pytest.raises(ForbiddenError, match="Maintainer"):
        await merge_requests.merge(app, dev, project.id, 1)
    for act in (
        merge_requests.merge(app, owner, project.id, 1, head="0" * 40),
        reviews.submit(app, owner, project.id, 1, Review(verdict="approved", head="0" * 40)),
    ):
        with pytest.raises(ConflictError, match="work has moved on since you looked at !1"):
            await act
    head = await app.forge.commit_of(project.id, "work")
    assert view.head == head
    view = await merge_requests.merge(app, owner, project.id, 1, head=head)
    assert (view.status, view.ended_at is not None) == ("merged", True)
    assert await app.forge.commit_of(project.id, "main") == view.merge_commit
    assert await repositories.file(app, dev, project.id, "text") == b"two\n"
    assert await merge_requests.diff(app, dev, project.id, 1) == diff
    assert [(one.ref, one.sha) for one in await pipelines.find(app, dev, project.id, ref="main")] == [
        ("main", view.merge_commit)
    ]
    for verb in (merge_requests.merge, merge_requests.close):
        with pytest.raises(ConflictError, match="merged already"):
            await verb(app, owner, project.id, 1)
    second = await merge_requests.create(app, dev, project.id, request("clash"))
    with pytest.raises(ConflictError, match="both changed text"):
        await merge_requests.merge(app, owner, project.id, second.iid)
    assert (await merge_requests.close(app, dev, project.id, 2)).status == "closed"
    listed = await merge_requests.find(app, dev, project.id)
    assert [(one.iid, one.status) for one in listed] == [(2, "closed"), (1, "merged")]
    assert [one.iid for one in await merge_requests.find(app, dev, project.id, status="merged")] == [1]


async def test_what_cannot_be_merged(app: App, owner: Actor, project: projects.ProjectView) -> None:
    await commit(app, project.id, "same", "main")
    folder = app.home / "repositories" / f"{project.id}.git"
    await git.ask("branch", "-f", "same", "main", directory=folder)
    for source, said in (("gone", "no branch"), ("main", "both 'main'"), ("same", "nothing to merge")):
        with pytest.raises(InvalidInputError, match=said):
            await merge_requests.create(app, owner, project.id, request(source))
    with pytest.raises(InvalidInputError, match="title"):
        await merge_requests.create(app, owner, project.id, request(title=" \n "))
    with pytest.raises(NotFoundError):
        await merge_requests.show(app, owner, project.id, 1)
    reporter = await person(app, owner, project, "rex", Role.REPORTER)
    with pytest.raises(ForbiddenError):
        await merge_requests.create(app, reporter, project.id, request())
    eve = await person(app, owner, project, "eve", None)
    with pytest.raises(NotFoundError):
        await merge_requests.find(app, eve, project.id)


async def test_many_at_once_get_one_number_each(app: App, owner: Actor, project: projects.ProjectView) -> None:
    for n in range(4):
        await commit(app, project.id, f"b{n}", "main", text=f"{n}\n")
    wanted = [f"b{n % 4}" for n in range(8)]
    made = await asyncio.gather(*(merge_requests.create(app, owner, project.id, request(b)) for b in wanted))
    assert {view.iid for view in made} == {1, 2, 3, 4}
    assert len({(view.iid, view.source_branch) for view in made}) == 4


async def test_projects_and_members(app: App, owner: Actor, project: projects.ProjectView) -> None:
    dev = await person(app, owner, project, "dev", Role.DEVELOPER)
    eve = await person(app, owner, project, "eve", None)
    assert [view.path for view in await projects.find(app, owner)] == ["app", "sample"]
    assert [(view.path, view.role) for view in await projects.find(app, dev)] == [("app", "developer")]
    assert await projects.find(app, eve) == []
    for path in ("", "7", "a b", "../x", "x.git", "a//b", "-x", "a/"):
        with pytest.raises(InvalidInputError):
            await projects.add(app, owner, projects.AddProject(path=path))
    with pytest.raises(ConflictError):
        await projects.add(app, owner, projects.AddProject(path="app"))
    with pytest.raises(ForbiddenError):
        await projects.add(app, eve, projects.AddProject(path="eve/x", source=str(app.home / "repositories" / "1.git")))
    with pytest.raises(InvalidInputError, match="can't be cloned"):
        await projects.add(app, owner, projects.AddProject(path="broken", source="/nonexistent"))
    copied = await projects.add(
        app, owner, projects.AddProject(path="team/copy", source=str(app.home / "repositories" / f"{project.id}.git"))
    )
    assert [view.name for view in await repositories.branches(app, owner, copied.id)] == ["main", "clash", "work"]
    assert len(await pipelines.find(app, owner, copied.id)) == 1
    mine = await projects.add(app, eve, projects.AddProject(path="eve/own"))
    assert mine.role == "owner"
    for verb in (
        projects.set_member(app, eve, mine.id, "eve", Role.GUEST),
        projects.remove_member(app, eve, mine.id, "eve"),
    ):
        with pytest.raises(ConflictError, match="at least one owner"):
            await verb
    await projects.set_member(app, eve, mine.id, "dev", Role.MAINTAINER)
    with pytest.raises(ForbiddenError):
        await projects.set_member(app, dev, mine.id, "dev", Role.OWNER)
    with pytest.raises(ForbiddenError):
        await projects.remove_member(app, dev, mine.id, "eve")
    with pytest.raises(NotFoundError):
        await projects.set_member(app, eve, mine.id, "nobody", Role.GUEST)
    assert [member.username for member in await projects.remove_member(app, dev, mine.id, "dev")] == ["eve"]
    with pytest.raises(ForbiddenError):
        await projects.delete_project(app, dev, project.id)
    await projects.delete_project(app, eve, mine.id)
    async with app.database.transaction() as connection:
        left = (await connection.execute(select(project_rows.c.path).order_by(project_rows.c.path))).scalars().all()
    assert left == ["app", "sample", "team/copy"]
    assert {path.name for path in (app.home / "repositories").iterdir()} == {
        f"{view.id}.git" for view in await projects.find(app, owner)
    }


async def test_people_of_a_merge_request_and_what_they_say(
    app: App, owner: Actor, project: projects.ProjectView
) -> None:
    """Named are members; a verdict is of somebody else than the author, of what is open, and outlives a naming anew."""
    dev = await person(app, owner, project, "dev", Role.DEVELOPER)
    rex = await person(app, owner, project, "rex", Role.REPORTER)
    with pytest.raises(InvalidInputError, match="nobody is none"):
        await merge_requests.create(app, dev, project.id, request(reviewers=["nobody"]))
    wanted = request(assignees=["dev"], reviewers=["rex", "ada", "rex"])
    made = await merge_requests.create(app, dev, project.id, wanted)
    assert (made.iid, made.assignees) == (1, ("dev",)), "what was refused took no number"
    assert [(one.username, one.verdict) for one in made.reviewers] == [("ada", None), ("rex", None)]
    wish = Review(verdict="approved")
    for who, why in ((dev, "others than its author"), (rex, "Developer")):
        with pytest.raises(ForbiddenError, match=why):
            await reviews.submit(app, who, project.id, 1, wish)
    with pytest.raises(InvalidInputError, match="or a verdict"):
        await reviews.submit(app, owner, project.id, 1, Review(summary=" "))
    await reviews.submit(app, owner, project.id, 1, Review(summary="no", verdict="changes_requested"))
    seen = await reviews.submit(app, owner, project.id, 1, wish)
    head = await app.forge.commit_of(project.id, "work")
    assert [one.text for one in seen.comments] == ["no"]
    assert seen.reviewers[0].model_dump() == {"username": "ada", "verdict": "approved", "commit": head}
    changed = await merge_requests.change(app, dev, project.id, 1, UpdateMergeRequest(reviewers=("ada",), assignees=()))
    assert [(one.username, one.verdict) for one in changed.reviewers] == [("ada", "approved")]
    assert changed.assignees == ()
    changed = await merge_requests.change(app, dev, project.id, 1, UpdateMergeRequest(reviewers=()))
    assert [(one.username, one.verdict) for one in changed.reviewers] == [("ada", "approved")], "it is not taken away"
    assert (await merge_requests.change(app, dev, project.id, 1, UpdateMergeRequest(title="T"))).reviewers
    assert (await merge_requests.find(app, rex, project.id))[0].reviewers == changed.reviewers
    await merge_requests.close(app, dev, project.id, 1)
    with pytest.raises(ConflictError, match="closed already"):
        await reviews.submit(app, owner, project.id, 1, Review(summary="late", verdict="approved"))
    assert len((await merge_requests.show(app, dev, project.id, 1)).comments) == 1, "all of a review or nothing"


async def test_a_page_has_so_much_of_what_was_said(app: App, owner: Actor, project: projects.ProjectView) -> None:
    """The newest come, however large one is; a list has the beginnings of descriptions."""
    large = "x" * TEXT_CHARACTERS
    await merge_requests.create(app, owner, project.id, request(description=large))
    for n in range(5):
        await merge_requests.comment(app, owner, project.id, 1, f"{n}{large[1:]}")
    seen = await merge_requests.comment(app, owner, project.id, 1, f"5{large[1:]}")
    assert ([one.text[0] for one in seen.comments], seen.comments_left_out) == (list("2345"), 2)
    huge = "\N{FISH}" * TEXT_CHARACTERS
    seen = await merge_requests.comment(app, owner, project.id, 1, huge)
    assert ([one.text[0] for one in seen.comments], seen.comments_left_out) == (["\N{FISH}"], 6)
    (listed,) = await merge_requests.find(app, owner, project.id)
    assert len(listed.description) == 2_000
    assert seen.description == large


async def test_a_closed_one_is_opened_again(app: App, owner: Actor, project: projects.ProjectView) -> None:
    rex = await person(app, owner, project, "rex", Role.REPORTER)
    await merge_requests.create(app, owner, project.id, request())
    with pytest.raises(ConflictError, match="only a closed one"):
        await merge_requests.reopen(app, owner, project.id, 1)
    await merge_requests.close(app, owner, project.id, 1)
    with pytest.raises(ForbiddenError, match="Developer"):
        await merge_requests.reopen(app, rex, project.id, 1)
    view = await merge_requests.reopen(app, owner, project.id, 1)
    assert (view.status, view.ended_at) == ("opened", None)
    await merge_requests.close(app, owner, project.id, 1)
    assert (await merge_requests.create(app, owner, project.id, request())).iid == 2
    with pytest.raises(ConflictError, match="another open merge request from work to main"):
        await merge_requests.reopen(app, owner, project.id, 1)
    await merge_requests.merge(app, owner, project.id, 2)
    await app.forge.delete_branches(project.id, {"work": await app.forge.commit_of(project.id, "work")})
    with pytest.raises(InvalidInputError, match="no branch 'work'"):
        await merge_requests.reopen(app, owner, project.id, 1)
