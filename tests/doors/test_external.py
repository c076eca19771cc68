"""Sessions that are worked on elsewhere: begun, told of by their source, looked at and stopped by the API."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from quarterdeck.app import people, retention, sealing
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.core import limits
from quarterdeck.core.access import Role
from quarterdeck.core.fold import fold
from quarterdeck.core.state import SessionState
from quarterdeck.store import log, outbox
from quarterdeck.store.sealing import SEALED_TEXT
from quarterdeck.store.tables import event_batches, members, users
from tests.doors.conftest import Api
from tests.doors.test_problem import problem

NEW = {"title": "Nightly clean-up", "agent": "nightly-bot", "project": "sample", "goal": "Remove what nobody uses."}
SECRET = "ghp_" + "aB3xY0" * 6
WORK: list[dict[str, Any]] = [
    {"kind": "status.changed", "transition": "start"},
    {"kind": "message.added", "text": "Remove old branches.", "by": "grace"},
    {"kind": "model.answered", "text": "I look.", "calls": [{"call_id": "1", "tool": "bash", "args": {"cmd": "ls"}}]},
    {"kind": "tool_call.requested", "call_id": "1", "tool": "bash", "args": {"cmd": "ls"}},
    {"kind": "tool_call.finished", "call_id": "1", "text": "main\nold-xylophone", "exit_code": 0, "duration_ms": 12},
    {"kind": "plan.changed", "items": [{"text": "delete it", "status": "in_progress"}]},
    {"kind": "usage.recorded", "model": "some:model", "input_tokens": 10, "output_tokens": 3, "cost": "0.25"},
    {"kind": "artifact.created", "artifact": "commit", "name": "abc", "url": "https://example.org/abc"},
    {"kind": "check.recorded", "name": "tests", "passed": True},
    {"kind": "link.added", "relation": "source", "target": "pipeline", "name": "#7", "url": "https://example.org/7"},
    {"kind": "model.answered", "text": "It is gone."},
    {"kind": "status.changed", "transition": "finish"},
]  # fmt: skip
"""A whole session."""


def numbered(events: list[dict[str, Any]], first: int = 1) -> list[dict[str, Any]]:
    return [{"seq": first + place, **event} for place, event in enumerate(events)]


async def begin(api: Api, **more: Any) -> int:
    answer = await api.post("/sessions/external", {**NEW, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def send(api: Api, session_id: int, events: list[dict[str, Any]]) -> Any:
    return await post(api, session_id, json.dumps({"events": events}))


async def post(api: Api, session_id: int, body: str | bytes) -> Any:
    return await api.client.post(f"/api/v1/sessions/{session_id}/events", content=body, headers=api.headers)


async def sent(api: Api, session_id: int, events: list[dict[str, Any]]) -> dict[str, Any]:
    answer = await send(api, session_id, events)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def payloads(api: Api, session_id: int) -> list[dict[str, Any]]:
    return [one["payload"] for one in (await api.get(f"/sessions/{session_id}/events")).json()["items"]]


async def agrees(app: App, session_id: int) -> SessionState:
    """The row is the fold of the log."""
    async with change(app, session_id) as it:
        stored = it.state
        assert fold(await log.read(it.connection, session_id, limit=100_000)) == stored
    return stored


async def test_a_whole_session_from_elsewhere(api: Api, app: App) -> None:
    number = await begin(api, model="some:model")
    shown = (await api.get(f"/sessions/{number}")).json()
    assert (shown["status"], shown["origin"], shown["agent"]) == ("created", "external", "nightly-bot")
    assert (shown["model"], shown["waiting_for"], shown["turn_no"]) == ("some:model", None, 0)

    answer = await sent(api, number, numbered(WORK))
    assert answer == {"taken": 12, "next": 13, "seq": 14, "status": "finished"}
    state = await agrees(app, number)
    assert (str(state.usage.cost), state.checks_passed, state.turn_no) == ("0.25", 1, 0)
    assert state.answer == "It is gone."
    kinds = [one["kind"] for one in await payloads(api, number)]
    assert kinds == ["session.created", "component.entered", *(one["kind"] for one in WORK)]

    listed = (await api.get("/sessions", origin="external", project="sample")).json()["items"]
    assert [(one["id"], one["status"]) for one in listed] == [(number, "finished")]
    found = (await api.get("/search/sessions", q="xylophone")).json()["items"]
    assert [(one["session_id"], one["seq"], one["part"]) for one in found] == [(number, 7, "result")]
    usage = (await api.get(f"/sessions/{number}/usage")).json()
    assert "0.25" in json.dumps(usage)
    async with app.database.transaction() as connection:
        taken = list[str]()
        while entries := await outbox.take(connection, 10):
            taken += [str(entry.status) for entry in entries if entry.session_id == number and entry.status]
    assert taken == ["created", "running", "finished"]
    exported = await api.get(f"/sessions/{number}/export")
    brought = await api.client.post(
        "/api/v1/sessions/import?project=sample", content=exported.content, headers=api.headers
    )
    assert brought.status_code == 201, brought.text
    assert brought.json()["origin"] == "import"
    assert (await api.client.delete(f"/api/v1/sessions/{number}", headers=api.headers)).status_code == 204
    problem(await send(api, number, numbered(WORK)))


async def test_repeats_overlaps_and_gaps(api: Api) -> None:
    number = await begin(api)
    events = numbered(WORK)
    assert (await sent(api, number, events[:4]))["taken"] == 4
    before = await payloads(api, number)
    again = await sent(api, number, events[:4])
    assert (again["taken"], again["next"]) == (0, 5)
    assert await payloads(api, number) == before
    gap = await send(api, number, events[5:])
    assert gap.status_code == 409
    said = problem(gap)
    assert (said["code"], said["expected"]) == ("source_gap", 5)
    assert await payloads(api, number) == before
    overlap = await sent(api, number, events[2:7])
    assert (overlap["taken"], overlap["next"]) == (3, 8)
    assert (await sent(api, number, events))["status"] == "finished"
    assert (await sent(api, number, events))["taken"] == 0  # also after the end


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"kind": "status.changed", "transition": "start"}, "running already"),
        ({"kind": "status.changed", "transition": "resume"}, "running already"),
        ({"kind": "tool_call.finished", "call_id": "9"}, "under way"),
        ({"kind": "tool_call.requested", "call_id": "1", "tool": "t"}, "made already"),
        ({"kind": "tool_call.requested", "call_id": "2", "tool": "t", "args": {"n": 1e308}}, "beyond"),
    ],
)
async def test_what_does_not_fit_is_named_and_nothing_is_stored(
    api: Api, app: App, event: dict[str, Any], words: str
) -> None:
    number = await begin(api)
    await sent(api, number, numbered(WORK[:4]))
    before = await payloads(api, number)
    batch = numbered([WORK[1], event, WORK[1]], 5)
    body = json.dumps({"events": batch}).replace("1e+308", "1e999")
    answer = await post(api, number, body)
    assert answer.status_code == 422, answer.text
    said = problem(answer)
    assert (said["code"], said["index"]) == ("wrong_event", 1)
    assert words in said["detail"]
    assert await payloads(api, number) == before
    assert (await sent(api, number, numbered([WORK[1]], 5)))["taken"] == 1
    await agrees(app, number)


async def test_after_the_end_only_records(api: Api, app: App) -> None:
    number = await begin(api)
    await sent(api, number, numbered(WORK[:2]))
    stopped = await api.post(f"/sessions/{number}/cancel", {"reason": "enough"})
    assert stopped.json()["status"] == "stopped"
    late = await send(api, number, numbered([WORK[6], WORK[1]], 3))
    assert late.status_code == 409
    said = problem(late)
    assert (said["code"], "stopped" in said["detail"]) == ("session_ended", True)
    last = await send(api, number, numbered([WORK[11]], 3))
    assert (last.status_code, problem(last)["code"]) == (409, "session_ended")
    assert await sent(api, number, numbered([WORK[6]], 3)) == {"taken": 1, "next": 4, "seq": 6, "status": "stopped"}
    await agrees(app, number)


async def someone(app: App, api: Api, name: str, role: Role | None) -> Api:
    async with app.database.transaction() as connection:
        made = insert(users).values(username=name, name=name).returning(users.c.id)
        user_id = (await connection.execute(made)).scalar_one()
        if role is not None:
            await connection.execute(insert(members).values(project_id=1, user_id=user_id, role=role))
        return Api(api.client, await people.issue(connection, "personal", user_id=user_id))


async def test_only_who_records_it_and_only_sessions_from_elsewhere(api: Api, app: App) -> None:
    developer, guest = await someone(app, api, "dev", Role.DEVELOPER), await someone(app, api, "guest", Role.GUEST)
    number, own = await begin(api), await begin(developer, project=None)
    for other, at, status in ((developer, number, 403), (guest, number, 404), (guest, own, 404), (api, own, 403)):
        refused = await send(other, at, numbered(WORK[:1]))
        assert (refused.status_code, problem(refused)["status"]) == (status, status)
    assert (await guest.post("/sessions/external", NEW)).status_code == 403
    assert (await sent(developer, own, numbered(WORK)))["status"] == "finished"
    assert (await guest.get(f"/sessions/{own}")).status_code == 404
    assert (await api.get(f"/sessions/{own}")).status_code == 200  # an administrator, whose list has it too
    assert own in [one["id"] for one in (await api.get("/sessions")).json()["items"]]

    theirs = await begin(developer)
    await sent(developer, theirs, numbered(WORK[:2]))
    async with app.database.transaction() as connection:
        await connection.execute(update(members).values(role=Role.REPORTER))
    assert (await send(developer, theirs, numbered(WORK[2:3], 3))).status_code == 403

    here = (
        await api.post("/sessions", {"project": "sample", "model": "scripted", "inputs": {"pipeline": {"id": 1}}})
    ).json()
    refused = await send(api, here["id"], numbered(WORK[:1]))
    assert (refused.status_code, "done here" in problem(refused)["detail"]) == (409, True)


async def test_a_fork_goes_on_here_and_carries_out_nothing_that_was_left_open(api: Api, app: App) -> None:
    number = await begin(api)
    await sent(api, number, numbered(WORK[:4]))
    script = "components: {agent: [{say: unused}]}"
    forked = await api.post(f"/sessions/{number}/fork", {"message": "Go on.", "model": "scripted", "script": script})
    assert forked.status_code == 201, forked.text
    state = await agrees(app, forked.json()["id"])
    assert (state.created.origin, state.wants_turn, state.ready) == ("api", True, {})
    kinds = [one["kind"] for one in await payloads(api, forked.json()["id"])]
    assert [one for one in kinds if one in ("tool_call.finished", "message.added")][-2:] == [
        "tool_call.finished",
        "message.added",
    ]
    refused = await api.post(f"/sessions/{number}/fork", {"message": "Go on."})
    assert (refused.status_code, "model" in problem(refused)["detail"]) == (400, True)
    alone = await api.post(f"/sessions/{number}/fork", {"model": "scripted", "script": script})
    assert (await agrees(app, alone.json()["id"])).ready == {}


async def test_secrets_and_hostile_texts(api: Api, app: App) -> None:
    number = await begin(api, goal=f"With {SECRET}", title="t" * 255)
    texts = ["\u0000 and \ud800", f"token {SECRET}", "</script>{{ x }} \u202e" + "ü" * 1000, f"a\nsk-{'x1' * 20}"]
    events: list[dict[str, Any]] = [{"kind": "message.added", "text": text, "by": f"x{SECRET}"} for text in texts]
    events.append({"kind": "tool_call.requested", "call_id": "1", "tool": "t", "args": {SECRET: [{"k": SECRET}]}})
    await sent(api, number, numbered(events))
    whole = (await api.get(f"/sessions/{number}/events")).text
    assert SECRET not in whole
    assert "sk-x1" not in whole
    said = [one["text"] for one in await payloads(api, number) if one["kind"] == "message.added"]
    assert said[0] == "\ufffd and \ufffd"
    assert said[2] == texts[2]
    await agrees(app, number)


SAID = b'{"seq": 1, "kind": "message.added", "text": "x"}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"events": []}',
        b'{"events": "\\u00"}',
        b'{"events": [{"seq": 1, "kind": "turn.started", "turn_no": 1, "job": 1}]}',
        b'{"events": [%b]}' % SAID.replace(b"1", b"0"),
        b'{"events": [%b, %b]}' % (SAID, SAID.replace(b"1", b"3")),
        b'{"events": [{"seq": 1, "kind": "artifact.created", "artifact": "file", "name": "x", "url": "javascript:x"}]}',
        b'{"events": [{"seq": 1, "kind": "artifact.created", "artifact": "file", "name": "x", "url": "//elsewhere"}]}',
        b'{"events": [' + b"[" * 5000 + b"]" * 5000 + b"]}",
        b'{"x": "\\u0041", "events": ' + b"[" * 100_000 + b"]}",
    ],
)
async def test_no_batch(api: Api, body: bytes) -> None:
    number = await begin(api)
    answer = await post(api, number, body)
    assert answer.status_code == 400, answer.text
    problem(answer)


async def test_bounds(api: Api) -> None:
    number = await begin(api)
    many = numbered([WORK[1]] * (limits.SOURCE_EVENTS + 1))
    assert (await send(api, number, many)).status_code == 400
    assert (await sent(api, number, many[:-1]))["taken"] == limits.SOURCE_EVENTS
    large = {"kind": "message.added", "text": "x" * limits.SOURCE_TEXT_CHARACTERS}
    assert (await send(api, number, numbered([large] * 5, 1001))).status_code == 413
    calls = [
        {"kind": "tool_call.requested", "call_id": str(n), "tool": "t"} for n in range(limits.CALLS_PER_ANSWER + 1)
    ]
    refused = await send(api, number, numbered(calls, 1001))
    assert problem(refused)["index"] == limits.CALLS_PER_ANSWER


async def test_large_events_come_in_small_pages_and_rows(api: Api, app: App) -> None:
    """However well they pack: nobody's memory holds much more than one of them, and a row is not of too many."""
    number, large = await begin(api), {"kind": "message.added", "text": "x" * limits.SOURCE_TEXT_CHARACTERS}
    for first in range(2, 50, 3):
        await sent(api, number, numbered([WORK[0], *[large] * 3] if first == 2 else [large] * 3, first - (first == 2)))
    await sealing.seal(app, number)
    async with app.database.transaction() as connection:
        rows = await connection.execute(select(event_batches).where(event_batches.c.session_id == number))
        sizes = [len(log.unpacked(row.data)) for row in rows]
    assert len(sizes) > 2
    assert max(sizes) <= SEALED_TEXT
    seen, pages, after = list[int](), 0, 0
    while after is not None:
        page = (await api.get(f"/sessions/{number}/events", limit=1000, after=after)).json()
        seen += [event["seq"] for event in page["items"]]
        pages, after = pages + 1, page["next"]
    assert (pages > 1, seen) == (True, list(range(1, len(seen) + 1)))
    assert len(seen) == 2 + 1 + 48


async def test_who_waits_for_a_lock_holds_nobody_up(api: Api, app: App) -> None:
    busy, other = await begin(api), await begin(api)
    async with app.database.transaction() as connection:
        await log.lock(connection, busy)
        waiting = asyncio.create_task(sent(api, busy, numbered(WORK[:2])))
        for first in range(1, 4):
            assert (await sent(api, other, numbered(WORK[first - 1 : first], first)))["taken"] == 1
        assert not waiting.done()
    assert (await waiting)["taken"] == 2


async def test_what_comes_now_keeps_a_log_though_it_was_long_ago(api: Api) -> None:
    number = await begin(api)
    before = (await api.get(f"/sessions/{number}")).json()["last_activity"]
    answer = await sent(api, number, numbered([{**WORK[0], "at": "2001-01-01T00:00:00Z"}]))
    (event,) = (await api.get(f"/sessions/{number}/events", after=answer["seq"] - 1)).json()["items"]
    assert event["at"] >= before


async def test_a_repository_may_be_empty(api: Api) -> None:
    assert (await api.post("/projects", {"path": "empty"})).status_code == 201
    number = await begin(api, project="empty")
    assert (await sent(api, number, numbered(WORK)))["status"] == "finished"
    refused = await api.post("/sessions/external", {**NEW, "project": "empty", "ref": "main"})
    assert refused.status_code == 404


async def test_it_is_not_steered_from_here(api: Api) -> None:
    number = await begin(api)
    await sent(api, number, numbered(WORK[:2]))
    one = f"/sessions/{number}"
    for verb, body in (
        ("messages", {"text": "x"}), ("approve", {}), ("deny", {}), ("pause", {}), ("resume", {}), ("interrupt", {}),
    ):  # fmt: skip
        refused = await api.post(f"{one}/{verb}", body)
        assert (refused.status_code, "elsewhere" in problem(refused)["detail"]) == (409, True), verb
    renamed = await api.client.patch(f"/api/v1{one}", json={"title": "Other"}, headers=api.headers)
    assert renamed.json()["title"] == "Other"
    assert (await api.post(f"{one}/hold", {})).json()["held"]


async def test_one_whose_source_is_gone_is_deleted_by_age(api: Api, app: App) -> None:
    number, held = await begin(api), await begin(api)
    for one in (number, held):
        await sent(api, one, numbered(WORK[:4]))
    await api.post(f"/sessions/{held}/hold", {})
    await retention.sweep(app, at=datetime.now(UTC) + timedelta(days=limits.RETENTION_DAYS - 1))
    assert (await api.get(f"/sessions/{number}")).status_code == 200
    await retention.sweep(app, at=datetime.now(UTC) + timedelta(days=limits.RETENTION_DAYS + 1))
    assert (await api.get(f"/sessions/{number}")).status_code == 404
    assert (await send(api, number, numbered(WORK[4:5], 5))).status_code == 404
    assert (await sent(api, held, numbered(WORK[4:5], 5)))["status"] == "running"


async def test_a_key_begins_one(api: Api) -> None:
    first = await api.post("/sessions/external", NEW, Idempotency_Key="k-1")
    again = await api.post("/sessions/external", NEW, Idempotency_Key="k-1")
    assert first.json()["id"] == again.json()["id"]


async def test_many_at_once_each_have_their_own_outcome(api: Api, app: App) -> None:
    numbers = [await begin(api) for _ in range(4)]
    right = [send(api, number, numbered(WORK[: n + 2])) for n, number in enumerate(numbers)]
    twice = [send(api, numbers[0], numbered(WORK[:2])) for _ in range(5)]
    wrong = [send(api, numbers[1], numbered(WORK[4:5], 4)), send(api, 999, numbered(WORK[:1]))]
    answers = await asyncio.gather(*right, *twice, *wrong)
    assert [one.json()["next"] for one in answers[:4]] == [3, 4, 5, 6]
    assert sum(one.json()["taken"] for one in (answers[0], *answers[4:9])) == 2
    assert answers[-2].status_code in (409, 422)  # before the three in front of it or behind them
    assert answers[-1].status_code == 404
    for number in numbers:
        await agrees(app, number)
    assert len(await payloads(api, numbers[0])) == 4


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12)), max_size=12))
async def test_any_way_to_cut_a_stream_gives_the_same_log(api: Api, app: App, cuts: list[tuple[int, int]]) -> None:
    number, events, known = await begin(api), numbered(WORK), 0
    for first, size in (*cuts, (0, 12), (0, 12)):
        batch = events[first : first + size]
        if not batch:
            continue
        answer = await send(api, number, batch)
        if first > known:
            assert problem(answer)["expected"] == known + 1
        else:
            known = max(known, first + len(batch))
            assert answer.json()["next"] == known + 1
    assert [one["kind"] for one in await payloads(api, number)][2:] == [one["kind"] for one in WORK]
    await agrees(app, number)
