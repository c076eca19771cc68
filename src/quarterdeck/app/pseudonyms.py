"""Who and what is left out of a session that is shown to strangers: everybody of its project, and the project."""

from sqlalchemy import select

from quarterdeck.app.application import App
from quarterdeck.core.anonymous import Anonymizer
from quarterdeck.core.events import SessionCreated
from quarterdeck.store.tables import members, projects, users


async def pseudonyms(app: App, created: SessionCreated, project: str) -> Anonymizer:
    """An anonymizer that knows the initiator, the members and the project; the initiator is `user-1`."""
    anonymous = Anonymizer()
    everybody = select(members.c.user_id).where(members.c.project_id == created.project_id)
    person = select(users.c.username, users.c.name, users.c.email)
    async with app.database.transaction() as connection:
        for query in (
            person.where(users.c.id == created.initiator_id),
            person.where(users.c.id.in_(everybody)).order_by(users.c.id),
        ):
            for row in await connection.execute(query):
                anonymous.person(row.username, row.name, row.email)
        named = select(projects.c.name).where(projects.c.id == created.project_id)
        anonymous.project(project, (await connection.execute(named)).scalar_one_or_none() or "")
    return anonymous
