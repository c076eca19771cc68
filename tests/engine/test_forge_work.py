"""Connections to forges with a worker that takes their jobs: what comes is applied, what changes here is there."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from quarterdeck.app import connections, forge_deliveries, issues, projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.connections import Connect
from quarterdeck.app.projects import AddProject
from quarterdeck.core.errors import NotFoundError
from quarterdeck.forges.local import git
from quarterdeck.store.tables import connections as connection_rows
from quarterdeck.store.tables import forge_deliveries as delivery_rows
from tests.emulators import gitlab
from tests.emulators.gitlab import OCTO, GitLab
from tests.engine.test_worker import Slow, until, working

STORM = 200


@pytest.fixture
def server() -> Iterator[GitLab]:
    with gitlab.running() as made:
        yield made


async def nothing(_: object) -> None:
    return


async def test_a_storm_is_taken_and_an_answer_goes_back(app: App, owner: Actor, server: GitLab, tmp_path: Path) -> None:
    bare = tmp_path / "hello.git"
    await git.ask("init", "--quiet", "--bare", str(bare))
    project = await projects.add(app, owner, AddProject(path="hello"))
    wish = Connect(
        forge="gitlab",
        repository="octo/hello",
        token=SecretStr(gitlab.TOKEN),
        api_url=f"{server.url}/api/v4",
        git_url=str(bare),
    )

    async def read() -> bool:
        return (await connections.show(app, owner, project.id)).synced_at is not None

    async def applied() -> bool:
        async with app.database.transaction() as connection:
            left = select(func.count()).where(delivery_rows.c.applied_at.is_(None))
            return (await connection.execute(left)).scalar_one() == 0

    async def written() -> bool:
        return any(len(said) == 1 for said in server.notes.values())

    async with working(app, Slow(nothing)):
        view = await connections.connect(app, owner, project.id, wish)
        await until(read)
        async with app.database.transaction() as connection:
            number = (await connection.execute(select(connection_rows.c.id))).scalar_one()
        told = [server.make("issues", OCTO, title=f"Issue {n}") for n in range(STORM)]
        bodies = [json.dumps(server.hook("issue", one, OCTO, "open")).encode() for one in told]
        headers = {"x-gitlab-event": "Issue Hook", "x-gitlab-token": str(view.hook_secret)}
        for start in range(0, STORM, 8):  # a pool has so many connections
            sending = (
                forge_deliveries.receive(app, number, {**headers, "idempotency-key": f"m-{start}-{n}"}, body)
                for n, body in enumerate(bodies[start : start + 8])
            )
            assert all(await asyncio.gather(*sending))
        await until(applied)
        assert (await issues.show(app, owner, project.id, STORM)).title == f"Issue {STORM - 1}"
        with pytest.raises(NotFoundError):
            await issues.show(app, owner, project.id, STORM + 1)
        await issues.comment(app, owner, project.id, 7, "Seen.")
        await until(written)
    assert list(server.notes) == [("issues", 7)]
