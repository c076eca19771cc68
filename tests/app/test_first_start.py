"""The first start of several servers at once on one empty database."""

import asyncio

import pytest

from quarterdeck.app import first_start
from quarterdeck.app.application import App


class KilledError(BaseException):
    """The server ends here."""


async def test_a_first_start_that_is_killed_before_its_end_is_the_next_one_s(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_given: object, **_named: object) -> str:
        raise KilledError

    names = {"administrator": "ada", "token": "qdp_1", "runner_token": "qdr_1"}
    with monkeypatch.context() as patch:
        patch.setattr(type(app.forge), "create", killed)
        with pytest.raises(KilledError):
            await first_start.ensure(app, **names)
    assert (await first_start.ensure(app, **names)).first
    async with app.database.transaction() as connection:
        rows = await connection.exec_driver_sql("delete from projects returning path")
        assert rows.scalars().all() == [first_start.SAMPLE]
    assert not (await first_start.ensure(app, **names)).first
    async with app.database.transaction() as connection:
        rows = await connection.exec_driver_sql("select path from projects")
        assert rows.scalars().all() == [], "one that was deleted does not come again"


async def test_servers_that_start_at_once_make_one_administrator_and_one_sample(app: App) -> None:
    made = await asyncio.gather(*(
        first_start.ensure(app, administrator="ada", token=f"qdp_{number}", runner_token=f"qdr_{number}")
        for number in range(4)
    ))  # fmt: skip
    assert sorted(one.first for one in made) == [False, False, False, True]
    assert len({one.administrator.user_id for one in made}) == 1
    async with app.database.transaction() as connection:
        rows = await connection.exec_driver_sql("select path from projects")
        assert rows.scalars().all() == [first_start.SAMPLE]
        kinds = await connection.exec_driver_sql("select kind, count(*) from tokens group by kind order by kind")
        assert [tuple(one) for one in kinds] == [("personal", 4), ("runner", 4)]
