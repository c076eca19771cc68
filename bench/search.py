"""Full text search over the output of many sessions: how long a page of hits takes, by what is looked for and by whom.

The lines look like those of builds and tests: times, paths, identifiers, words as frequent as in a language. They are
copied into a database of its own, as the indexer would have put them there, and the searches are those of the use case
that the API calls: ability, index, reading the texts, marking the lines.
"""

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from bench.figures import Figure, database, run, spread
from quarterdeck import server
from quarterdeck.app import first_start, search_index, session_search, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.sessions import StartSession
from quarterdeck.core.search import words
from quarterdeck.core.search_texts import output_piece
from quarterdeck.settings import Settings
from quarterdeck.store.search import FAR, NEAR, scope

PROJECTS = 50
LINES_OF_A_CALL = 2_000
CHUNK_BYTES = 16_384
VOCABULARY = 30_000
AIM = "p95 <= 25 ms"
QUERIES = {
    "a word that is everywhere": ("info", "passed", "src"),
    "two words that are everywhere": ("info passed", "error src", "test failed"),
    "a word of the language": ("w40", "w300", "w2000"),
    "a rare word": ("w20011", "w25003", "w29999"),
    "a path": ("src/m7/test_12.py", "m3/test_5.py", "src/m11"),
    "a phrase": ('"took 12 ms"', '"info src"', '"assertion failed in"'),
    "a phrase that is nowhere": ('"ms took"', '"failed passed"'),
    "the beginning of a word": ("asser*", "w123*", "warn*"),
    "one word without another": ("error -test", "warning -w1"),
    "a word that is nowhere": ("nowhere", "zebra"),
}


def options(parser: argparse.ArgumentParser) -> None:
    """The sizes."""
    parser.add_argument("--lines", type=int, default=10_000_000, help="of output in all")
    parser.add_argument("--samples", type=int, default=60, help="of each kind of search and person")


def measure(chosen: argparse.Namespace) -> Iterable[Figure]:
    """Fills a database, and searches it."""
    lines, samples = (20_000, 3) if chosen.small else (chosen.lines, chosen.samples)
    with database() as url:
        home = Path(tempfile.mkdtemp(prefix="qd-bench-", dir="/tmp"))
        try:
            yield from asyncio.run(_measure(url, home, lines, samples))
        finally:
            shutil.rmtree(home, ignore_errors=True)


async def _measure(url: str, home: Path, lines: int, samples: int) -> list[Figure]:
    app = server.assemble(Settings.model_validate({"home": home, "port": 7433}), url)
    made = await first_start.ensure(app, administrator="ada", token="qdp_bench", runner_token="qdr_bench")
    request = StartSession(project="sample", goal="g", model="scripted", inputs={"pipeline": {"id": 1}})
    like = (await sessions.start(app, made.administrator, request)).id
    begun = time.perf_counter()
    await asyncio.to_thread(_fill, url, like, lines)
    figures = [Figure("lines copied and indexed", lines, "lines", note=f"{time.perf_counter() - begun:.0f} s")]
    figures += _sizes(url, lines)
    people = {
        "an administrator": made.administrator,
        f"a developer of {PROJECTS // 5} projects": _developer(url, "most", range(2, 2 + PROJECTS // 5)),
        "a developer of the smallest project": _developer(url, "least", [1 + PROJECTS]),
    }
    for name, actor in people.items():
        figures += await _search(app, name, actor, samples)
    figures.append(await _index(app, url, like))
    await app.database.close()
    return figures


def _fill(url: str, like: int, lines: int) -> None:
    chance = random.Random(7)
    calls = max(1, lines // LINES_OF_A_CALL)
    with psycopg.connect(url) as connection:
        connection.execute("drop index ix_search_pieces_words")
        for number in range(2, 2 + PROJECTS):
            connection.execute("insert into projects (path) values (%s)", (f"group/p{number}",))
        columns = [
            row[0]
            for row in connection.execute(
                "select column_name::text from information_schema.columns"
                " where table_name = 'sessions' and column_name not in ('id', 'project_id')"
            )
        ]
        copied = sql.SQL(", ").join(map(sql.Identifier, columns))
        # Sessions of projects are as uneven as in life: the first has most, the last a handful.
        connection.execute(
            sql.SQL(
                "insert into sessions (project_id, {columns}) select 2 + least({last}, floor({projects}"
                " * power(n::float / {calls}, 3))::int), {columns} from sessions, generate_series(1, {calls}) as n"
                " where id = {like}"
            ).format(columns=copied, last=PROJECTS - 1, projects=PROJECTS, calls=calls, like=like)
        )
        rows = connection.execute("select id, project_id, initiator_id from sessions where id > %s", (like,)).fetchall()
        chance.shuffle(rows)
        pieces = "search_pieces (id, session_id, seq, last_seq, call_id, start, stop, line, words)"
        number = _newest(connection)
        for session_id, project_id, user_id in rows:
            data = "".join(_lines(chance, lines // calls)).encode()
            with connection.cursor().copy('copy outputs (call_id, "offset", data) from stdin') as copy:
                for place in range(0, len(data), CHUNK_BYTES):
                    copy.write_row((f"c_{session_id}", place, data[place : place + CHUNK_BYTES]))
            about = scope("api", project_id, user_id)
            with connection.cursor().copy(f"copy {pieces} from stdin") as copy:
                place, line = 0, 1
                while size := output_piece(data[place : place + 8_192], ended=True):
                    piece = data[place : place + size].decode()
                    number += 1
                    kept = [*words(piece), *about, f"/n{number >> NEAR}", f"/f{number >> FAR}"]
                    vector = " ".join(f"'{word}'" for word in kept)
                    copy.write_row((number, session_id, 3, 3, f"c_{session_id}", place, place + size, line, vector))
                    place, line = place + size, line + piece.count("\n")
        connection.execute("select setval(pg_get_serial_sequence('search_pieces', 'id'), %s)", (number,))
        connection.execute("set maintenance_work_mem = '512MB'")
        connection.execute(
            "create index ix_search_pieces_words on search_pieces"
            " using gin (words) with (gin_pending_list_limit = 1024)"
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("vacuum analyze")


def _newest(connection: psycopg.Connection) -> int:
    row = connection.execute("select coalesce(max(id), 0) from search_pieces").fetchone()
    assert row is not None
    return int(row[0])


def _lines(chance: random.Random, count: int) -> Iterator[str]:
    for n in range(count):
        word = [f"w{int(VOCABULARY ** chance.random())}" for _ in range(4)]
        path = f"src/m{chance.randrange(40)}/test_{chance.randrange(60)}.py"
        match chance.randrange(8):
            case 0 | 1 | 2:
                yield f"12:{n % 60:02}:{n % 47:02} INFO {path} {' '.join(word)} took {chance.randrange(90)} ms\n"
            case 3 | 4:
                yield f"{path}::test_{word[0]}_{word[1]} PASSED [{n % 100:3}%]\n"
            case 5:
                yield f"WARNING {word[0]}: {word[1]} at 0x{chance.getrandbits(48):012x}\n"
            case 6:
                yield f"ERROR {path}:{n}: assertion failed in {word[0]}, {word[1]} != {word[2]}\n"
            case _:
                yield f"    {' '.join(word)} {chance.randrange(10_000)}\n"


def _sizes(url: str, lines: int) -> Iterator[Figure]:
    with psycopg.connect(url) as connection:
        for what, name in (
            ("text", "outputs"), ("index's rows", "search_pieces"), ("index of words", "ix_search_pieces_words"),
        ):  # fmt: skip
            size = connection.execute(
                "select case when %s like 'ix%%' then pg_relation_size(%s) else pg_total_relation_size(%s)"
                " - case when %s = 'search_pieces' then pg_relation_size('ix_search_pieces_words') else 0 end end",
                (name, name, name, name),
            ).fetchone()
            assert size is not None
            yield Figure(f"{what}, by line", size[0] / lines, "B")


def _developer(url: str, name: str, projects: Iterable[int]) -> Actor:
    with psycopg.connect(url) as connection:
        row = connection.execute("insert into users (username) values (%s) returning id", (name,)).fetchone()
        assert row is not None
        for project in projects:
            connection.execute("insert into members values (%s, %s, 30)", (project, row[0]))
    return Actor(row[0], name, name, "", admin=False)


async def _search(app: App, who: str, actor: Actor, samples: int) -> list[Figure]:
    every: list[float] = []
    figures: list[Figure] = []
    for kind, queries in QUERIES.items():
        taken: list[float] = []
        hits = 0
        for n in range(samples + 2):
            begun = time.perf_counter()
            page = await session_search.find(app, actor, queries[n % len(queries)])
            if n >= 2:  # the first are for the caches
                taken.append((time.perf_counter() - begun) * 1_000)
            hits += len(page.items)
        every += taken
        figures += spread(f"{kind}, by {who}", taken, "ms", AIM, f"{hits / (samples + 2):.1f} hits a page")[:2]
    return figures + spread(f"all searches by {who}", every, "ms", AIM)


async def _index(app: App, url: str, session_id: int) -> Figure:
    """How fast the worker indexes what is printed."""
    data = "".join(_lines(random.Random(3), 20_000)).encode()
    with psycopg.connect(url) as connection:
        with connection.cursor().copy('copy outputs (call_id, "offset", data) from stdin') as copy:
            for place in range(0, len(data), CHUNK_BYTES):
                copy.write_row(("c_fresh", place, data[place : place + CHUNK_BYTES]))
        connection.execute(
            "insert into offers (call_id, subject, session_id, side, tool, args, status, output_bytes)"
            " values ('c_fresh', %s, %s, 'executor', 'run_command', '{}', 'finished', %s)",
            (f"session:{session_id}", session_id, len(data)),
        )
        due = "insert into search_dues (session_id, call_id, seq) values (%s, 'c_fresh', 1)"
        connection.execute(due, (session_id,))
    begun = time.perf_counter()
    await search_index.index(app)
    return Figure("lines indexed in a second", 20_000 / (time.perf_counter() - begun), "lines/s", note="one worker")


if __name__ == "__main__":
    run(__doc__ or "", measure, options)
