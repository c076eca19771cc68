"""How the server is: what `qd doctor` and the front page ask."""

from pydantic import BaseModel, ConfigDict

from quarterdeck import __version__
from quarterdeck.app.application import App
from quarterdeck.app.model_keys import stored_keys
from quarterdeck.app.model_rules import rules_for
from quarterdeck.app.runners import RunnerView, shown, views_of
from quarterdeck.store.tables import runners


class HealthView(BaseModel):
    """The parts of the server, each as seen just now."""

    model_config = ConfigDict(frozen=True)
    version: str
    database: str
    workers: int
    runners: tuple[RunnerView, ...]
    """Those of the instance."""
    models: tuple[str, ...]
    default_model: str | None


async def health(app: App) -> HealthView:
    """Asks the database what lives. Raises UnavailableError when it can't be reached."""
    async with app.database.transaction() as connection:
        database = (await connection.exec_driver_sql("show server_version")).scalar_one()
        workers = await app.dispatch.workers(connection)
        rows = (await connection.execute(shown().where(runners.c.project_id.is_(None)))).all()
        stored = await stored_keys(app, connection)
        rules = await rules_for(connection, None, "")
    return HealthView(
        version=__version__,
        database=f"PostgreSQL {database}",
        workers=workers,
        runners=views_of(rows),
        models=tuple(one.provider for one in app.models.reach(stored) if one.source),
        default_model=rules.default or app.models.default(stored),
    )
