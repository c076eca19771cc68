"""Short lists that stay true: looked up once for all of a person's pages, and only when something of them changes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete, update

from quarterdeck.app import board_bells, boards, deletion, overviews, session_lists, sessions, steering
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.boards import Overview
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.core.access import Role
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.status import StatusGroup
from quarterdeck.store.tables import members
from quarterdeck.store.tables import sessions as rows
from tests.app import chats
from tests.app.test_session_bulk import NEW, person
from tests.conftest import Start
from tests.queries import counted

OWN = ((SessionFilter(mine=True, kind="flow"), 8), (SessionFilter(mine=True, kind="chat"), 8))
SEEN = ((SessionFilter(status_group=StatusGroup.ACTIVE), 2), (SessionFilter(status_group=StatusGroup.CANCELED), 2))


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "REST_SECONDS", 0.0)


class Watcher:
    """Looks at a board, and says what stands on it next."""

    def __init__(self, app: App, actor: Actor, wanted: overviews.Wanted) -> None:
        self._stream: AsyncIterator[Overview] = overviews.changes(app, actor, wanted)

    async def next(self) -> list[list[int]]:
        found = await asyncio.wait_for(anext(self._stream), 60)
        return [[row.id for row in listed] for listed in found.lists]


async def test_a_board_is_told_of_what_belongs_to_it_and_of_nothing_else(app: App, start: Start) -> None:
    dev = await person(app, "dev", Role.DEVELOPER)
    guest = await person(app, "guest", Role.GUEST)
    own, seen, nothing = Watcher(app, dev, OWN), Watcher(app, dev, SEEN), Watcher(app, guest, SEEN)
    assert await own.next() == await seen.next() == await nothing.next() == [[], []]
    first = (await sessions.start(app, dev, NEW)).id
    assert await own.next() == [[first], []] == await seen.next()
    chat = await chats.begin(app, dev, project="sample")
    assert await own.next() == [[first], [chat]]
    assert await seen.next() == [[chat, first], []]
    # A chat of another is nobody's business; a session of the project belongs to the one board alone.
    await chats.begin(app, start.owner, project="sample")
    other = (await sessions.start(app, start.owner, NEW)).id
    assert await seen.next() == [[other, chat], []], "two of each list, the newest first"
    await steering.cancel(app, start.owner, other)
    assert await seen.next() == [[chat, first], [other]]
    await steering.cancel(app, dev, first)
    assert await own.next() == [[first], [chat]], "nothing was told of what does not belong there"
    assert sorted((await seen.next())[1]) == [first, other]
    await deletion.delete_session(app, dev, first)
    assert await own.next() == [[], [chat]]
    assert await seen.next() == [[chat], [other]]
    async with app.database.transaction() as connection:
        await connection.execute(delete(members).where(members.c.user_id == dev.user_id))
    await steering.cancel(app, dev, chat)
    assert await seen.next() == [[], [chat]], "of a project that was left nothing more is seen"
    late = asyncio.ensure_future(nothing.next())
    await asyncio.sleep(0)
    assert not late.done()
    late.cancel()


async def test_all_pages_of_a_person_are_one_look_and_all_boards_one_query(app: App, start: Start) -> None:
    dev = await person(app, "dev", Role.DEVELOPER)
    watching = [Watcher(app, actor, OWN) for actor in (dev, start.owner) for _ in range(20)]
    with counted(app) as opened:
        await asyncio.gather(*(one.next() for one in watching))
    assert len(opened) == 2, "a list that is empty is looked up once for each person"
    number = (await sessions.start(app, dev, NEW)).id
    assert await asyncio.gather(*(one.next() for one in watching[:20])) == [[[number], []]] * 20
    with counted(app) as told:
        await steering.rename(app, dev, number, "Another title")
        changing = len(told)
        await asyncio.gather(*(one.next() for one in watching[:20]))
    assert len(told) - changing <= 3, "which boards it concerns, and then places and rows of the one"
    with counted(app) as asked:
        assert (await overviews.show(app, dev, OWN)).lists[0][0].title == "Another title"
    assert len(asked) == 2


async def test_bells_that_were_not_heard_are_made_up_for(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_bells, "PATIENCE_SECONDS", 0.1)
    number = (await sessions.start(app, start.owner, NEW)).id
    watcher = Watcher(app, start.owner, OWN)
    assert await watcher.next() == [[number], []]
    async with app.database.transaction() as connection:  # which rings no bell
        await connection.execute(update(rows).where(rows.c.id == number).values(title="Silently"))
    assert await watcher.next() == [[number], []]
    assert (await overviews.show(app, start.owner, OWN)).lists[0][0].title == "Silently"


async def test_who_looks_when_it_breaks_is_told_and_comes_again(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchers = [Watcher(app, start.owner, OWN) for _ in range(2)]
    for watcher in watchers:
        await watcher.next()

    async def broken(*_: object) -> None:
        raise NotFoundError("not now")

    waiting = [asyncio.ensure_future(one.next()) for one in watchers]
    with monkeypatch.context() as patch:
        patch.setattr(board_bells.Boards, "_notice", broken)
        number = (await sessions.start(app, start.owner, NEW)).id
        for one in waiting:
            with pytest.raises(NotFoundError, match="not now"):
                await one
    again = Watcher(app, start.owner, OWN)
    assert await again.next() == [[number], []]
    await steering.rename(app, start.owner, number, "Goes on")
    assert await again.next() == [[number], []]


async def test_a_board_that_can_not_be_looked_up_is_no_matter_of_the_others(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev = await person(app, "dev", Role.DEVELOPER)
    several, fails, failed = session_lists.several, asyncio.Event(), asyncio.Event()

    async def look(app: App, actor: Actor, wanted: overviews.Wanted) -> boards.Lists:
        if actor is dev and fails.is_set():
            failed.set()
            raise NotFoundError("not now")
        return await several(app, actor, wanted)

    monkeypatch.setattr(session_lists, "several", look)
    own, theirs = Watcher(app, dev, OWN), Watcher(app, start.owner, SEEN)
    assert await own.next() == await theirs.next() == [[], []]
    waiting = asyncio.ensure_future(own.next())
    fails.set()
    number = (await sessions.start(app, dev, NEW)).id
    assert await theirs.next() == [[number], []]
    await asyncio.wait_for(failed.wait(), 60)
    assert not waiting.done(), "it stands as it did"
    fails.clear()
    assert await waiting == [[number], []], "and is looked up again"
