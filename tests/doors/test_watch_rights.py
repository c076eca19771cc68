"""Who watches is let in again while they do: a stream ends when they may not any more, and shows what they may."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import psycopg
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse

from quarterdeck.app import people
from quarterdeck.doors import sse
from tests.conftest import PERSON
from tests.doors.conftest import Running
from tests.doors.test_sessions import NEW

BEARER = {"Authorization": f"Bearer {PERSON}"}
Sql = psycopg.Connection[Any]
API = "/api/v1"


@pytest.fixture
def sql(running: Running, database_url: str) -> Iterator[Sql]:
    del running  # which makes the first rows
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def member(sql: Sql, name: str, role: int) -> dict[str, str]:
    """The headers of a new member of the sample project, at both doors."""
    sql.execute("insert into users (username) values (%s)", [name])
    sql.execute(
        "insert into members (project_id, user_id, role) select 1, id, %s from users where username = %s", [role, name]
    )
    for kind in ("browser", "personal"):
        sql.execute(
            "insert into tokens (hash, kind, name, user_id) select %s, %s, '', id from users where username = %s",
            [people.digest(f"{kind}-{name}"), kind, name],
        )
    return {"Cookie": f"quarterdeck=browser-{name}", "Authorization": f"Bearer personal-{name}"}


async def opened(stack: AsyncExitStack, http: httpx.AsyncClient, path: str, headers: dict[str, str]):
    """The events of a stream, once it is there."""
    source = await stack.enter_async_context(aconnect_sse(http, "GET", path, headers=headers))
    source.response.raise_for_status()
    return source.aiter_sse()


async def last(events: AsyncIterator[ServerSentEvent]) -> tuple[str, int]:
    """The event that a stream ends with, and its problem's status."""
    event, data = "", "{}"
    async with asyncio.timeout(60):
        async for one in events:
            event, data = one.event, one.data or "{}"
    return event, json.loads(data).get("status", 0)


async def begun(http: httpx.AsyncClient) -> int:
    answer = await http.post(f"{API}/sessions", json=NEW, headers=BEARER)
    return answer.json()["id"]


async def test_streams_end_when_the_token_or_the_role_is_gone(
    running: Running, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "CHECK_SECONDS", 0.2)
    async with httpx.AsyncClient(base_url=running.url, timeout=60) as http, AsyncExitStack() as stack:
        number = await begun(http)
        await http.patch(f"{API}/sessions/{number}", json={"title": "Later"}, headers=BEARER)
        of_session = (f"{API}/sessions/{number}/stream", f"{API}/sessions/{number}/replay?speed=0.001&max_gap=3600")
        of_project = (f"{API}/sessions/changes?project=sample", "/projects/1/sessions/stream")
        of_all = (f"{API}/sessions/changes", "/sessions/stream", "/home/stream", "/stream")
        of_pages = (f"/sessions/{number}/stream", f"/sessions/{number}/header/stream")
        paths = (*of_session, *of_pages, *of_project, *of_all)
        left, gone = member(sql, "left", 30), member(sql, "gone", 30)
        streams = {
            (name, path): await opened(stack, http, path, headers)
            for name, headers in (("left", left), ("gone", gone))
            for path in paths
        }
        ends = {key: asyncio.create_task(last(events)) for key, events in streams.items()}
        sql.execute("delete from tokens where user_id = (select id from users where username = 'gone')")
        sql.execute("delete from members where user_id = (select id from users where username = 'left')")
        for path in paths:
            assert await ends["gone", path] == ("error", 401), path
        for path in (*of_session, *of_pages, *of_project):
            assert await ends["left", path] == ("error", 404), path
        assert not any(ends["left", path].done() for path in of_all), "what is theirs goes on"
        sql.execute("update users set admin = true where username = 'left'")
        for path in of_all:
            assert await ends["left", path] == ("error", 401), "who has become another connects again"


async def test_fifty_watchers_are_each_shown_what_they_may(running: Running, sql: Sql) -> None:
    """An initiator, a maintainer who becomes a developer, and a developer who leaves; each with many tabs."""
    async with httpx.AsyncClient(base_url=running.url, timeout=60) as http, AsyncExitStack() as stack:
        number = await begun(http)
        people_ = {"max": member(sql, "max", 40), "dora": member(sql, "dora", 30)}
        link = (await http.post(f"{API}/sign-in-links", headers=BEARER)).json()["url"]
        form = {"token": link.partition("token=")[2]}
        signed_in = await http.post("/sign-in", data=form, headers={"Sec-Fetch-Site": "same-origin"})
        people_["ada"] = {"Cookie": signed_in.headers["set-cookie"].partition(";")[0]}
        http.cookies.clear()
        seen = (await http.get(f"{API}/sessions/{number}", headers=BEARER)).json()["seq"]
        path = f"/sessions/{number}/stream?after={seen}"
        tabs = [(name, await opened(stack, http, path, people_[name])) for _ in range(17) for name in people_]
        assert len(tabs) == 51

        async def told(title: str) -> list[tuple[str, str, bool, bool]]:
            """What each tab is told of a new title: who it is, its last event, and whether it offers the two."""
            await http.patch(f"{API}/sessions/{number}", json={"title": title}, headers=BEARER)
            return await asyncio.gather(*(_offered(name, events, title) for name, events in tabs))

        first = await told("First")
        assert set(first) == {
            ("ada", "parts", True, True),
            ("max", "parts", True, False),
            ("dora", "parts", False, False),
        }
        sql.execute("update members set role = 30 where user_id = (select id from users where username = 'max')")
        sql.execute("delete from members where user_id = (select id from users where username = 'dora')")
        second = await told("Second")
        assert set(second) == {
            ("ada", "parts", True, True),
            ("max", "parts", False, False),
            ("dora", "error", False, False),
        }
        assert len(second) == len(tabs), "and nobody is left out"


async def _offered(name: str, events: AsyncIterator[ServerSentEvent], title: str) -> tuple[str, str, bool, bool]:
    async with asyncio.timeout(60):
        async for one in events:
            if one.event == "parts" and title in one.data:
                parts = json.loads(one.data)
                return name, one.event, "to-cancel" in parts["header"], "composer" in parts["composer"]
            if one.event == "error":
                assert title not in one.data
                return name, one.event, False, False
    raise AssertionError(f"a tab of {name} was told nothing")
