"""What all of a mirror's parts share: whose doing something is here, its number, and whether ours is newer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Table, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import connections
from quarterdeck.app.access import of_row
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.occurrences import Place
from quarterdeck.app.outside import RefUpdate
from quarterdeck.core.remote import Kind, RemotePerson, marked
from quarterdeck.core.text import clean, line
from quarterdeck.store.tables import connection_people, forge_writes, issues, members, merge_requests, projects, users

NAME_CHARACTERS = 255
URL_CHARACTERS = 2_000


def address(url: str) -> str | None:
    """A URL that a browser may be led to; None for what is none, whoever sent it."""
    url = clean(url)
    return url if url.startswith(("https://", "http://")) and len(url) <= URL_CHARACTERS else None


@dataclass(frozen=True)
class Mirror:
    """One delivery's mirroring."""

    app: App
    row: Row[Any]
    """The connection's."""
    actor: RemotePerson | None
    """Whose doing it is; None when the forge was asked."""
    quiet: bool = False
    """It starts nothing: what is read at first has happened long ago."""

    @property
    def project_id(self) -> int:
        """The project that mirrors."""
        return self.row.project_id

    def ours(self, person: RemotePerson | None) -> bool:
        """Whether it is the account of our own token."""
        return person is not None and person.login.lower() == self.row.login.lower()

    async def fetch(self, refs: Mapping[str, str] | None) -> list[RefUpdate]:
        """Branches as they are there."""
        return await self.app.forge.fetch_from(self.project_id, connections.git_of(self.app, self.row), refs)

    async def people(self, connection: AsyncConnection, logins: Iterable[str]) -> dict[str, int]:
        """Those of the names that are linked to members here, in small letters."""
        wanted = {clean(login).lower() for login in logins}
        if not wanted:
            return {}
        of = connection_people.c
        rows = await connection.execute(
            select(of.login, of.user_id)
            .join(members, (members.c.user_id == of.user_id) & (members.c.project_id == self.project_id))
            .where(of.connection_id == self.row.id, of.login.in_(wanted))
        )
        return {row.login: row.user_id for row in rows}

    async def author(self, connection: AsyncConnection, person: RemotePerson) -> dict[str, Any]:
        """The columns that say whose something is: a member's, or nobody's here with their name there."""
        known = await self.people(connection, [person.login])
        user = known.get(clean(person.login).lower())
        return {"author_id": user, "external_author": line(clean(person.login), NAME_CHARACTERS)}

    async def by(self, connection: AsyncConnection) -> Actor | None:
        """Whose doing it is, if that is a member here; what others do starts nothing, for it has nobody's rights."""
        if self.quiet or self.actor is None:
            return None
        user_id = next(iter((await self.people(connection, [self.actor.login])).values()), None)
        if user_id is None:
            return None
        row = (await connection.execute(select(users).where(users.c.id == user_id))).one()
        return Actor(row.id, row.username, row.name, row.email, row.admin, door="hook")

    async def place(self, connection: AsyncConnection, table: Table, row_id: int) -> Place | None:
        """Where something happened and by whom, for the project's triggers; None for what they don't hear of."""
        actor = await self.by(connection)
        if actor is None:
            return None
        own = (await connection.execute(select(projects).where(projects.c.id == self.project_id))).one()
        row = (await connection.execute(select(table).where(table.c.id == row_id))).one()
        return Place(of_row(own, None), actor, "issue" if table is issues else "merge_request", row, None)

    async def number(self, connection: AsyncConnection, kind: Kind, number: int) -> int:
        """The number for a thing that is new here: the one that it has there, unless something here has it."""
        table = issues if kind == "issue" else merge_requests
        counters = [projects.c.issue_counter if kind == "issue" else projects.c.merge_request_counter]
        own = select(counters[0]).where(projects.c.id == self.project_id).with_for_update(key_share=True)
        last = (await connection.execute(own)).scalar_one()
        taken = select(table.c.id).where(table.c.project_id == self.project_id, table.c.iid == number)
        free = 0 < number < 2**31 and (await connection.execute(taken)).first() is None
        await self.count(connection, kind, number if free else last + 1)
        return number if free else last + 1

    async def count(self, connection: AsyncConnection, kind: Kind, number: int) -> None:
        """The next one that is made here gets a higher number; GitHub counts issues and pull requests together."""
        names = {"issue": "issue_counter", "merge_request": "merge_request_counter"}
        raised = names.values() if self.row.forge == "github" else (names[kind],)
        values = {name: func.greatest(projects.c[name], number) for name in raised}
        await connection.execute(update(projects).where(projects.c.id == self.project_id).values(values))

    async def find(
        self, connection: AsyncConnection, table: Table, kind: Kind, external_id: str, text: str, author: RemotePerson
    ) -> Row[Any] | None:
        """The row of an issue or merge request, locked: by its id there, or by the mark that only we write."""
        mine = table.c.project_id == self.project_id
        query = select(table).where(mine, table.c.external_id == external_id).with_for_update(key_share=True)
        if (found := (await connection.execute(query)).one_or_none()) is not None:
            return found
        mark = marked(text) if self.ours(author) else None
        if mark is None or mark[0] != kind:
            return None
        query = select(table).where(mine, table.c.id == mark[1], table.c.external_id.is_(None))
        return (await connection.execute(query.with_for_update(key_share=True))).one_or_none()

    async def waits(self, connection: AsyncConnection, kind: str, subject: int) -> bool:
        """Whether what changed here has not been written there yet: then ours is the newer."""
        of = forge_writes.c
        mine = of.connection_id == self.row.id, of.kind == kind, of.subject == str(subject)
        query = select(of.wanted).where(*mine, of.wanted > of.done, of.refused.is_(False))
        return (await connection.execute(query)).first() is not None
