"""What somebody may do with a session: asked once for all who watch, and never more than a use case would allow."""

import asyncio

import pytest
from sqlalchemy import delete

from quarterdeck.app import people, session_rights, sessions, steering
from quarterdeck.app.application import App
from quarterdeck.app.session_rights import SessionRights
from quarterdeck.app.together import GROUP
from quarterdeck.core.access import Role
from quarterdeck.core.errors import ForbiddenError, NotFoundError
from quarterdeck.store.tables import members
from tests.app import chats
from tests.app.test_session_bulk import NEW, person
from tests.conftest import Start
from tests.queries import counted

ALL = SessionRights(steer=True, cancel=True, hold=True, delete=True)
NONE = SessionRights(steer=False, cancel=False, hold=False, delete=False)


async def test_a_role_has_what_the_use_cases_allow(app: App, start: Start) -> None:
    dev = await person(app, "dev", Role.DEVELOPER)
    number = (await sessions.start(app, dev, NEW)).id
    chat = await chats.begin(app, dev, project="sample")
    other, keeper = await person(app, "other", Role.DEVELOPER), await person(app, "keeper", Role.MAINTAINER)
    boss = await person(app, "boss", Role.OWNER)
    assert await session_rights.rights(app, dev, number) == ALL == await session_rights.rights(app, dev, chat)
    assert await session_rights.rights(app, other, number) == NONE
    kept = NONE.model_copy(update={"cancel": True, "hold": True})
    assert await session_rights.rights(app, keeper, number) == kept
    owned = kept.model_copy(update={"delete": True})
    assert (
        await session_rights.rights(app, boss, number) == await session_rights.rights(app, start.owner, number) == owned
    )
    guest = await person(app, "guest", Role.GUEST)
    for stranger, which in ((guest, number), (boss, chat), (start.owner, chat), (boss, 999)):
        with pytest.raises(NotFoundError):
            await session_rights.rights(app, stranger, which)


async def test_who_has_left_the_project_keeps_what_is_theirs_and_steers_no_more(app: App, start: Start) -> None:
    dev = await person(app, "dev", Role.DEVELOPER)
    number = (await sessions.start(app, dev, NEW)).id
    async with app.database.transaction() as connection:
        await connection.execute(delete(members).where(members.c.user_id == dev.user_id))
    assert await session_rights.rights(app, dev, number) == ALL.model_copy(update={"steer": False})
    with pytest.raises(ForbiddenError, match="you need the role Developer; yours is none"):
        await steering.pause(app, dev, number)


async def test_all_who_ask_at_once_are_a_query_for_each_group(app: App, start: Start) -> None:
    """A moment of a session asks this of every watcher: who they are, and what they may."""
    dev = await person(app, "dev", Role.DEVELOPER)
    number = (await sessions.start(app, dev, NEW)).id
    watchers = 3 * GROUP

    async def let_in() -> SessionRights:
        return await session_rights.rights(app, await people.authenticate(app, start.token), number)

    await let_in()  # the first use of a token is noted
    with counted(app) as one:
        await let_in()
    assert len(one) == 2, one
    with counted(app) as many:
        found = await asyncio.gather(*(let_in() for _ in range(watchers)))
    assert found == [ALL.model_copy(update={"steer": False})] * watchers
    assert len(many) <= 2 * (watchers // GROUP + 2), "each group is asked for in one query, and the first goes at once"
