"""What wakes a session: a time, another session's end, a pipeline's end; once, and through restarts."""

from typing import Any

import pytest
from sqlalchemy import func, select, update

from quarterdeck.app import deletion, notifications, pipelines, steering
from quarterdeck.app.application import App
from quarterdeck.core import events as e
from quarterdeck.core.answer import RequestedCall
from quarterdeck.core.status import Status
from quarterdeck.engine.desk import Desk
from quarterdeck.store.tables import notifications_wanted as rows
from tests.app.chats import begin, events, say, stored
from tests.conftest import Start


async def wish(app: App, session_id: int, **args: Any) -> str:
    """The agent asks to be woken; what it is told."""
    await say(app, session_id, "Wake me.", RequestedCall("p", "notify_me_when", args))
    call_id = next(iter((await stored(app, session_id)).calls))
    await Desk(app).carry_out(session_id, call_id)
    await Desk(app).carry_out(session_id, call_id)
    said = [one.payload for one in await events(app, session_id) if isinstance(one.payload, e.ToolCallFinished)]
    await say(app, session_id, "I wait.")
    return said[-1].text


async def wanted(app: App) -> list[int]:
    async with app.database.transaction() as connection:
        return list((await connection.execute(select(rows.c.id).order_by(rows.c.id))).scalars())


async def heard(app: App, session_id: int) -> list[str]:
    found = [one.payload for one in await events(app, session_id)]
    return [one.text for one in found if isinstance(one, e.MessageAdded) and one.by == notifications.SENDER]


async def test_a_time_wakes_an_idle_chat_once(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner)
    assert "You are sent a message at" in await wish(app, session_id, in_seconds=3600, note="look again")
    assert (await stored(app, session_id)).status is Status.IDLE
    (number,) = await wanted(app)
    assert await notifications.revive(app) == 0
    async with app.database.transaction() as connection:  # the hour is over, and its job was lost
        await connection.execute(update(rows).values(due_at=func.now() - func.make_interval(0, 0, 0, 0, 0, 1)))
    assert await notifications.revive(app) == 1
    await notifications.send(app, number)
    assert await notifications.revive(app) == 0
    (text,) = await heard(app, session_id)
    assert "look again" in text
    assert (await stored(app, session_id)).status is Status.RUNNING
    question = await say(app, session_id, "I have looked.")
    assert text in str(question.conversation.messages)


async def test_another_sessions_end_wakes_it(app: App, start: Start) -> None:
    other = await begin(app, start.owner, "Another")
    session_id = await begin(app, start.owner)
    await wish(app, session_id, session=other)
    (number,) = await wanted(app)
    await notifications.send(app, number)
    assert await heard(app, session_id) == [], "it has not happened"
    await steering.cancel(app, start.owner, other)
    await deletion.delete_session(app, start.owner, other)
    await notifications.send(app, number)
    assert [f"Session #{other}" in text for text in await heard(app, session_id)] == [True]
    await say(app, session_id, "Oh.")
    again = await begin(app, start.owner, "A third")
    await steering.cancel(app, start.owner, again)
    await steering.reply(app, start.owner, session_id, "And that one?")
    await wish(app, session_id, session=again)
    await notifications.send(app, (await wanted(app))[-1])
    assert "is stopped" in (await heard(app, session_id))[-1], "what has ended before is told at once"


async def test_a_pipelines_end_wakes_it(app: App, start: Start) -> None:
    pipeline = await pipelines.start(app, start.owner, 1, "main")
    session_id = await begin(app, start.owner, project="sample")
    await wish(app, session_id, pipeline=pipeline.id)
    await pipelines.cancel(app, start.owner, pipeline.id)
    await notifications.send(app, (await wanted(app))[0])
    assert f"Pipeline #{pipeline.id} has ended: canceled" in (await heard(app, session_id))[0]


async def test_what_it_may_not_see_or_ask_is_told_to_the_agent(app: App, start: Start) -> None:
    session_id = await begin(app, start.owner)
    for args, word in (
        ({"in_seconds": 1, "session": 1}, "exactly one"),
        ({}, "exactly one"),
        ({"session": 4711}, "no session"),
        ({"pipeline": 4711}, "no pipeline"),
        ({"session": session_id}, "its own end"),
        ({"at": "2999-01-01T00:00:00Z"}, "30 days"),
        ({"at": "tomorrow"}, "no time"),
        ({"at": "2027-01-01T00:00:00"}, "no zone"),
    ):
        if (await stored(app, session_id)).status is Status.IDLE:
            await steering.reply(app, start.owner, session_id, "Try")
        assert word in await wish(app, session_id, **args)
    assert await wanted(app) == []


async def test_the_end_of_the_session_takes_its_wishes_away(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "MOST", 1)
    session_id = await begin(app, start.owner)
    await wish(app, session_id, in_seconds=60)
    await steering.reply(app, start.owner, session_id, "Once more")
    assert "as often as it may" in await wish(app, session_id, in_seconds=60)
    (number,) = await wanted(app)
    await steering.cancel(app, start.owner, session_id)
    assert await wanted(app) == []
    await notifications.send(app, number)
