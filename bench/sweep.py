"""(f) A sweep of 10,000 sessions of 100 events each, while others change sessions and read lists.

Each session that goes has its log in 5 batch rows, 6 calls with output, 2 blobs, usage, an approval, an artifact and 4
entries of the outbox; 1 of 100 waits for a worker and is stopped first. As many others live on. In a process of their
own, one client changes a living session and one reads the newest 20, each again 10 ms after it was answered; both are
measured before the sweep, and during it.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.figures import Figure, database, run, spread
from quarterdeck import server
from quarterdeck.app import first_start, retention, session_lists, sessions, steering
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.sessions import StartSession
from quarterdeck.settings import Settings
from quarterdeck.store.tables import sessions as rows

FLOW = """
version: v1
environment: ambient
name: work
components: [{name: work, type: AgentComponent, prompt_id: work, inputs: ["context:goal"], toolset: [read_file]}]
routers: [{from: work, to: end}]
flow: {entry_point: work}
prompts: [{prompt_id: work, name: work, prompt_template: {system: s, user: "{{ goal }}"}}]
"""
EVENTS = 100
FIRST = 1_000
"""The number of the first session that goes; the two that all are copies of come before it."""
FILL = (
    "insert into event_batches select s, 1 + b * 20, 20, 5, 5, decode(repeat(md5((s * b)::text), 160), 'hex')"
    " from generate_series(cast(:first as bigint), :last) s, generate_series(0, 4) b",
    "insert into offers (call_id, subject, session_id, side, tool, args, status, output_bytes)"
    " select 'c_' || s || '_' || c, 'session:' || s, s, 'executor', 'read_file', '{}', 'finished', 1024"
    " from generate_series(cast(:first as bigint), :last) s, generate_series(1, 6) c",
    "insert into outputs select 'c_' || s || '_' || c, 0, decode(repeat(md5((s * c)::text), 64), 'hex')"
    " from generate_series(cast(:first as bigint), :last) s, generate_series(1, 6) c",
    "insert into blobs (subject, size, sha256) select 'session:' || s, 4096, md5(s::text)"
    " from generate_series(cast(:first as bigint), :last) s, generate_series(1, 2)",
    "insert into usage select s, c, 'm', 100, 100, null, now()"
    " from generate_series(cast(:first as bigint), :last) s, generate_series(1, 6) c",
    "insert into approvals (id, session_id, ask, question, requested_at) select 'a_' || s, s, 'tool_call', '?', now()"
    " from generate_series(cast(:first as bigint), :last) s",
    "insert into artifacts select s, 90, 'commit', md5(s::text), ''"
    " from generate_series(cast(:first as bigint), :last) s",
    "insert into outbox (at, session_id, project_id, seq, status) select now(), s, 1, c, 'running'"
    " from generate_series(cast(:first as bigint), :last) s, generate_series(1, 4) c",
)


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """The sweep, and what others notice of it."""
    count = 200 if options.small else options.sessions
    with database() as url, tempfile.TemporaryDirectory() as home:
        yield from asyncio.run(_measure(url, Path(home), count))


async def _measure(url: str, home: Path, count: int) -> list[Figure]:
    async with _assembled(url, home) as (app, owner):
        await _fill(app, owner, count)
        (lists, changes), _ = await _beside(url, home, count, asyncio.sleep(3))
        (lists_during, changes_during), took = await _beside(url, home, count, _swept(app, count))
    return [
        Figure(f"sweep of {count:,} sessions x {EVENTS} events", took, "s", "<= 1 s", "with VACUUM"),
        *spread("list of 20, before", lists, "ms"),
        *spread("list of 20, during the sweep", lists_during, "ms", "p95 <= 2 x that of before"),
        *spread("change of a session, before", changes, "ms"),
        *spread("change of a session, during the sweep", changes_during, "ms"),
    ]


@asynccontextmanager
async def _assembled(url: str, home: Path) -> AsyncGenerator[tuple[App, Actor]]:
    app = server.assemble(Settings.model_validate({"home": home}), url)
    try:
        made = await first_start.ensure(app, administrator="ada", token="qdp_x", runner_token="qdr_x")
        yield app, made.administrator
    finally:
        await app.database.close()


async def _swept(app: App, count: int) -> None:
    swept = await retention.sweep(app)
    if swept.deleted != count:
        raise RuntimeError(f"{swept.deleted} sessions were deleted instead of {count}")


async def _beside(
    url: str, home: Path, count: int, work: Awaitable[None]
) -> tuple[tuple[list[float], list[float]], float]:
    """The times in milliseconds of lists and changes while `work` is done, and how many seconds that took."""
    words = (sys.executable, "-m", "bench.sweep", "--clients", url, str(home), str(FIRST + count))
    clients = await asyncio.create_subprocess_exec(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if clients.stdout is None or await clients.stdout.readline() != b"begun\n":
        raise RuntimeError("the clients did not begin")
    began = time.perf_counter()
    await work
    took = time.perf_counter() - began
    told, _ = await clients.communicate(b"")  # the end of their input ends them
    return json.loads(told), took


async def clients(url: str, home: Path, living: int) -> tuple[list[float], list[float]]:
    """Lists and changes until the standard input ends, in milliseconds each."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with _assembled(url, home) as (app, owner):

        async def read() -> None:
            await session_lists.find(app, owner)

        async def write() -> None:
            await steering.rename(app, owner, living, "another title")

        async def again(act: Callable[[], Awaitable[None]]) -> list[float]:
            times: list[float] = []
            while not over.is_set():
                began = time.perf_counter()
                await act()
                times.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(0.01)
            return times

        await read()
        await write()
        loop.add_reader(sys.stdin.fileno(), over.set)
        print("begun", flush=True)
        return await asyncio.gather(again(read), again(write))


async def _fill(app: App, owner: Actor, count: int) -> None:
    """`count` sessions that are past their time, and as many behind them that are not."""
    script = "components: {work: [{say: unused}]}"
    request = StartSession(project="sample", flow_yaml=FLOW, goal="g", model="scripted", script=script)
    ended = (await sessions.start(app, owner, request)).id
    await steering.cancel(app, owner, ended)
    waits = (await sessions.start(app, owner, request)).id
    last = FIRST + count - 1
    async with app.database.transaction() as connection:
        await connection.execute(text("delete from procrastinate_jobs"))  # no worker: nobody takes them
        await _copy(connection, ended, f"generate_series({FIRST}, {last}) n where n % 100 <> 0", old=True)
        await _copy(connection, waits, f"generate_series({FIRST}, {last}) n where n % 100 = 0", old=True)
        await _copy(connection, waits, f"generate_series({last + 1}, {last + count}) n", old=False)
        for statement in FILL:
            await connection.execute(text(statement), {"first": FIRST, "last": last + count})
        await connection.execute(
            text("insert into blob_chunks select id, 0, decode(repeat(md5(id::text), 256), 'hex') from blobs")
        )
    async with app.database.engine.connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await alone.execute(text("vacuum analyze"))


async def _copy(connection: AsyncConnection, session_id: int, numbers: str, *, old: bool) -> None:
    """Rows like that of a session, under these numbers."""
    then = "now() - interval '31 days'" if old else "now()"
    own = {
        "id": "n",
        "seq": str(EVENTS),
        "last_activity": then,
        "expires_on": f"(({then}) at time zone 'UTC' + interval '30 days')::date",
        "idempotency_key": "null",
        "state": f"(state::jsonb || jsonb_build_object('seq', {EVENTS}, 'last_activity', {then}))::json",
    }
    names = [column.name for column in rows.c]
    picked = ", ".join(own.get(name, name) for name in names)
    source = f"select {picked} from (select * from sessions where id = {session_id}) it, {numbers}"
    await connection.execute(text(f"insert into sessions ({', '.join(names)}) {source}"))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=10_000, help="how many are past their time (default 10,000)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--clients"]:
        print(json.dumps(asyncio.run(clients(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))))
        sys.exit()
    run(__doc__ or "", measure, _options)
