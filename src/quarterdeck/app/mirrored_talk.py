"""What people say at a forge, as comments here, and reviewers' verdicts."""

from typing import Any, Literal

from sqlalchemy import Row, Table, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import assignees, occurrences
from quarterdeck.app.comments import TEXT_CHARACTERS
from quarterdeck.app.mirroring import Mirror, address
from quarterdeck.core.errors import UnavailableError
from quarterdeck.core.remote import RemoteComment, RemoteVerdict, marked, unmarked
from quarterdeck.core.text import clean, cut
from quarterdeck.store.tables import comments, issues, merge_request_people, merge_requests

Column = Literal["issue_id", "merge_request_id"]


async def bring(mirror: Mirror, fact: RemoteComment) -> None:
    """A comment as it is there now; one of ours that comes back is only told what it is called there.

    Raises:
        UnavailableError: a webhook told of it before the one that tells what it is said on.
    """
    async with mirror.app.database.transaction() as connection:
        place = await _place(mirror, connection, fact)
        if place is None and mirror.actor is not None:
            raise UnavailableError(f"It is said on number {fact.number}, which is not known here (yet).")
        if place is None:
            return  # on something older than what is read
        column, subject_id = place
        found = await _find(mirror, connection, fact, column, subject_id)
        if fact.deleted:
            if found is not None and found.external_author is not None:
                await connection.execute(delete(comments).where(comments.c.id == found.id))
            return
        told = {"external_id": fact.id, "external_url": address(fact.url), "external_updated_at": fact.updated_at}
        text = cut(unmarked(clean(fact.text)), TEXT_CHARACTERS).strip()
        if found is None and text:
            await _make(mirror, connection, fact, {column: subject_id, "text": text, **told})
        elif found is not None and (found.external_updated_at is None or fact.updated_at >= found.external_updated_at):
            words = {"text": text} if found.external_author is not None and text else {}  # of what was said here, not
            await connection.execute(update(comments).where(comments.c.id == found.id).values(**told, **words))


async def _place(mirror: Mirror, connection: AsyncConnection, fact: RemoteComment) -> tuple[Column, int] | None:
    """The column and id of what it is said on."""
    places: tuple[tuple[Table, Column], ...] = ((issues, "issue_id"), (merge_requests, "merge_request_id"))
    for table, column in places:
        if fact.on is not None and column != f"{fact.on}_id":
            continue
        query = select(table.c.id).where(
            table.c.project_id == mirror.project_id, table.c.external_id == str(fact.number)
        )
        found = (await connection.execute(query.with_for_update(key_share=True))).scalar_one_or_none()
        if found is not None:
            return column, found
    return None


async def _find(
    mirror: Mirror, connection: AsyncConnection, fact: RemoteComment, column: Column, subject_id: int
) -> Row[Any] | None:
    mine = comments.c[column] == subject_id
    query = select(comments).where(mine, comments.c.external_id == fact.id)
    if (found := (await connection.execute(query)).one_or_none()) is not None:
        return found
    mark = marked(fact.text) if mirror.ours(fact.author) else None
    if mark is None or mark[0] != "comment":
        return None
    query = select(comments).where(mine, comments.c.id == mark[1], comments.c.external_id.is_(None))
    return (await connection.execute(query)).one_or_none()


async def _make(mirror: Mirror, connection: AsyncConnection, fact: RemoteComment, values: dict[str, Any]) -> None:
    line = fact.path is not None and (fact.new_line is not None or fact.old_line is not None)
    place = {"path": fact.path, "new_line": fact.new_line, "old_line": fact.old_line, "commit": fact.commit or ""}
    author = await mirror.author(connection, fact.author)
    row = {"created_at": fact.created_at, **values, **author, **(place if line else {})}
    made = (await connection.execute(insert(comments).values(row).returning(comments.c.id))).scalar_one()
    table: Table = issues if "issue_id" in values else merge_requests
    where = await mirror.place(connection, table, values.get("issue_id") or values["merge_request_id"])
    if where is not None:
        await occurrences.said(mirror.app, connection, where, values["text"], f"comment:{made}")
    if (issue_id := values.get("issue_id")) is not None:
        await connection.execute(update(issues).where(issues.c.id == issue_id).values(updated_at=func.now()))


async def decide(mirror: Mirror, fact: RemoteVerdict) -> None:
    """A verdict of a member here; of others only their words are kept."""
    async with mirror.app.database.transaction() as connection:
        user = next(iter((await mirror.people(connection, [fact.author.login])).values()), None)
        query = select(merge_requests).where(
            merge_requests.c.project_id == mirror.project_id, merge_requests.c.external_id == str(fact.number)
        )
        row = (await connection.execute(query.with_for_update(key_share=True))).one_or_none()
        if row is None or user is None:
            return
        if fact.verdict is not None:
            await assignees.decide(connection, row.id, user, fact.verdict, fact.commit)
            place = await mirror.place(connection, merge_requests, row.id)
            if place is not None and fact.verdict == "approved":
                await occurrences.moved(mirror.app, connection, place, "approved")
            return
        of = merge_request_people.c
        mine = of.merge_request_id == row.id, of.user_id == user, of.part == "reviewer"
        await connection.execute(update(merge_request_people).where(*mine).values(verdict=None, commit=None))
