"""Comments on issues and merge requests, some of them on a line of a diff."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Row, Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import clean
from quarterdeck.store.tables import comments, users

TEXT_CHARACTERS = 1_000_000
"""Of a description or comment; GitLab's number."""
LISTED_CHARACTERS = 2_000
"""Of a description, in a list."""
TALK_BYTES = 4 * 1024 * 1024
"""Of the comments that an issue or merge request is shown with: the newest, for each may have a megabyte and more."""


class Position(BaseModel):
    """The line that a comment stands on; an added line has no old number, a removed one no new number."""

    model_config = ConfigDict(frozen=True)
    path: str
    new_line: int | None
    old_line: int | None
    commit: str
    """Whose diff the line is of; the branch may have moved since."""

    @property
    def name(self) -> str:
        """As people write it: `src/a.py:12`."""
        return f"{self.path}:{self.new_line}" if self.new_line else f"{self.path}:{self.old_line} (removed)"


class CommentView(BaseModel):
    """What somebody said."""

    model_config = ConfigDict(frozen=True)
    id: int
    author: str
    session_id: int | None
    text: str
    created_at: datetime
    position: Position | None = None
    external_url: str | None = None
    """Where it is at the forge that the project is connected to."""


def author(row: Row[Any]) -> str:
    """Who wrote it: a person here, or what somebody is called at the forge where they did."""
    return row.username or row.external_author or "?"


def described(table: Table, *, short: bool) -> list[ColumnElement[Any]]:
    """The columns of issues or merge requests; of a `short` description the beginning, for a page has many."""
    cut = func.left(table.c.description, LISTED_CHARACTERS).label("description")
    return [cut if short and one.name == "description" else one for one in table.c]


def said(text: str) -> str:
    """The text of a comment, checked and storable. Raises InvalidInputError."""
    text = clean(text).strip()
    if not 0 < len(text) <= TEXT_CHARACTERS:
        raise InvalidInputError(f"A comment has 1 to {TEXT_CHARACTERS:,} characters.")
    return text


async def known(connection: AsyncConnection, call_id: str | None) -> bool:
    """Whether that tool call has said its words already."""
    if call_id is None:
        return False
    query = select(comments.c.id).where(comments.c.call_id == call_id)
    return (await connection.execute(query)).one_or_none() is not None


async def add(
    connection: AsyncConnection,
    actor: Actor,
    kind: Literal["issue", "merge_request"],
    subject_id: int,
    text: str,
    *,
    session_id: int | None,
    call_id: str | None,
    position: Position | None = None,
) -> int:
    """Puts one behind the others and answers its id; who may was asked before."""
    place = position.model_dump() if position else {}
    made = await connection.execute(
        insert(comments)
        .values(
            {f"{kind}_id": subject_id},
        )
        .values(author_id=actor.writer.user_id, session_id=session_id, call_id=call_id, text=text, **place)
        .returning(comments.c.id)
    )
    return made.scalar_one()


async def load(
    connection: AsyncConnection, kind: Literal["issue", "merge_request"], subject_id: int
) -> tuple[tuple[CommentView, ...], int]:
    """The newest of an issue or merge request, the oldest of them first; and how many older ones there are."""
    column = comments.c.issue_id if kind == "issue" else comments.c.merge_request_id
    newest = comments.c.id.desc()
    sizes = (
        select(
            comments.c.id,
            func.sum(func.octet_length(comments.c.text)).over(order_by=newest).label("bytes"),
            func.row_number().over(order_by=newest).label("place"),
            func.count().over().label("all"),
        )
        .where(column == subject_id)
        .subquery()
    )
    rows = (
        await connection.execute(
            select(comments, users.c.username, sizes.c.all)
            .outerjoin(users, users.c.id == comments.c.author_id)
            .join(sizes, sizes.c.id == comments.c.id)
            .where((sizes.c.bytes <= TALK_BYTES) | (sizes.c.place == 1))
            .order_by(comments.c.id)
        )
    ).all()
    return tuple(_view(row) for row in rows), rows[0].all - len(rows) if rows else 0


def _view(row: Row[Any]) -> CommentView:
    position = None
    if row.path is not None:
        position = Position(path=row.path, new_line=row.new_line, old_line=row.old_line, commit=row.commit)
    return CommentView(
        id=row.id,
        author=author(row),
        session_id=row.session_id,
        text=row.text,
        created_at=row.created_at,
        position=position,
        external_url=row.external_url,
    )
