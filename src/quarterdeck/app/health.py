"""How the server is: what `qd doctor` and the front page ask."""

from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from quarterdeck import __version__
from quarterdeck.app.application import App
from quarterdeck.app.model_keys import stored_keys
from quarterdeck.app.model_rules import rules_for
from quarterdeck.core.protocol import DROP_SECONDS
from quarterdeck.store.tables import runners


class RunnerView(BaseModel):
    """A runner as lists show it."""

    model_config = ConfigDict(frozen=True)
    id: int
    name: str
    version: str
    isolation: str
    capacity: int
    alive: bool
    last_contact: datetime | None
    sandbox: str
    """What the runner says of its own sandbox; with the remedy where it is not whole."""


class HealthView(BaseModel):
    """The parts of the server, each as seen just now."""

    model_config = ConfigDict(frozen=True)
    version: str
    database: str
    workers: int
    runners: tuple[RunnerView, ...]
    models: tuple[str, ...]
    default_model: str | None


async def health(app: App) -> HealthView:
    """Asks the database what lives. Raises UnavailableError when it can't be reached."""
    async with app.database.transaction() as connection:
        database = (await connection.exec_driver_sql("show server_version")).scalar_one()
        workers = await app.dispatch.workers(connection)
        rows = (await connection.execute(select(runners).order_by(runners.c.id))).all()
        stored = await stored_keys(app, connection)
        rules = await rules_for(connection, None, "")
    limit = datetime.now(UTC) - timedelta(seconds=DROP_SECONDS)
    return HealthView(
        version=__version__,
        database=f"PostgreSQL {database}",
        workers=workers,
        runners=tuple(
            RunnerView(
                id=row.id,
                name=row.name,
                version=row.version,
                isolation=row.isolation,
                capacity=row.capacity,
                alive=row.last_contact is not None and row.last_contact > limit,
                last_contact=row.last_contact,
                sandbox=str(row.capabilities.get("sandbox", "")),
            )
            for row in rows
        ),
        models=tuple(one.provider for one in app.models.reach(stored) if one.source),
        default_model=rules.default or app.models.default(stored),
    )
