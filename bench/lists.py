"""Lists at many sessions: any two filters and a sort in a project, pairs over the instance, both ends, counts.

The sessions are rows written by SQL in 200 projects, the largest with a tenth of all; statuses, flows, models and
people are as uneven as they are in life. A list is timed as the use case: its queries, and the models it answers.
"""

import argparse
import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, get_args

import psycopg

from bench.figures import Figure, database, run, spread
from quarterdeck import server
from quarterdeck.app import session_counts, session_lists
from quarterdeck.app.actor import Actor
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.session_lists import Sort
from quarterdeck.core.status import Status, StatusGroup
from quarterdeck.settings import Settings

PROJECTS = 200
PEOPLE = 500
ADMIN, MEMBER = 1, 2

_FILL = (
    "insert into users (username, admin) select 'person' || n, n = 1 from generate_series(1, {people}) n",
    "insert into projects (path) select 'project' || n from generate_series(1, {projects}) n",
    # Each is a developer of one project in ten, person 2 of the largest among them.
    "insert into members (project_id, user_id, role) select p, u, 30 from generate_series(1, {projects}) p,"
    " generate_series(2, {people}) u where (p + u) % 10 = 3",
    "alter table sessions disable trigger user",
    # What is random is drawn once a row, and turned into uneven shares.
    """
insert into sessions (project_id, initiator_id, origin, flow, flow_hash, model, title, status, status_order, seq,
    turn_no, turn_open, state, cost, warnings, errors, created_at, last_activity, expires_on, held)
select case when a < 0.1 then 1 else 2 + floor(b * ({projects} - 1)) end,
    1 + floor(c * c * {people}),
    case when d < 0.06 then 'chat' when d < 0.3 then 'web' when d < 0.5 then 'cli' else 'api' end,
    case when e < 0.6 then 'fix_pipeline/1.0.0' when e < 0.9 then 'developer/1.0.0'
        when e < 0.999 then 'code_review/1.0.0'
        else 'convert_to_gl_ci/1.0.0' end,
    'x', case when f < 0.7 then 'anthropic:large' when f < 0.998 then 'openai:large' else 'ollama:rare' end,
    'Session ' || n, status, case status when 'running' then 6 when 'paused' then 5 when 'input_required' then 4
        when 'tool_call_approval_required' then 4 when 'idle' then 3 when 'finished' then 3
        when 'failed' then 2 else 1 end,
    40, 9, false, state, case when g < 0.1 then null else round((g * g)::numeric, 4) end, 0, (h * 1.2)::integer,
    active - interval '1 hour', active, (active + interval '30 days')::date, false
from (
    select n, random() a, random() b, random() c, random() d, random() e, random() f, random() g, random() h,
        case when s < 0.001 then 'running' when s < 0.002 then 'paused' when s < 0.004 then 'input_required'
            when s < 0.005 then 'tool_call_approval_required' when s < 0.15 then 'idle' when s < 0.85 then 'finished'
            when s < 0.95 then 'failed' else 'stopped' end status,
        now() - interval '30 days' * (1 - n / {sessions}.0) active,
        json_build_object('created', json_build_object('goal', 'Mend what is broken in part ' || n), 'filler',
            repeat(md5(n::text), {state} / 32)) state
    from (select n, random() s from generate_series(1, {sessions}) n) drawn
) rows
""",
    "insert into session_texts select id, title || E'\\n' || (state->'created'->>'goal') from sessions",
    "insert into session_counts select coalesce(project_id, 0), of, origin in ('chat', 'ide'),"
    " session_group(status_order), count(*) from sessions"
    " cross join lateral (values (initiator_id), (0)) whose (of) group by 1, 2, 3, 4",
    "alter table sessions enable trigger user",
    "vacuum analyze",
)

COMMON: list[dict[str, Any]] = [
    {"kind": "flow"},
    {"status": Status.FINISHED},
    {"status_group": StatusGroup.FAILED},
    {"flow": "fix_pipeline/1.0.0"},
    {"initiator": "person3"},
    {"origin": "cli"},
    {"model": "openai:large"},
    {"created_after": datetime.now(UTC) - timedelta(days=20)},
    {"updated_before": datetime.now(UTC) - timedelta(days=3)},
    {"expiring": 14},
    {"mine": True},
    {"text": "broken"},
]
RARE: list[dict[str, Any]] = [
    {"status": Status.RUNNING},
    {"status_group": StatusGroup.AWAITING_INPUT},
    {"flow": "convert_to_gl_ci/1.0.0"},
    {"model": "ollama:rare"},
    {"needs_me": True},
    {"text": "part 777"},
    {"held": True},
]
NAMED: list[dict[str, Any]] = [
    {"status": Status.FINISHED, "flow": "fix_pipeline/1.0.0"},
    {"status_group": StatusGroup.FAILED, "model": "anthropic:large"},
    {"kind": "flow", "updated_after": datetime.now(UTC) - timedelta(days=2)},
    {"mine": True, "status_group": StatusGroup.COMPLETED},
    {"status_group": StatusGroup.ACTIVE, "origin": "api"},
]


def measure(options: argparse.Namespace) -> Iterable[Figure]:
    """Fills a database and asks it."""
    size = 3_000 if options.small else options.sessions
    with database() as url:
        numbers = {"people": PEOPLE, "projects": PROJECTS, "sessions": size, "state": options.state}
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in _FILL:
                connection.execute(statement.format(**numbers))  # pyright: ignore[reportArgumentType, reportCallIssue]
        yield from asyncio.run(_measured(url, 1 if options.small else options.rounds))


async def _measured(url: str, rounds: int) -> list[Figure]:
    app = server.assemble(Settings.model_validate({"home": Path("/nonexistent"), "port": 7433}), url)
    admin, member = Actor(ADMIN, "person1", "", "", admin=True), Actor(MEMBER, "person2", "", "", admin=False)
    chance = random.Random(1)
    sorts: tuple[Sort, ...] = get_args(Sort)

    def lists(
        filters: Iterable[dict[str, Any]], actors: tuple[Actor, ...], **more: Any
    ) -> list[Callable[[], Awaitable[Any]]]:
        return [
            partial(session_lists.find, app, actor, SessionFilter(**one), sort=chance.choice(sorts), **more)
            for one in filters
            for actor in actors
        ]

    def pairs(filters: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
        return [a | b | more for a, b in itertools.combinations(filters, 2) if not a.keys() & b.keys()]

    within = pairs(COMMON + RARE, project="project1")
    figures: list[Figure] = []
    for name, calls, aim in (
        ("two filters and a sort in the largest project", lists(within, (admin, member)), "p50 <= 2 ms"),
        ("the last page of the same", lists(within, (admin, member), last=True), "p50 as fast as the first"),
        ("named pairs over the instance", lists(NAMED, (admin, member)), "p50 <= 5 ms"),
        ("rare pairs over the instance", lists(pairs(RARE), (admin, member)), "p50 <= 15 ms"),
        ("counts of the instance", [lambda: session_counts.counts(app, admin)], ""),
        ("counts of the largest project", [lambda: session_counts.counts(app, member, "project1")], ""),
    ):
        samples = [await _milliseconds(call) for _ in range(rounds) for call in calls]
        figures += spread(name, samples[len(calls) if rounds > 1 else 0 :], "ms", aim)
    await app.database.close()
    return figures


async def _milliseconds(call: Callable[[], Awaitable[Any]]) -> float:
    begun = time.perf_counter()
    await call()
    return (time.perf_counter() - begun) * 1_000


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=4, help="how often each list is asked for; the first warms up")
    parser.add_argument("--state", type=int, default=2_000, help="bytes of each session's state beside its goal")


if __name__ == "__main__":
    run(__doc__ or "", measure, _options)
