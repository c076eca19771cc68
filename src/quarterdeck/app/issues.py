"""Issues: made, shown, changed, talked about, closed and opened again."""

from collections.abc import Collection, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Row, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import comments, occurrences
from quarterdeck.app import issue_views as views
from quarterdeck.app.access import Project, demand, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.assignees import ASSIGNEES, Username, members_named
from quarterdeck.app.comments import TEXT_CHARACTERS
from quarterdeck.app.forge_wants import want
from quarterdeck.app.issue_views import IssueStatus, IssueView
from quarterdeck.app.occurrences import Place
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError
from quarterdeck.core.limits import PAGE_ROWS
from quarterdeck.core.text import clean, line
from quarterdeck.core.trigger import EventType
from quarterdeck.store.tables import issue_assignees, issues, projects, users

TITLE_CHARACTERS = 255
LABELS = 20
LABEL_CHARACTERS = 255

Label = Annotated[str, StringConstraints(min_length=1, max_length=LABEL_CHARACTERS)]


class CreateIssue(BaseModel):
    """What an issue is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str = Field(max_length=TITLE_CHARACTERS)
    description: str = Field(default="", max_length=TEXT_CHARACTERS)
    labels: tuple[Label, ...] = Field(default=(), max_length=LABELS, description="A few plain words.")
    assignees: tuple[Username, ...] = Field(default=(), max_length=ASSIGNEES, description="Members of the project.")


class UpdateIssue(BaseModel):
    """What changes; what is absent stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str | None = Field(default=None, max_length=TITLE_CHARACTERS)
    description: str | None = Field(default=None, max_length=TEXT_CHARACTERS)
    status: IssueStatus | None = Field(default=None, description="Closes it or opens it again; nothing if it is so.")
    labels: tuple[Label, ...] | None = Field(default=None, max_length=LABELS, description="All of them, anew.")
    add_labels: tuple[Label, ...] = Field(default=(), max_length=LABELS)
    remove_labels: tuple[Label, ...] = Field(default=(), max_length=LABELS)
    assignees: tuple[Username, ...] | None = Field(default=None, max_length=ASSIGNEES, description="All, anew.")


async def create(
    app: App,
    actor: Actor,
    project: int | str,
    request: CreateIssue,
    *,
    session_id: int | None = None,
    call_id: str | None = None,
) -> IssueView:
    """Makes an issue; the same call gives the one that it made.

    Raises:
        InvalidInputError: it has no title, or an assignee is no member.
    """
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.CREATE_ISSUE)
        counter = select(projects.c.issue_counter).where(projects.c.id == found.id)
        number = (await connection.execute(counter.with_for_update(key_share=True))).scalar_one() + 1
        query = select(issues.c.id).where(issues.c.call_id == call_id, issues.c.project_id == found.id)
        if call_id is not None and (known := (await connection.execute(query)).scalar_one_or_none()) is not None:
            return await views.load(app, connection, actor, known)
        await connection.execute(update(projects).where(projects.c.id == found.id).values(issue_counter=number))
        made = (
            await connection.execute(
                insert(issues)
                .values(
                    project_id=found.id,
                    iid=number,
                    title=_title(request.title),
                    description=clean(request.description),
                    status="opened",
                    labels=_labels(request.labels),
                    author_id=actor.user_id,
                    session_id=session_id,
                    call_id=call_id,
                )
                .returning(issues.c.id)
            )
        ).scalar_one()
        place = Place(found, actor, "issue", await row_of(connection, found, number), session_id)
        await occurrences.moved(app, connection, place, "created")
        await occurrences.said(app, connection, place, f"{place.row.title}\n\n{place.row.description}", "description")
        await _assign(app, connection, place, request.assignees)
        await want(connection, app.dispatch, found.id, "issue", made)
        return await views.load(app, connection, actor, made)


async def find(
    app: App,
    actor: Actor,
    project: int | str,
    *,
    status: IssueStatus | None = None,
    label: str | None = None,
    assignee: str | None = None,
    search: str | None = None,
    before: int | None = None,
    limit: int = PAGE_ROWS,
) -> list[IssueView]:
    """A project's issues, newest first; `before` is the iid of an earlier page's last."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_ISSUE)
        query = views.query(short=True).where(issues.c.project_id == found.id).limit(min(max(limit, 1), 100))
        if status is not None:
            query = query.where(issues.c.status == status)
        if label is not None:
            query = query.where(issues.c.labels.contains([clean(label)]))
        if assignee is not None:
            named = select(users.c.id).where(users.c.username == clean(assignee))
            theirs = select(issue_assignees.c.issue_id).where(issue_assignees.c.user_id.in_(named))
            query = query.where(issues.c.id.in_(theirs))
        if search is not None:
            text = clean(search)
            inside = (
                issues.c.title.icontains(text, autoescape=True),
                issues.c.description.icontains(text, autoescape=True),
            )
            query = query.where(or_(*inside))
        if before is not None:
            query = query.where(issues.c.iid < before)
        return [views.view(app, row) for row in await connection.execute(query)]


async def show(app: App, actor: Actor, project: int | str, iid: int) -> IssueView:
    """One issue with its comments and sessions."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_ISSUE)
        row = await row_of(connection, found, iid)
        return await views.load(app, connection, actor, row.id)


async def change(
    app: App, actor: Actor, project: int | str, iid: int, request: UpdateIssue, *, session_id: int | None = None
) -> IssueView:
    """Changes what is given; the author may, and whoever has the role for it.

    Raises:
        InvalidInputError: as in `create`.
    """
    values: dict[str, Any] = {"updated_at": func.now()}
    if request.title is not None:
        values["title"] = _title(request.title)
    if request.description is not None:
        values["description"] = clean(request.description)
    async with app.database.transaction() as connection:
        found, row = await _writable(connection, actor, project, iid)
        kept = row.labels if request.labels is None else request.labels
        values["labels"] = _labels({*kept, *request.add_labels} - {*request.remove_labels})
        await connection.execute(update(issues).where(issues.c.id == row.id).values(values))
        if request.assignees is not None:
            await _assign(app, connection, Place(found, actor, "issue", row, session_id), request.assignees)
        if request.status == "closed":
            await _close(app, connection, actor, found, (iid,), "", session_id=session_id)
        elif request.status == "opened":
            await _reopen(connection, row)
        await want(connection, app.dispatch, found.id, "issue", row.id)
        return await views.load(app, connection, actor, row.id)


async def close(app: App, actor: Actor, project: int | str, iid: int) -> IssueView:
    """Closes it. Raises ConflictError when it is closed already."""
    async with app.database.transaction() as connection:
        found, row = await _writable(connection, actor, project, iid)
        if not await _close(app, connection, actor, found, (row.iid,), ""):
            raise ConflictError(f"Issue #{iid} is closed already.")
        await want(connection, app.dispatch, found.id, "issue", row.id)
        return await views.load(app, connection, actor, row.id)


async def reopen(app: App, actor: Actor, project: int | str, iid: int) -> IssueView:
    """Opens it again. Raises ConflictError when it is open."""
    async with app.database.transaction() as connection:
        found, row = await _writable(connection, actor, project, iid)
        if row.status == "opened":
            raise ConflictError(f"Issue #{iid} is open.")
        await _reopen(connection, row)
        await want(connection, app.dispatch, found.id, "issue", row.id)
        return await views.load(app, connection, actor, row.id)


async def closed_by_merge(
    app: App, connection: AsyncConnection, actor: Actor, project: Project, iids: Sequence[int], merge_request: str
) -> None:
    """Closes those of them that are there and open; for whoever merges what says so."""
    demand(project, Ability.WRITE_ISSUE)
    await _close(app, connection, actor, project, iids, f"merge of {merge_request}")


async def comment(
    app: App,
    actor: Actor,
    project: int | str,
    iid: int,
    text: str,
    *,
    session_id: int | None = None,
    call_id: str | None = None,
) -> IssueView:
    """Says something; the same call says it once."""
    text = comments.said(text)
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.COMMENT)
        row = await row_of(connection, found, iid, lock=True)
        if not await comments.known(connection, call_id):
            made = await comments.add(connection, actor, "issue", row.id, text, session_id=session_id, call_id=call_id)
            place = Place(found, actor, "issue", row, session_id)
            await occurrences.said(app, connection, place, text, f"comment:{made}")
            await want(connection, app.dispatch, found.id, "comment", made)
            await connection.execute(update(issues).where(issues.c.id == row.id).values(updated_at=func.now()))
        return await views.load(app, connection, actor, row.id)


async def row_of(connection: AsyncConnection, project: Project, iid: int, *, lock: bool = False) -> Row[Any]:
    """The issue's row; who may see it was asked before. Raises NotFoundError."""
    query = select(issues).where(issues.c.project_id == project.id, issues.c.iid == iid)
    row = (await connection.execute(query.with_for_update(key_share=True) if lock else query)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no issue #{iid} in {project.path}.")
    return row


async def _writable(
    connection: AsyncConnection, actor: Actor, project: int | str, iid: int
) -> tuple[Project, Row[Any]]:
    found = await project_for(connection, actor, project, Ability.READ_ISSUE)
    row = await row_of(connection, found, iid, lock=True)
    if row.author_id != actor.user_id:
        demand(found, Ability.WRITE_ISSUE)
    return found, row


async def _close(
    app: App, connection: AsyncConnection, actor: Actor, project: Project, iids: Sequence[int], reason: str, *,
    session_id: int | None = None,
) -> int:  # fmt: skip
    closed = await connection.execute(
        update(issues)
        .where(issues.c.project_id == project.id, issues.c.iid.in_(iids), issues.c.status == "opened")
        .values(
            status="closed",
            closed_by_id=actor.user_id,
            closed_reason=reason,
            closed_at=func.now(),
            updated_at=func.now(),
        )
        .returning(*issues.c)
    )
    rows = closed.all()
    for row in rows:
        await occurrences.moved(app, connection, Place(project, actor, "issue", row, session_id), "closed")
    return len(rows)


async def _reopen(connection: AsyncConnection, row: Row[Any]) -> None:
    opened = {"status": "opened", "closed_by_id": None, "closed_reason": "", "closed_at": None}
    await connection.execute(
        update(issues).where(issues.c.id == row.id, issues.c.status == "closed").values(updated_at=func.now(), **opened)
    )


async def _assign(app: App, connection: AsyncConnection, place: Place, usernames: Sequence[str]) -> None:
    """Exactly these are assigned from now on."""
    issue_id = place.row.id
    ids = await members_named(connection, place.project, usernames)
    mine = issue_assignees.c.issue_id == issue_id
    before = set((await connection.execute(select(issue_assignees.c.user_id).where(mine))).scalars())
    await connection.execute(delete(issue_assignees).where(mine, issue_assignees.c.user_id.not_in(ids)))
    if fresh := [one for one in ids if one not in before]:
        await connection.execute(insert(issue_assignees), [{"issue_id": issue_id, "user_id": one} for one in fresh])
        await occurrences.assigned(app, connection, place, EventType.ASSIGN, fresh)


def _title(text: str) -> str:
    title = line(clean(text), TITLE_CHARACTERS)
    if not title:
        raise InvalidInputError("An issue needs a title.")
    return title


def _labels(words: Collection[str]) -> list[str]:
    labels = sorted({line(clean(word), LABEL_CHARACTERS) for word in words})
    if len(labels) > LABELS:
        raise InvalidInputError(f"An issue has {LABELS} labels at most; that would be {len(labels)}.")
    if wrong := [label for label in labels if not label or "," in label]:
        raise InvalidInputError(f"A label is a few words without a comma; {wrong[0]!r} is none.")
    return labels
