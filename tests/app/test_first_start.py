"""The first start of several servers at once on one empty database."""

import asyncio

from quarterdeck.app import first_start
from quarterdeck.app.application import App


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
