"""A list that stays true: what a watcher is told, and what not."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from quarterdeck.app import deletion, live_lists, sessions, steering
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.live_lists import ChangedSignal, GoneSignal, PageSignal, Signal
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.core.access import Role
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.status import Status
from tests.app import chats
from tests.app.test_session_bulk import NEW, person
from tests.conftest import Start


class Watcher:
    """Follows a list, and says what comes next."""

    def __init__(self, app: App, actor: Actor, wanted: SessionFilter, *, limit: int = 50, shown: tuple[int, ...] = ()):
        self._stream: AsyncIterator[list[Signal]] = live_lists.changes(app, actor, wanted, limit=limit, shown=shown)
        self._waiting: list[Signal] = []

    async def next(self) -> Signal:
        while not self._waiting:
            self._waiting = await asyncio.wait_for(anext(self._stream), 60)
        return self._waiting.pop(0)

    async def changed(self) -> tuple[int, Status]:
        signal = await self.next()
        assert isinstance(signal, ChangedSignal)
        return signal.row.id, signal.row.status


async def test_a_watcher_is_told_what_changes_in_the_list_and_nothing_else(app: App, start: Start) -> None:
    dev = await person(app, "dev", Role.DEVELOPER)
    first = (await sessions.start(app, start.owner, NEW)).id
    all_, created = Watcher(app, dev, SessionFilter()), Watcher(app, dev, SessionFilter(status=Status.CREATED))
    for watcher in (all_, created):
        page = await watcher.next()
        assert isinstance(page, PageSignal)
        assert [row.id for row in page.page.items] == [first]

    hidden = await chats.begin(app, start.owner, project="sample")
    await steering.cancel(app, start.owner, hidden)
    await deletion.delete_session(app, start.owner, hidden)
    second = (await sessions.start(app, dev, NEW)).id
    assert await all_.changed() == await created.changed() == (second, Status.CREATED)

    await steering.cancel(app, dev, second)
    assert await all_.changed() == (second, Status.STOPPED)
    assert await created.next() == GoneSignal(second)
    await deletion.delete_session(app, dev, second)
    assert await all_.next() == GoneSignal(second)
    await steering.cancel(app, start.owner, first)
    assert await all_.changed() == (first, Status.STOPPED)
    assert await created.next() == GoneSignal(first), "and not a second time of the one that was gone already"


async def test_bells_that_were_lost_bring_the_page_again(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_lists, "PATIENCE_SECONDS", -1)
    watcher = Watcher(app, start.owner, SessionFilter(project="sample"))
    first = await watcher.next()
    assert isinstance(first, PageSignal)
    assert not first.page.items
    session_id = (await sessions.start(app, start.owner, NEW)).id
    again = await watcher.next()
    assert isinstance(again, PageSignal)
    assert [row.id for row in again.page.items] == [session_id]


async def test_what_stands_on_another_page_by_now_is_not_gone(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_lists, "PATIENCE_SECONDS", -1)
    wanted = SessionFilter(status=Status.CREATED)
    first = (await sessions.start(app, start.owner, NEW)).id
    watcher = Watcher(app, start.owner, wanted, limit=1)
    await watcher.next()
    second = (await sessions.start(app, start.owner, NEW)).id
    pushed = await watcher.next()
    assert isinstance(pushed, PageSignal)
    assert [row.id for row in pushed.page.items] == [second]
    assert pushed.page.next
    third = (await sessions.start(app, start.owner, NEW)).id
    page = await watcher.next()
    assert isinstance(page, PageSignal), "of the first, which is on another page now, nothing was told"

    await steering.cancel(app, start.owner, first)
    await steering.rename(app, start.owner, second, "Anew")  # which leads the page
    back = Watcher(app, start.owner, wanted, limit=1, shown=(first, second, third))
    page = await back.next()
    assert isinstance(page, PageSignal)
    here = page.page.items[0].id
    told = {await back.next() for _ in range(2)}
    assert GoneSignal(first) in told, "who comes back is told what left the list meanwhile"
    (other,) = (one.row.id for one in told if isinstance(one, ChangedSignal))
    assert {here, other} == {second, third}


async def test_a_watcher_of_a_project_that_is_not_there_for_them(app: App, start: Start) -> None:
    eve = Actor(start.owner.user_id + 1000, "eve", "", "", admin=False)
    with pytest.raises(NotFoundError):
        await Watcher(app, eve, SessionFilter(project="sample")).next()
