"""People that issues and merge requests name: members of the project, and what reviewers say."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import ColumnElement, FromClause, ScalarSelect, delete, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import Project
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import clean
from quarterdeck.store.tables import members, merge_request_people, merge_requests, users

ASSIGNEES = 20
"""Of one thing; as many reviewers besides."""

Username = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Part = Literal["assignee", "reviewer"]
Verdict = Literal["approved", "changes_requested"]


class ReviewerView(BaseModel):
    """Who was asked for a review, or gave one."""

    model_config = ConfigDict(frozen=True)
    username: str
    verdict: Verdict | None
    commit: str | None
    """What the branch came to when they said so; it may have moved since."""


async def members_named(connection: AsyncConnection, project: Project, usernames: Sequence[str]) -> list[int]:
    """The users of these names. Raises InvalidInputError for who is no member."""
    wanted = dict.fromkeys(usernames)
    if not wanted:
        return []
    query = select(users.c.username, users.c.id).join(members, members.c.user_id == users.c.id)
    rows = await connection.execute(
        query.where(members.c.project_id == project.id, users.c.username.in_([clean(name) for name in wanted]))
    )
    known = {row.username: row.id for row in rows}
    if strangers := [name for name in wanted if name not in known]:
        raise InvalidInputError(f"Only members of {project.path} can be assigned; {', '.join(strangers)} is none.")
    return list(known.values())


async def assign(
    connection: AsyncConnection, project: Project, merge_request_id: int, part: Part, usernames: Sequence[str]
) -> list[int]:
    """Exactly these have that part in it, and who has given a verdict: nobody takes that away but by another one.

    Answers who has it newly.
    """
    of = merge_request_people.c
    ids = await members_named(connection, project, usernames)
    mine = of.merge_request_id == merge_request_id, of.part == part
    await connection.execute(delete(merge_request_people).where(*mine, of.user_id.not_in(ids), of.verdict.is_(None)))
    if not ids:
        return []
    rows = [{"merge_request_id": merge_request_id, "user_id": one, "part": part} for one in ids]
    made = upsert(merge_request_people).on_conflict_do_nothing().returning(of.user_id)
    return list((await connection.execute(made, rows)).scalars())


async def decide(
    connection: AsyncConnection, merge_request_id: int, user_id: int, verdict: Verdict, commit: str
) -> None:
    """Notes what somebody says of a merge request, which makes them a reviewer; the last word counts."""
    said = {"verdict": verdict, "commit": commit}
    row = {"merge_request_id": merge_request_id, "user_id": user_id, "part": "reviewer", **said}
    keys = ["merge_request_id", "user_id", "part"]
    made = upsert(merge_request_people).values(row)
    await connection.execute(made.on_conflict_do_update(index_elements=keys, set_=said))


def assigned() -> ScalarSelect[Any]:
    """The usernames of a merge request's assignees, for a query of those."""
    person = users.alias()
    return _people("assignee", person.c.username, person)


def reviewing() -> ScalarSelect[Any]:
    """Its reviewers as `ReviewerView` has them, for a query of merge requests."""
    of, person = merge_request_people.c, users.alias()
    shown = func.jsonb_build_object("username", person.c.username, "verdict", of.verdict, "commit", of.commit)
    return _people("reviewer", shown, person)


def _people(part: Part, shown: ColumnElement[Any], person: FromClause) -> ScalarSelect[Any]:
    of = merge_request_people.c
    return (
        select(func.jsonb_agg(aggregate_order_by(shown, person.c.username)))
        .join(person, person.c.id == of.user_id)
        .where(of.merge_request_id == merge_requests.c.id, of.part == part)
        .scalar_subquery()
    )
