"""What must hold after a session has come through: of its log, its row, its outcome, and of what is left behind."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.core.events import Event
from quarterdeck.core.fold import FINAL_RESPONSE, fold
from quarterdeck.core.state import SessionState
from quarterdeck.store import log
from quarterdeck.store.database import Database
from quarterdeck.store.tables import (
    leases,
    offers,
    partials,
    pipeline_jobs,
    pipeline_waits,
    pipelines,
    sessions,
    tokens,
)
from tests.chaos.kills import pid_of
from tests.instance import Instance, files_below, processes_below
from tests.scenarios.work import payloads

LEFT_SECONDS = 20
"""How long the last reports and tidying may take."""


def prove(instance: Instance, session_id: int, seen: list[Any]) -> None:
    """Everything about one session that has come to rest; `seen` is what its watcher was sent."""
    view = instance.session(session_id)
    assert view["status"] == "idle", f"{view['status']}: {view['reason']}\n{_told(seen)}\n{instance.log_end()}"
    assert view["merge_request"], "it has a merge request"
    events = instance.events(session_id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert seen == events[: len(seen)], "what a watcher was sent stays as it was"
    rest = {event["payload"]["kind"] for event in events[len(seen) :]}
    assert not rest, f"after the end came {rest}"
    _calls(events)
    found = instance.get("/projects/sample/pipelines", ref=view["branch"])
    assert [one["status"] for one in found] == ["success"], "one pipeline, and it is green"
    asyncio.run(_stored(instance, session_id))
    left = _left(instance)
    for _ in range(LEFT_SECONDS * 5):
        left = _left(instance)
        if not left:
            return
        time.sleep(0.2)
    raise AssertionError(f"left over after {LEFT_SECONDS} s: {left}\n{instance.log_end()}")


def _told(events: list[Any]) -> str:
    return "\n".join(str(event)[:300] for event in events[-20:])


def _calls(events: list[Any]) -> None:
    """Each call was offered once, started at most once, and ended once; a final answer is taken where it is given."""
    requests = payloads(events, "tool_call.requested")
    requested = [one["call_id"] for one in requests]
    given_out = [one["call_id"] for one in requests if one["tool"] != FINAL_RESPONSE]
    offered = [call_id for one in payloads(events, "tool_call.offered") for call_id in one["call_ids"]]
    started = [one["call_id"] for one in payloads(events, "tool_call.started")]
    finished = [one["call_id"] for one in payloads(events, "tool_call.finished")]
    assert sorted(given_out) == sorted(offered)
    assert sorted(requested) == sorted(finished)
    assert len(set(requested)) == len(requested)
    assert len(set(started)) == len(started)
    turns = [one["turn_no"] for one in payloads(events, "turn.started")]
    assert turns == list(range(1, len(turns) + 1))
    merge_requests = [one for one in payloads(events, "artifact.created") if one["artifact"] == "merge_request"]
    assert len(merge_requests) == 1


async def _stored(instance: Instance, session_id: int) -> None:
    """The session's row is the fold of its log."""
    database = Database(database_url(instance))
    try:
        async with database.transaction() as connection:
            await agreeing(connection, session_id)
    finally:
        await database.close()


async def agreeing(connection: AsyncConnection, session_id: int) -> tuple[list[Event], SessionState]:
    """A session's log and its row, which must be the fold of it."""
    query = select(sessions.c.state, sessions.c.seq, sessions.c.status).where(sessions.c.id == session_id)
    row = (await connection.execute(query)).one()
    events = await log.read(connection, session_id, limit=1_000_000)
    folded, stored = fold(events), SessionState.model_validate(row.state)
    assert folded.model_dump_json() == stored.model_dump_json(), "the same, in the same order"
    assert (folded.seq, folded.status.value) == (row.seq, row.status)
    return events, stored


def database_url(instance: Instance) -> str:
    """The database of an instance, as its own processes are told."""
    found = list[str]()

    def told() -> bool:
        pid = pid_of(instance, "worker")  # none for a moment after the death of its database
        with suppress(OSError):
            variables = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0") if pid else []
            found.extend(one.partition("=")[2] for one in variables if one.startswith("DATABASE_URL="))
        return bool(found)

    instance.wait(told, 60, "the worker is there")
    return found[0]


def _left(instance: Instance) -> str:
    """What is still there although no session is at work; empty when all is well."""
    assert instance.process is not None
    below = processes_below(instance.process.pid)
    tools = [line for line in below.values() if "bwrap" in line or "quarterdeck.executor." in line]
    strangers = [
        line
        for pid, line in processes_below(1).items()
        if str(instance.home) in line and pid not in below | _own(instance)
    ]
    folders = [path.name for path in (instance.home / "runner" / "workspaces").iterdir() if path.name.startswith("job")]
    outputs = [str(path) for path, _ in files_below(instance.home / "runner" / "outputs")]
    files = [path.name for path in instance.home.glob("push-*")]
    found = {"tools": tools, "strangers": strangers, "folders": folders, "outputs": outputs, "files": files}
    rows = asyncio.run(open_rows(database_url(instance)))
    return ", ".join(f"{name}: {what}" for name, what in (found | rows).items() if what)


def _own(instance: Instance) -> dict[int, str]:
    assert instance.process is not None
    return {instance.process.pid: ""}


async def open_rows(url: str, *, living: bool = True) -> dict[str, Any]:
    """Rows that only sessions and jobs at work have; where no session is `living`, none holds a lease either."""
    database = Database(url)
    try:
        async with database.transaction() as connection:

            async def count(query: Any) -> int:
                return (await connection.execute(query)).scalar_one()

            at_work = ("waiting", "offered", "running", "cancelling")
            held = leases.c.subject.like("job:%") if living else leases.c.runner_id.is_not(None)
            keys = tokens.c.kind == "workspace", tokens.c.subject.like("job:%" if living else "%")
            return {
                "open offers": await count(select(func.count()).where(offers.c.status.in_(at_work))),
                "leases": await count(select(func.count()).select_from(leases).where(held)),
                "keys of workspaces": await count(select(func.array_agg(tokens.c.subject)).where(*keys)),
                "partials": await count(select(func.count()).select_from(partials)),
                "jobs": await count(
                    text(
                        "select count(*) from procrastinate_jobs where status <> 'succeeded' and task_name <> 'sealing'"
                    )
                ),
                "open turns": await count(select(func.count()).where(sessions.c.turn_open)),
                "calls that wait": await count(select(func.count()).select_from(pipeline_waits)),
                "open pipelines": await count(select(func.count()).where(pipelines.c.ended_at.is_(None))),
                "open jobs": await count(
                    select(func.count()).where(pipeline_jobs.c.status.in_(("created", "pending", "running")))
                ),
            }
    finally:
        await database.close()
