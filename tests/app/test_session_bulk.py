"""One action on many sessions: exactly those of the preview, each by its own check."""

import pytest
from sqlalchemy import insert, update

from quarterdeck.app import session_bulk, sessions, steering
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_bulk import BulkOrder, BulkWish
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.sessions import StartSession
from quarterdeck.core.access import Role
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.status import Status
from quarterdeck.store.tables import members, users
from tests.app import chats
from tests.conftest import Start

NEW = StartSession(project="sample", flow="fix_pipeline/v1", model="scripted", inputs={"pipeline": {"id": 1}})
HERE = SessionFilter(project="sample")


async def person(app: App, name: str, role: Role) -> Actor:
    async with app.database.transaction() as connection:
        number = (await connection.execute(insert(users).values(username=name).returning(users.c.id))).scalar_one()
        await connection.execute(insert(members).values(project_id=1, user_id=number, role=int(role)))
    return Actor(number, name, "", "", admin=False)


async def test_cancel_is_done_to_what_was_seen_and_still_fits(app: App, start: Start) -> None:
    dev = await person(app, "dev", Role.DEVELOPER)
    mine, over = [(await sessions.start(app, dev, NEW)).id for _ in range(2)]
    others = (await sessions.start(app, start.owner, NEW)).id
    await chats.begin(app, start.owner, project="sample")
    await steering.cancel(app, dev, over)
    wish = BulkWish(action="cancel", filter=HERE)
    seen = await session_bulk.preview(app, dev, wish)
    assert (seen.ids, [row.id for row in seen.first]) == ((mine,), [mine])
    assert (seen.not_allowed, seen.nothing_to_do, seen.more) == (1, 1, False)
    late = (await sessions.start(app, dev, NEW)).id

    order = BulkOrder(action="cancel", filter=HERE, ids=(mine, others, mine, 999), reason="enough")
    results = {one.id: one for one in (await session_bulk.act(app, dev, order)).results}
    assert results[mine].done
    assert "Maintainer" in results[others].why
    assert results[999].why == "It does not fit the filter any more.", "of what one may not see nothing else is told"
    assert (await sessions.show(app, dev, mine)).reason == "enough"
    assert (await sessions.show(app, dev, others)).status is Status.CREATED
    assert (await sessions.show(app, dev, late)).status is Status.CREATED

    running = SessionFilter(status=Status.CREATED)
    again = BulkOrder(action="delete", filter=running, ids=(mine,))
    assert not (await session_bulk.act(app, dev, again)).results[0].done, "it was stopped meanwhile"


async def test_holding_releasing_and_deleting(app: App, start: Start) -> None:
    ids = tuple(sorted([(await sessions.start(app, start.owner, NEW)).id for _ in range(3)], reverse=True))

    async def run(action: session_bulk.Action) -> set[int]:
        seen = await session_bulk.preview(app, start.owner, BulkWish(action=action, filter=HERE))
        if not seen.ids:
            return set()
        done = await session_bulk.act(app, start.owner, BulkOrder(action=action, filter=HERE, ids=seen.ids))
        assert all(one.done for one in done.results), done
        return set(seen.ids)

    await steering.hold(app, start.owner, ids[0], held=True)
    assert await run("hold") == set(ids[1:])
    assert await run("hold") == set()
    refused = await session_bulk.act(app, start.owner, BulkOrder(action="delete", filter=HERE, ids=ids))
    assert ["held" in one.why for one in refused.results] == [True] * 3
    assert await run("release") == set(ids)
    assert await run("delete") == set(ids)
    with pytest.raises(NotFoundError):
        await sessions.show(app, start.owner, ids[0])


async def test_a_role_that_was_taken_away_between_is_seen(app: App, start: Start) -> None:
    dev = await person(app, "dev", Role.MAINTAINER)
    others = (await sessions.start(app, start.owner, NEW)).id
    wish = BulkWish(action="cancel", filter=SessionFilter(initiator="ada"))
    assert (await session_bulk.preview(app, dev, wish)).ids == (others,)
    async with app.database.transaction() as connection:
        await connection.execute(update(members).where(members.c.user_id == dev.user_id).values(role=20))
    assert (await session_bulk.preview(app, dev, wish)).ids == ()
    order = BulkOrder(action="cancel", filter=wish.filter, ids=(others,))
    assert not (await session_bulk.act(app, dev, order)).results[0].done
