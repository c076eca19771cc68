"""What the instance comes to, for its administrators."""

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from quarterdeck.app.access import administrator
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.store.tables import projects, users


class InstanceView(BaseModel):
    """How much there is."""

    model_config = ConfigDict(frozen=True)
    people: int
    projects: int
    database_bytes: int
    """What PostgreSQL's files of this database take."""


async def show(app: App, actor: Actor) -> InstanceView:
    """Counted just now. For administrators."""
    administrator(actor, "see what the instance comes to")
    query = select(
        select(func.count()).select_from(users).scalar_subquery().label("people"),
        select(func.count()).select_from(projects).scalar_subquery().label("projects"),
        func.pg_database_size(func.current_database()).label("database_bytes"),
    )
    async with app.database.reading() as connection:
        return InstanceView.model_validate((await connection.execute(query)).one(), from_attributes=True)
