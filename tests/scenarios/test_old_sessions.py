"""An upgrade with sessions in flight: what earlier versions wrote, cut off somewhere, is worked to its end."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from quarterdeck.core import events as e
from quarterdeck.core.events import Event
from quarterdeck.core.fold import fold
from quarterdeck.store import log
from quarterdeck.store.database import Database
from quarterdeck.store.tables import sessions
from tests.archives import corpus
from tests.chaos.proof import database_url
from tests.engine.test_components import PLANNED, PLANNED_SCRIPT, SUPERVISOR, SUPERVISOR_SCRIPT
from tests.instance import Instance
from tests.scenarios.work import payloads

REPAIR, PLAN, AGENTS = "0.1-fix_pipeline", "0.2-plan", "0.2-subagents"
CUTS = {
    "a server's call was asked for and not offered": (REPAIR, 6),
    "calls of both sides were asked for": (REPAIR, 18),
    "a plan was to be changed, and then a file": (REPAIR, 51),
    "a person is to say what they think of a plan": (PLAN, 11),
    "the plan was to be made again": (PLAN, 15),
    "a subagent's call was asked for": (AGENTS, 21),
    "the result of a subagent's call was taken": (AGENTS, 27),
    "the final answer did not fit": (AGENTS, 51),
}
"""Seqs of logs of earlier versions at which a worker may have been killed: in each but one a turn is open."""


_PIPELINE = re.compile(r'"pipeline_id":[0-9]+')
_ID = re.compile(r'"([ca]_[0-9a-f]{4,})[0-9a-f]{4}"')


def in_this_home(events: list[Event], created: dict[str, Any], number: int, pipeline: int) -> list[Event]:
    """The log as this home would have it: its project, commit and pipeline, ids of its own, and written just now."""
    own = (_ID.sub(rf'"\g<1>{number:04}"', event.model_dump_json()) for event in events)
    events = [Event.model_validate_json(_PIPELINE.sub(f'"pipeline_id":{pipeline}', line)) for line in own]
    late = datetime.now(UTC) - timedelta(minutes=2) - events[-1].at
    first = events[0].payload
    assert isinstance(first, e.SessionCreated)
    here = first.model_copy(update={**created, "branch": f"{first.branch}-{number}"})
    moved = [events[0].model_copy(update={"payload": here}), *events[1:]]
    return [event.model_copy(update={"session": number, "at": event.at + late}) for event in moved]


async def restored(url: str, alike: dict[str, int], pipeline: int) -> dict[str, tuple[int, list[Event]]]:
    """Sessions with the cut logs as theirs, each with the flow and script of a session of this version."""
    database, made = Database(url), dict[str, tuple[int, list[Event]]]()
    async with database.transaction() as connection:
        for name, (origin, cut) in CUTS.items():
            row = (await connection.execute(select(sessions).where(sessions.c.id == alike[origin]))).one()
            known = (await log.lock(connection, alike[origin])).state.created
            same = ("project_id", "initiator_id", "initiator", "commit", "inputs")
            number = await log.reserve(connection)
            events = in_this_home(corpus(origin)[:cut], {one: getattr(known, one) for one in same}, number, pipeline)
            state = fold(events)
            assert state.turn_open == (state.status == "running"), name
            await log.keep_row(connection, number, state, flow_hash=row.flow_hash, script_hash=row.script_hash)
            await log.keep_events(connection, number, state.created, events)
            made[name] = number, events
    await database.close()
    return made


@pytest.mark.timeout(400)
def test_sessions_of_an_earlier_version_go_on_from_the_middle_of_a_turn(instance: Instance) -> None:
    instance.post("/projects", {"path": "old", "sample": True})
    pipeline = instance.post("/projects/old/pipelines", {"ref": "main"})["id"]
    instance.wait(lambda: instance.get(f"/pipelines/{pipeline}")["status"] == "failed", 90, "the pipeline fails")
    bodies: dict[str, dict[str, Any]] = {
        REPAIR: {"flow": "fix_pipeline/v1", "inputs": {"pipeline": {"id": pipeline}}},
        PLAN: {"flow_yaml": PLANNED, "script": PLANNED_SCRIPT, "goal": "Do it."},
        AGENTS: {"flow_yaml": SUPERVISOR, "script": SUPERVISOR_SCRIPT, "goal": "the branches"},
    }
    alike: dict[str, int] = {}
    for origin, body in bodies.items():
        alike[origin] = instance.post("/sessions", {"project": "old", "model": "scripted", **body})["id"]
        instance.qd("session", "cancel", str(alike[origin]), "--wait")
    made = asyncio.run(restored(database_url(instance), alike, pipeline))
    for name, (number, before) in made.items():
        if CUTS[name][0] == PLAN:
            instance.wait_for(number, "plan_approval_required")
            instance.qd("session", "approve", str(number))
        session = instance.wait_for(number, "idle", "finished", "failed", "paused", "stopped", seconds=240)
        assert session["status"] == ("idle" if CUTS[name][0] == REPAIR else "finished"), (name, session["reason"])
        events = instance.events(number)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        for event, old in zip(events, before, strict=False):
            assert event["payload"] == old.model_dump(mode="json")["payload"], name
        ends = payloads(events, "tool_call.finished")
        assert len({one["call_id"] for one in ends}) == len(ends) == len(payloads(events, "tool_call.requested"))
        if CUTS[name][0] == REPAIR:
            assert [one["tool"] for one in ends][-3:] == ["create_commit", "run_pipeline", "create_merge_request"]
            assert session["checks_passed"] == 1, name
