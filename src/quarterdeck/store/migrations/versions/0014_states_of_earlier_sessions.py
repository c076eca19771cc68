"""States of sessions from before they held what a session belongs together with, and which event asked for a call."""

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
import zstandard
from alembic import op

revision = "0014"
down_revision = "0013"

AT_ONCE = 100
"""So many sessions are in memory at a time, with their states; of their logs one row."""
LINKS = 100
"""The newest, which is as many as a state holds."""
LINKED, REQUESTED = b'"kind":"link.added"', b'"kind":"tool_call.requested"'

_sessions = sa.table("sessions", sa.column("id", sa.BigInteger), sa.column("state", sa.JSON))
_batches = sa.table("event_batches", sa.column("session_id"), sa.column("first_seq"), sa.column("data"))
_text = sa.cast(_sessions.c.state, sa.Text)


def upgrade() -> None:
    """Goes one step on; both are read off the logs, and a state that has them already is left as it is."""
    connection, after = op.get_bind(), 0
    page = sa.select(_sessions.c.id, _text).order_by(_sessions.c.id).limit(AT_ONCE)
    while rows := connection.execute(page.where(_sessions.c.id > after)).all():
        states = {row[0]: row[1] for row in rows}
        _fill(connection, states)
        after = max(states)


def _fill(connection: sa.Connection, states: dict[int, str]) -> None:
    links: dict[int, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=LINKS))
    asked: dict[int, dict[str, int]] = defaultdict(dict)
    told = {one: dict(_calls(json.loads(text))) for one, text in states.items()}
    for session_id, event in _events(connection, states):
        payload = event["payload"]
        if payload["kind"] == "link.added":
            links[session_id].append({name: payload.get(name, "") for name in ("relation", "target", "name", "url")})
        elif payload["kind"] == "tool_call.requested" and payload["call_id"] in told[session_id]:
            asked[session_id][payload["call_id"]] = event["seq"]
    whole = sa.cast(sa.bindparam("whole", type_=sa.Text), sa.JSON)  # as it is written everywhere, keys in their order
    change = sa.update(_sessions).where(_sessions.c.id == sa.bindparam("of")).values(state=whole)
    for session_id in links.keys() | asked.keys():
        state = json.loads(states[session_id])
        state["links"] = list(links[session_id])
        for call_id, call in _calls(state):
            call["seq"] = asked[session_id].get(call_id, 0)
        if state != json.loads(states[session_id]):
            text = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
            connection.execute(change, {"of": session_id, "whole": text})


def _calls(state: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The calls of the present batch, and those of agents that wait for a subagent."""
    for holder in (state, *state.get("stack", ())):
        yield from holder.get("calls", {}).items()


def _events(connection: sa.Connection, of: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The events that tell of either, in the order of their logs."""
    query = (
        sa.select(_batches.c.session_id, _batches.c.data)
        .where(_batches.c.session_id.in_(list(of)))
        .order_by(_batches.c.session_id, _batches.c.first_seq)
    )
    unpack = zstandard.ZstdDecompressor()
    found = connection.execute(query, execution_options={"stream_results": True, "yield_per": 100})
    for session_id, data in found:
        whole = unpack.decompress(data)
        if LINKED in whole or REQUESTED in whole:
            for line in whole.splitlines():
                if LINKED in line or REQUESTED in line:
                    yield session_id, json.loads(line)
