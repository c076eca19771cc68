"""Lists of sessions: what is found, in which order, page by page, by whom; and the counts that are kept of them."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest
from sqlalchemy import delete, func, insert, select, text, update

from quarterdeck.app import session_counts, session_filter, session_lists
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.session_lists import SessionPage, Sort
from quarterdeck.core.access import Role
from quarterdeck.core.errors import ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.status import AWAITING, GROUPS, Status, StatusGroup
from quarterdeck.store.session_columns import ORDER
from quarterdeck.store.tables import members, session_count_changes, users
from quarterdeck.store.tables import projects as project_rows
from quarterdeck.store.tables import session_counts as kept
from quarterdeck.store.tables import sessions as rows
from tests.conftest import Start

NOW = datetime.now(UTC).replace(microsecond=0)
PEOPLE = ("ada", "dev", "rex", "eve")
SIZE = 160


@dataclass
class World:
    """Sessions in all shapes, and who may see them."""

    app: App
    actors: dict[str, Actor]
    projects: dict[str, int]
    sessions: list[dict[str, Any]]

    def seen(self, actor: Actor, one: dict[str, Any]) -> bool:
        """The rule, said once more."""
        if one["initiator_id"] == actor.user_id:
            return True
        if one["origin"] in ("chat", "ide"):
            return False
        return actor.admin or (actor.username == "dev" and one["project_id"] in self.projects.values())

    async def all(self, actor: Actor, wanted: SessionFilter, limit: int = 7, **how: Any) -> list[int]:
        """All pages, forwards; the same backwards."""
        pages = [await session_lists.find(self.app, actor, wanted, limit=limit, **how)]
        while (cursor := pages[-1].next) is not None:
            pages.append(await session_lists.find(self.app, actor, wanted, limit=limit, cursor=cursor))
        back = [await session_lists.find(self.app, actor, wanted, limit=limit, last=True, **how)]
        while (cursor := back[-1].previous) is not None:
            back.append(await session_lists.find(self.app, actor, wanted, limit=limit, cursor=cursor))
        assert pages[0].previous is back[0].next is None
        forwards = _ids(pages)
        assert _ids(back[::-1]) == forwards, "from the end it is the same list"
        if len(pages) > 1:
            assert pages[1].previous is not None
            again = await session_lists.find(self.app, actor, wanted, limit=limit, cursor=pages[1].previous)
            assert again.items == pages[0].items
        return forwards


def _ids(pages: list[SessionPage]) -> list[int]:
    return [row.id for page in pages for row in page.items]


@pytest.fixture
async def world(app: App, start: Start) -> World:
    chance = random.Random(4)
    async with app.database.transaction() as connection:
        for name in PEOPLE[1:]:
            await connection.execute(insert(users).values(username=name))
        found = await connection.execute(select(users).order_by(users.c.id))
        actors = {row.username: Actor(row.id, row.username, "", "", row.admin) for row in found}
        for path in ("one", "two"):
            await connection.execute(insert(project_rows).values(path=path, name=path))
        ids = {row.path: row.id for row in await connection.execute(select(project_rows))}
        for project_id in ids.values():
            for name, role in (("dev", Role.DEVELOPER), ("rex", Role.REPORTER)):
                member = {"project_id": project_id, "user_id": actors[name].user_id, "role": role.value}
                await connection.execute(insert(members).values(member))
        sessions = [_session(number, chance, list(actors.values()), list(ids.values())) for number in range(1, SIZE)]
        await connection.execute(insert(rows), sessions)
    return World(app, actors, ids, sessions)


def _session(number: int, chance: random.Random, actors: list[Actor], projects: list[int]) -> dict[str, Any]:
    """Times and costs repeat, so that the number decides."""
    status = chance.choice(list(Status))
    origin = chance.choice(["api", "cli", "web", "chat", "ide"])
    active = NOW - timedelta(hours=chance.randint(0, 40))
    goal = chance.choice(["Mend the pipeline", "Write 100% of it", r"a_b \c", "Größe messen"])
    return {
        "id": number,
        "project_id": None if origin == "chat" and chance.random() < 0.5 else chance.choice(projects),
        "initiator_id": chance.choice(actors).user_id,
        "origin": origin,
        "flow": chance.choice(["fix/1.0.0", "fix/1.2.0", "fix/10.0.0", "fix_it/1.0.0", "fixxit/1.0.0"]),
        "flow_hash": "x",
        "model": chance.choice(["a:b", "scripted:x"]),
        "title": chance.choice(["Red", "Green"]),
        "status": status.value,
        "status_order": ORDER[GROUPS[status]],
        "seq": number,
        "turn_no": 1,
        "turn_open": False,
        "state": {"created": {"goal": goal}},
        "cost": chance.choice([None, Decimal(0), Decimal("0.25")]),
        "warnings": 0,
        "errors": 0,
        "created_at": active - timedelta(hours=chance.randint(0, 3)),
        "last_activity": active,
        "expires_on": None
        if (held := chance.random() < 0.2)
        else (active + timedelta(days=chance.randint(1, 3))).date(),
        "held": held,
        "parent_id": chance.choice([None, None, 7]),
    }


Fits = Callable[[Actor, dict[str, Any]], bool]
FILTERS: list[tuple[dict[str, Any], Fits]] = [
    ({}, lambda _, one: True),
    ({"mine": True}, lambda actor, one: one["initiator_id"] == actor.user_id),
    (
        {"needs_me": True},
        lambda actor, one: one["initiator_id"] == actor.user_id and Status(one["status"]) in AWAITING,
    ),
    ({"kind": "chat"}, lambda _, one: one["origin"] == "chat"),
    ({"kind": "flow"}, lambda _, one: one["origin"] != "chat"),
    ({"status": Status.IDLE}, lambda _, one: one["status"] == "idle"),
    (
        {"status_group": StatusGroup.AWAITING_INPUT},
        lambda _, one: GROUPS[Status(one["status"])] is StatusGroup.AWAITING_INPUT,
    ),
    ({"flow": "fix/1.0.0"}, lambda _, one: one["flow"] == "fix/1.0.0"),
    ({"flow": "fix/v1"}, lambda _, one: one["flow"].startswith("fix/1.")),
    ({"flow": "fix_it"}, lambda _, one: one["flow"].startswith("fix_it/")),
    ({"initiator": "dev"}, lambda _, one: one["initiator_id"] == 2),
    ({"initiator": "nobody"}, lambda _, one: False),
    ({"origin": "ide"}, lambda _, one: one["origin"] == "ide"),
    ({"model": "scripted:x"}, lambda _, one: one["model"] == "scripted:x"),
    ({"created_after": NOW - timedelta(hours=20)}, lambda _, one: one["created_at"] >= NOW - timedelta(hours=20)),
    ({"created_before": NOW - timedelta(hours=20)}, lambda _, one: one["created_at"] < NOW - timedelta(hours=20)),
    ({"updated_after": NOW - timedelta(hours=9)}, lambda _, one: one["last_activity"] >= NOW - timedelta(hours=9)),
    ({"updated_before": NOW - timedelta(hours=9)}, lambda _, one: one["last_activity"] < NOW - timedelta(hours=9)),
    (
        {"expiring": 1},
        lambda _, one: (
            one["expires_on"] is not None and one["expires_on"] <= datetime.now(UTC).date() + timedelta(days=1)
        ),
    ),
    ({"held": True}, lambda _, one: one["held"]),
    ({"parent": 7}, lambda _, one: one["parent_id"] == 7),
    ({"text": "red PIPELINE"}, lambda _, one: one["title"] == "Red" and "pipeline" in _goal(one)),
    ({"text": "100%"}, lambda _, one: "100%" in _goal(one)),
    ({"text": "%"}, lambda _, one: "%" in _goal(one)),
    ({"text": r"a_b \c"}, lambda _, one: "a_b" in _goal(one)),
    ({"text": "GRÖSSE"}, lambda _, one: False),
    ({"text": "größe"}, lambda _, one: "Größe" in _goal(one)),
    ({"text": "#12"}, lambda _, one: one["id"] == 12),
    ({"text": "100"}, lambda _, one: one["id"] == 100 or "100" in _goal(one)),
]


def _goal(one: dict[str, Any]) -> str:
    return one["state"]["created"]["goal"]


def _sorted(found: list[dict[str, Any]], sort: Sort, down: bool) -> list[int]:
    keys: dict[Sort, Callable[[dict[str, Any]], Any]] = {
        "updated": lambda one: (one["last_activity"], one["id"]),
        "created": lambda one: (one["created_at"], one["id"]),
        "expires": lambda one: (str(one["expires_on"] or "9999"), one["id"]),
        "cost": lambda one: (-1 if one["cost"] is None else one["cost"], one["id"]),
        "status": lambda one: (list(StatusGroup).index(GROUPS[Status(one["status"])]), -one["id"]),
    }
    return [one["id"] for one in sorted(found, key=keys[sort], reverse=down)]


async def test_any_two_filters_in_any_order_by_anybody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)
    pairs = [
        (one, other) for n, one in enumerate(FILTERS) for other in FILTERS[n:] if not one[0].keys() & other[0].keys()
    ]
    pairs = [(FILTERS[0], one) for one in FILTERS] + chance.sample(pairs, 120)
    told = 0
    for (one, fits), (other, fits_too) in pairs:
        name = chance.choice(PEOPLE)
        actor = world.actors[name]
        project = chance.choice([None, "one"]) if name in ("ada", "dev") else None
        sort: Sort = chance.choice(get_args(Sort))
        order = chance.choice([None, "asc", "desc"])
        monkeypatch.setattr(session_filter, "FEW", chance.choice([5_000, 10]))  # of few and of many with those words
        down = (order or ("asc" if sort in ("expires", "status") else "desc")) == "desc"
        wanted = SessionFilter(**one, **other, project=project)
        fitting = [
            it
            for it in world.sessions
            if world.seen(actor, it)
            and fits(actor, it)
            and fits_too(actor, it)
            and (project is None or it["project_id"] == world.projects[project])
        ]
        found = await world.all(
            actor, wanted, limit=chance.choice([1, 7, 40]) if len(fitting) < 30 else 25, sort=sort, order=order
        )
        assert found == _sorted(fitting, sort, down), (name, wanted, sort, order)
        told += len(found)
    assert told > 500, "the filters find something"


async def test_a_member_of_many_projects_sees_each_session_once(world: World) -> None:
    async with world.app.database.transaction() as connection:
        for number in range(20):
            made = insert(project_rows).values(path=f"p{number}", name="").returning(project_rows.c.id)
            project_id = (await connection.execute(made)).scalar_one()
            member = {"project_id": project_id, "user_id": world.actors["dev"].user_id, "role": 30}
            await connection.execute(insert(members).values(member))
            await connection.execute(update(rows).where(rows.c.id == number + 1).values(project_id=project_id))
            world.sessions[number]["project_id"] = world.projects[f"p{number}"] = project_id
    dev = world.actors["dev"]
    for wanted in (SessionFilter(), SessionFilter(status_group=StatusGroup.COMPLETED)):
        fitting = [
            one
            for one in world.sessions
            if world.seen(dev, one) and wanted.status_group in (None, GROUPS[Status(one["status"])])
        ]
        assert await world.all(dev, wanted, limit=30) == _sorted(fitting, "updated", down=True)


async def test_rows_tell_what_lists_show(world: World) -> None:
    dev = world.actors["dev"]
    page = await session_lists.find(world.app, dev, SessionFilter(needs_me=True, project="one"))
    assert page.items
    for row in page.items:
        one = world.sessions[row.id - 1]
        assert (row.needs_me, row.initiator, row.project_path) == (True, "dev", "one")
        assert row.cost == (None if one["cost"] is None else str(one["cost"]))
        assert (row.held, row.expires_on, row.status_group) == (one["held"], one["expires_on"], "awaiting_input")
    others = await session_lists.find(world.app, dev, SessionFilter(status=Status.INPUT_REQUIRED), limit=100)
    assert {row.needs_me for row in others.items if row.initiator != "dev"} == {False}


async def test_what_is_refused(world: World) -> None:
    rex, eve = world.actors["rex"], world.actors["eve"]
    with pytest.raises(ForbiddenError):
        await session_lists.find(world.app, rex, SessionFilter(project="one"))
    with pytest.raises(NotFoundError):
        await session_lists.find(world.app, eve, SessionFilter(project="one"))
    with pytest.raises(NotFoundError):
        await session_counts.counts(world.app, eve, "one")
    # Whether or not a session has the words, or there is such a person: nobody learns that from a refusal.
    for said in (
        SessionFilter(project="one", text="no session has this"),
        SessionFilter(project="one", initiator="no"),
    ):
        with pytest.raises(NotFoundError):
            await session_lists.find(world.app, eve, said)
    page = await session_lists.find(world.app, world.actors["ada"], limit=1)
    with pytest.raises(InvalidInputError, match="another order"):
        await session_lists.find(world.app, eve, sort="cost", cursor=page.next)
    with pytest.raises(InvalidInputError, match="another order"):
        await session_lists.find(world.app, eve, order="asc", cursor=page.next)
    for value in ("nan", "x"):
        forged = str(session_lists.Cursor("cost", True, False, value, 1))
        with pytest.raises(InvalidInputError, match="no cursor"):
            await session_lists.find(world.app, eve, cursor=forged)


async def test_counts_are_those_of_the_rows_after_any_change(world: World) -> None:
    chance = random.Random(6)
    for turn in range(12):
        async with world.app.database.transaction() as connection:
            for one in chance.sample(world.sessions, 10):
                status = chance.choice(list(Status))
                one |= {"status": status.value, "status_order": ORDER[GROUPS[status]]}
                change = update(rows).where(rows.c.id == one["id"])
                await connection.execute(change.values(status=one["status"], status_order=one["status_order"]))
            gone = [world.sessions.pop(chance.randrange(len(world.sessions)))["id"] for _ in range(3)]
            await connection.execute(delete(rows).where(rows.c.id.in_(gone)))
            if turn % 4 == 3:
                await connection.execute(text("select fold_session_counts()"))
                left = (await connection.execute(select(func.count()).select_from(session_count_changes))).scalar_one()
                assert left == 0
                assert not (await connection.execute(select(kept).where(kept.c.n <= 0))).all()
        for name, project in (("ada", None), ("dev", None), ("dev", "one"), ("rex", None), ("eve", None)):
            actor = world.actors[name]
            here = [
                one
                for one in world.sessions
                if world.seen(actor, one)
                and project in (None, *(p for p, i in world.projects.items() if i == one["project_id"]))
            ]
            mine = [one for one in here if one["initiator_id"] == actor.user_id]
            found = await session_counts.counts(world.app, actor, project)
            assert found.all == _by_group(here)
            assert found.mine == _by_group(mine)
            assert found.needs_me == len([one for one in mine if Status(one["status"]) in AWAITING])


def _by_group(sessions: list[dict[str, Any]]) -> dict[StatusGroup, int]:
    groups = [GROUPS[Status(one["status"])] for one in sessions]
    return {group: groups.count(group) for group in StatusGroup}
