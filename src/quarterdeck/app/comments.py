"""Comments on issues and merge requests, some of them on a line of a diff."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import clean
from quarterdeck.store.tables import comments, users

TEXT_CHARACTERS = 1_000_000
"""Of a description or comment; GitLab's number."""


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
) -> None:
    """Puts one behind the others; who may was asked before."""
    place = position.model_dump() if position else {}
    await connection.execute(
        insert(comments)
        .values(
            {f"{kind}_id": subject_id},
        )
        .values(author_id=actor.user_id, session_id=session_id, call_id=call_id, text=text, **place)
    )


async def load(
    connection: AsyncConnection, kind: Literal["issue", "merge_request"], subject_id: int
) -> tuple[CommentView, ...]:
    """All of an issue or merge request, the oldest first."""
    column = comments.c.issue_id if kind == "issue" else comments.c.merge_request_id
    rows = await connection.execute(
        select(comments, users.c.username)
        .join(users, users.c.id == comments.c.author_id)
        .where(column == subject_id)
        .order_by(comments.c.id)
    )
    return tuple(_view(row) for row in rows)


def _view(row: Row[Any]) -> CommentView:
    position = None
    if row.path is not None:
        position = Position(path=row.path, new_line=row.new_line, old_line=row.old_line, commit=row.commit)
    return CommentView(
        id=row.id,
        author=row.username,
        session_id=row.session_id,
        text=row.text,
        created_at=row.created_at,
        position=position,
    )
