"""Search finds what was written, from whoever may see it, and nothing else; without what was secret or is deleted."""

import importlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import insert, text

from quarterdeck.app import (
    deletion,
    executors,
    hellos,
    offers,
    search_index,
    session_lists,
    session_search,
    sessions,
    steering,
    turns,
)
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.app.executors import Hands
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.session_search import Hit
from quarterdeck.app.sessions import StartSession
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core import search as core
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.errors import ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.events import Outcome
from quarterdeck.core.search_texts import PIECE_BYTES
from quarterdeck.core.status import Status, StatusGroup
from quarterdeck.core.usage import Usage
from quarterdeck.store import schema
from quarterdeck.store.tables import members, users
from tests.app import chats
from tests.app.test_sessions import FLOW, PLANTED, SCRIPT
from tests.conftest import Start

FROM_BEFORE: tuple[str, ...] = importlib.import_module(
    next(
        f"quarterdeck.store.migrations.versions.{file.stem}"
        for file in Path(schema.__file__).with_name("migrations").glob("versions/*_search.py")
    )
).FROM_BEFORE


async def begin(app: App, actor: Actor, goal: str, **more: Any) -> int:
    request = StartSession(project="sample", flow_yaml=FLOW, goal=goal, model="scripted", script=SCRIPT, **more)
    return (await sessions.start(app, actor, request)).id


async def found(app: App, actor: Actor, query: str, *, limit: int = 3, **more: Any) -> list[Hit]:
    """All pages of a search, one after the other."""
    hits: list[Hit] = []
    before: str | None = None
    while True:
        page = await session_search.find(app, actor, query, before=before, limit=limit, **more)
        hits += page.items
        if (before := page.next) is None:
            return hits


def places(hits: list[Hit]) -> list[tuple[int, str]]:
    return [(hit.session_id, hit.part) for hit in hits]


@dataclass
class Worker:
    """A session whose commands are carried out here."""

    app: App
    hands: Hands
    runner: int
    session_id: int
    calls: dict[str, p.Offer]

    async def prints(self, call_id: str, data: bytes, *, offset: int = 0) -> None:
        offer = self.calls[call_id]
        for place in range(0, len(data), 50_000):
            chunk = data[place : place + 50_000]
            await executors.output(self.app, self.hands, call_id, offer.lease_epoch, offset + place, chunk)

    async def ends(self, call_id: str, said: str, outcome: Outcome = Outcome.OK, size: int = 0) -> None:
        offer = self.calls[call_id]
        result = p.Result(
            turn_no=offer.turn_no, lease_epoch=offer.lease_epoch, outcome=outcome, text=said, output_bytes=size
        )
        await executors.result(self.app, self.hands, call_id, result)


async def working(app: App, start: Start, *calls: RequestedCall, says: str = "I look.") -> Worker:
    """A session that has asked for calls, which a runner has been given."""
    hands = await executors.authenticate(app, start.runner_token)
    hello = p.Hello(protocol=1, version="0", name="r", capacity=4, isolation="full")
    welcome = await hellos.hello(app, hands, hello)
    session_id = await begin(app, start.owner, "Mend it")
    turn = await turns.claim(app, session_id, 1, job=1)
    assert turn is not None
    question = await turns.advance(app, turn)
    assert question is not None
    await turns.answered(app, turn, question, Reply(says, "", calls, "", "scripted:x", Usage(requests=1), 1))
    assert await turns.advance(app, turn) is None
    worker = Worker(app, hands, welcome.runner, session_id, {})
    await take(worker)
    return worker


async def take(worker: Worker) -> None:
    orders = offers.stream(worker.app, worker.hands, worker.runner)
    given = [order for order in await anext(orders) if isinstance(order, p.Offer)]
    worker.calls |= {one.call_id: one for one in given if one.subject == f"session:{worker.session_id}"}
    await orders.aclose()


async def test_each_part_of_a_session_is_found_where_it_stands(app: App, start: Start) -> None:
    asked = (
        RequestedCall("p1", "run_command", {"command": "make check-zebra"}),
        RequestedCall("p2", "read_file", {"file_path": "src/giraffe.py"}),
    )
    worker = await working(app, start, *asked, says="I look at the\nPelican first.")
    number = worker.session_id
    (command,) = worker.calls
    output = b"one\n\x1b[31mError: ruff.toml\x1b[0m not found\r\n" + b"padding\n" * 2_000 + b"the last walrus"
    await worker.prints(command, output[:5])
    assert await search_index.index(app), "the call goes on"
    await worker.prints(command, output[5:], offset=5)
    await worker.ends(command, "Exit code 2.\nmake: *** [zebra] Error 2", Outcome.ERROR, len(output))
    turn = await turns.claim(app, number, 2, job=2)
    assert turn is not None
    assert await turns.advance(app, turn) is None
    await take(worker)
    (reading,) = worker.calls.keys() - {command}
    await worker.ends(reading, "class Giraffe:\n    neck = 2")
    await steering.reply(app, start.owner, number, "And the ocelot?")
    await steering.rename(app, start.owner, number, "Quokka")
    assert not await search_index.index(app), "everything is indexed"

    asking = (await found(app, start.owner, "zebra", limit=1))[-1]
    assert (asking.part, asking.call_id) == ("arguments", command)
    assert [(one.line, one.text, one.marks) for one in asking.lines] == [
        (2, "command: make check-zebra", ((20, 25),)),
    ]
    assert places(await found(app, start.owner, "ZEBRA")) == [(number, "error"), (number, "arguments")]
    assert places(await found(app, start.owner, "giraffe")) == [(number, "result"), (number, "arguments")]
    for query, part, line, shown, at in (
        ("pelican", "message", 2, "Pelican first.", (0, 7)),
        ("ocelot", "message", 1, "And the ocelot?", (8, 14)),
        ("quokka", "title", 1, "Quokka", (0, 6)),
        ('"mend it"', "goal", 1, "Mend it", (0, 7)),
        ("ruff.toml error -padding", "output", 2, "Error: ruff.toml not found", (0, 5)),
        ("walr*", "output", 2_003, "the last walrus", (9, 13)),
    ):
        (hit,) = await found(app, start.owner, query)
        assert (hit.session_id, hit.part, hit.session_title, hit.project_path) == (number, part, "Quokka", "sample")
        assert (hit.lines[0].line, hit.lines[0].text, hit.lines[0].marks[0]) == (line, shown, at)
        assert hit.url.endswith(f"/sessions/{number}#e{hit.seq}")
        (same,) = (await session_search.find_within(app, start.owner, number, query)).items
        assert same == hit
    (printed,) = (await session_search.find_within(app, start.owner, number, "walrus")).items
    assert (printed.seq, printed.call_id) == (asking.seq, command), "output leads to what asked for it"
    many = await found(app, start.owner, "padding")
    assert sum(len(hit.lines) + hit.more_lines for hit in many) == 2_000
    assert len(many) <= 2_000 * 8 / PIECE_BYTES + 3
    for nothing in ("pelican -first", "toml.ruff", "walr", '"first pelican"', "error walrus"):
        assert not await found(app, start.owner, nothing)


async def person(app: App, name: str, role: int | None = None, *, admin: bool = False) -> Actor:
    async with app.database.transaction() as connection:
        row = await connection.execute(insert(users).values(username=name, admin=admin).returning(users.c.id))
        user_id = row.scalar_one()
        if role is not None:
            await connection.execute(insert(members).values(project_id=1, user_id=user_id, role=role))
    return Actor(user_id, name, name, "", admin=admin)


async def test_results_are_of_sessions_that_one_may_see(app: App, start: Start) -> None:
    """The same rule as the list's, for every role: what is found is what is listed."""
    developer, reporter = await person(app, "dev", 30), await person(app, "rep", 20)
    stranger, boss = await person(app, "eve"), await person(app, "boss", admin=True)
    private = await chats.begin(app, developer, "capybara")
    inside = await chats.begin(app, developer, "capybara", project="sample")
    shared = [await begin(app, one, "capybara") for one in (start.owner, developer)]
    theirs = {private, inside, *shared}
    for actor, wanted in ((developer, theirs), (reporter, set[int]()), (stranger, set[int]()), (boss, {*shared})):
        listed = await session_lists.find(app, actor)
        assert {one.id for one in listed.items} == wanted
        assert {hit.session_id for hit in await found(app, actor, "capybara")} == wanted
    of_project = await found(app, developer, "capybara", project="sample")
    assert {hit.session_id for hit in of_project} == {inside, *shared}
    assert {hit.session_id for hit in await found(app, developer, "capybara", mine=True)} == theirs - {shared[0]}
    async with app.database.transaction() as connection:
        await connection.execute(members.update().where(members.c.user_id == developer.user_id).values(role=10))
    assert {hit.session_id for hit in await found(app, developer, "capybara")} == theirs - {shared[0]}
    with pytest.raises(ForbiddenError):
        await found(app, reporter, "capybara", project="sample")
    for attempt in (found(app, stranger, "capybara", project="sample"),
                    session_search.find_within(app, boss, private, "capybara")):  # fmt: skip
        with pytest.raises(NotFoundError):
            await attempt


async def test_flow_and_status_say_which_as_they_do_in_lists(app: App, start: Start) -> None:
    for number in [await begin(app, start.owner, "capybara") for _ in range(3)][:2]:
        await steering.cancel(app, start.owner, number)
    await chats.begin(app, start.owner, "capybara")
    rows = (await session_lists.find(app, start.owner)).items
    flows = {row.flow for row in rows}
    wishes: list[dict[str, Any]] = [
        {},
        *({"flow": name} for one in flows for name in (one, one.partition("/")[0])),
        {"flow": "no_such"},
        *({"status": one} for one in {*(row.status for row in rows), Status.FAILED}),
        *({"status_group": one} for one in StatusGroup),
        *({"status_group": StatusGroup.CANCELED, "flow": one} for one in flows),
        {"status": Status.STOPPED, "status_group": StatusGroup.ACTIVE},
    ]
    counted: list[int] = []
    for wish in wishes:
        listed = {row.id for row in (await session_lists.find(app, start.owner, SessionFilter(**wish))).items}
        assert {hit.session_id for hit in await found(app, start.owner, "capybara", limit=1, **wish)} == listed, wish
        counted.append(len(listed))
    assert {0, 1, 2, 3, 4} <= set(counted), "each is of another part of them"


WORDS = ("amber", "Basalt", "coral.rs", "dune_x", "E501", "flint!", "données", "数据")


@pytest.mark.parametrize("seed", range(4))
async def test_pages_hold_what_was_written_and_only_that_each_once(app: App, start: Start, seed: int) -> None:
    """Against a search by hand through everything that was written."""
    chance = random.Random(seed)

    def said(most: int) -> str:
        return " ".join(chance.choices(WORDS, k=chance.randint(1, most)))

    worker = await working(app, start, RequestedCall("p1", "run_command", {"command": "true"}))
    (call_id,) = worker.calls
    numbers = [worker.session_id, *[await begin(app, start.owner, "g") for _ in range(2)]]
    told: list[tuple[int, str]] = []
    for _ in range(25):
        number = chance.choice(numbers)
        texts = [said(5) for _ in range(chance.randint(1, 4))]
        async with change(app, number) as it:
            it.append(*(e.MessageAdded(text=one, by="ada") for one in texts))
        told += [(number, one) for one in texts]
    lines = [said(4) for _ in range(chance.randint(300, 600))]
    output = "\n".join(lines).encode()
    place = 0
    while place < len(output):
        chunk = output[place : place + chance.randint(1, 9_000)]
        await worker.prints(call_id, chunk, offset=place)
        place += len(chunk)
        if chance.random() < 0.5:
            await search_index.index(app)
    await worker.ends(call_id, "done", size=len(output))
    assert not await search_index.index(app)

    for query in (*WORDS, "amber basalt", "amber -e501", '"dune_x e501"', "coral rs", "dune flint", "bas*", "数"):
        needs = core.query(query)
        for limit in (1, 7, 100):
            hits = await found(app, start.owner, query, limit=limit)
            messages = [(hit.session_id, hit.lines[0].text) for hit in hits if hit.part == "message"]
            assert messages == [one for one in reversed(told) if needs.fits(one[1])], query
            shown = [line.line for hit in hits if hit.part == "output" for line in hit.lines]
            counted = len(shown) + sum(hit.more_lines for hit in hits if hit.part == "output")
            fitting = [n for n, one in enumerate(lines, 1) if needs.fits(one)]
            assert counted == len(fitting)
            assert set(shown) <= set(fitting)
        for number in numbers:
            inside: list[Hit] = []
            after: str | None = None
            while True:
                page = await session_search.find_within(app, start.owner, number, query, after=after, limit=7)
                inside += page.items
                if (after := page.next) is None:
                    break
            assert sorted(inside, key=lambda hit: hit.seq) == inside
            assert {hit.model_dump_json() for hit in inside} == {
                hit.model_dump_json() for hit in await found(app, start.owner, query) if hit.session_id == number
            }


async def stored(app: App) -> str:
    """All that the index has of anything."""
    async with app.database.transaction() as connection:
        rows = await connection.execute(text("select words::text from search_pieces"))
        return "\n".join(rows.scalars())


async def test_no_secret_gets_in_or_comes_out(app: App, start: Start) -> None:
    command = RequestedCall("p1", "run_command", {"command": "deploy"})
    worker = await working(app, start, command, says=f"I deploy {PLANTED}")
    await begin(app, start.owner, f"deploy {PLANTED}")
    (call_id,) = worker.calls
    half = len(PLANTED) // 2
    printed = f"deploy {PLANTED}\ndeploy {PLANTED[:half]}\x1b[1m{PLANTED[half:]}\n"
    await worker.prints(call_id, app.redactor.text(printed).encode())
    await worker.ends(call_id, printed, Outcome.ERROR, len(printed))
    await search_index.index(app)
    hits = await found(app, start.owner, "deploy")
    assert {hit.part for hit in hits} == {"goal", "message", "arguments", "error", "output"}
    assert not any(PLANTED in hit.model_dump_json() for hit in hits)
    assert PLANTED[4:30].lower() not in await stored(app)
    assert not await found(app, start.owner, PLANTED)


async def test_nothing_of_a_deleted_session_is_left_or_comes_back(app: App, start: Start) -> None:
    worker = await working(app, start, RequestedCall("p1", "run_command", {"command": "true"}))
    (call_id,) = worker.calls
    await worker.prints(call_id, b"marmot\nmarmot\n")
    await search_index.index(app)
    await worker.prints(call_id, b"marmot again\n", offset=14)
    assert await found(app, start.owner, "marmot")
    await deletion.delete_session(app, start.owner, worker.session_id)
    async with app.database.transaction() as connection:
        # As if an executor's last bytes had come between.
        due = "insert into search_dues (session_id, call_id, seq) values (:session_id, :call_id, 1)"
        await connection.execute(text(due), {"session_id": worker.session_id, "call_id": call_id})
    assert not await search_index.index(app)
    assert not await found(app, start.owner, "marmot")
    assert "marmot" not in await stored(app)
    async with app.database.transaction() as connection:
        for table in ("search_pieces", "search_dues"):
            assert not (await connection.execute(text(f"select * from {table}"))).all()


async def test_what_was_there_before_is_indexed_when_it_comes(app: App, start: Start) -> None:
    worker = await working(app, start, RequestedCall("p1", "run_command", {"command": "lynx"}))
    (call_id,) = worker.calls
    await worker.prints(call_id, b"a lynx\n" * 12_000)
    await worker.ends(call_id, "ok", size=84_000)
    async with change(app, worker.session_id) as it:
        it.append(*(e.MessageAdded(text=f"lynx {n}", by="ada") for n in range(450)))
    await search_index.index(app)
    hits = await found(app, start.owner, "lynx", limit=100)
    async with app.database.transaction() as connection:
        for statement in ("delete from search_pieces", *FROM_BEFORE):
            await connection.execute(text(statement))
    async with change(app, worker.session_id) as it:
        it.append(e.MessageAdded(text="bobcat", by="ada"))
    assert not await search_index.index(app)
    again = await found(app, start.owner, "lynx", limit=100)
    assert sorted(hit.model_dump_json() for hit in again) == sorted(hit.model_dump_json() for hit in hits)
    assert len(await found(app, start.owner, "bobcat")) == 1


async def test_a_deletion_and_the_indexer_do_not_wait_for_each_other(app: App, start: Start, database_url: str) -> None:
    worker = await working(app, start, RequestedCall("p1", "run_command", {"command": "true"}))
    (call_id,) = worker.calls
    await worker.prints(call_id, b"stoat\n")
    with psycopg.connect(database_url) as other:
        other.execute("select 1 from sessions where id = %s for update", (worker.session_id,))
        assert await search_index.index(app), "held by somebody: later"
        assert not await found(app, start.owner, "stoat")
    await search_index.index(app)
    assert await found(app, start.owner, "stoat")


async def test_a_word_that_is_everywhere_is_found_near_and_far(app: App, start: Start, database_url: str) -> None:
    """Through blocks of the index, from the newest piece to one from long before."""
    old = await begin(app, start.owner, "everywhere once")
    with psycopg.connect(database_url) as connection:
        connection.execute("select setval(pg_get_serial_sequence('search_pieces', 'id'), 200000)")
    new = [await begin(app, start.owner, "everywhere") for _ in range(3)]
    for before, wanted in ((None, [*new[::-1], old]), ("100000.0", [old])):
        page = await session_search.find(app, start.owner, "everywhere", before=before)
        assert [hit.session_id for hit in page.items] == wanted
        assert page.next is None
    assert places(await found(app, start.owner, "once")) == [(old, "goal")]


async def test_what_can_not_be_looked_for_is_told_why(app: App, start: Start) -> None:
    for query, why in (
        ('"open', "not closed"), ("", "at least one word"), ("-a", "at least one word"), ("-> ...", "at least one"),
        ("ab*", "3 letters"), ("x" * 300, "256"), ("a " * 17, "at most 16"), ("'\\' & ! | <->", "at least one"),
    ):  # fmt: skip
        with pytest.raises(InvalidInputError, match=why):
            await session_search.find(app, start.owner, query)
    for cursor in ("", "x", "1", "1.2.3", "-1.0", "9" * 30 + ".0", "1.0; drop"):
        with pytest.raises(InvalidInputError, match="cursor"):
            await session_search.find(app, start.owner, "word", before=cursor)


async def test_signs_of_other_languages_are_only_text(app: App, start: Start) -> None:
    for query in ("it's", "a\\b", "'; drop table users; --", "x:b", "y & b", "!z", "p <-> q", "%s %(x)s"):
        number = await begin(app, start.owner, f"say {query} there")
        assert places(await found(app, start.owner, query)) == [(number, "goal")]
