"""One thing of here, as it is now, at the forge: branches, issues, merge requests, comments, and what checks say."""

from typing import Any

from sqlalchemy import Row, Table, select, update

from quarterdeck.app import connections
from quarterdeck.app.application import App
from quarterdeck.app.mirroring import Mirror
from quarterdeck.app.remote_forge import CommitStatus, Writing, Written
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError
from quarterdeck.core.pipeline import PipelineStatus
from quarterdeck.core.remote import Kind, mark
from quarterdeck.store.tables import comments, forge_writes, issues, merge_requests, pipelines, users

CONTEXT = "quarterdeck/pipeline"
_STATES = {
    PipelineStatus.CREATED: "pending",
    PipelineStatus.RUNNING: "running",
    PipelineStatus.SUCCESS: "success",
    PipelineStatus.SKIPPED: "success",
    PipelineStatus.FAILED: "failed",
    PipelineStatus.CANCELED: "canceled",
}


class Parent(QuarterdeckError):
    """What it is said on is not at the forge yet."""


async def send(app: App, row: Row[Any], kind: str, subject: str, *, again: bool) -> None:
    """Writes one thing; `again` looks first for what an earlier attempt may have left.

    Raises:
        Parent: something else has to be there before.
        QuarterdeckError: the forge can't be reached, or refuses.
    """
    out = _Out(app, row, again=again)
    match kind:
        case "branch":
            await out.branch(subject)
        case "issue":
            await out.issue(int(subject))
        case "merge_request":
            await out.merge_request(int(subject))
        case "comment":
            await out.comment(int(subject))
        case _:
            await out.status(int(subject))


class _Out:
    def __init__(self, app: App, row: Row[Any], *, again: bool) -> None:
        self._app, self._row, self._again = app, row, again
        self._forge = app.remotes[row.forge]
        self._remote = connections.remote_of(app, row)

    async def branch(self, name: str) -> None:
        await self._app.forge.push_to(self._row.project_id, connections.git_of(self._app, self._row), name)

    async def issue(self, issue_id: int) -> None:
        it = await self._load(issues, issue_id)
        if it is None:
            return
        text = self._marked(it.description, "issue", it.id, it.username, it.session_id)
        wish = Writing(title=it.title, description=text, status=it.status, labels=tuple(it.labels))
        number = int(it.external_id) if it.external_id else None
        if number is None and self._again:
            found = await self._forge.find_marked(self._remote, "issue", None, mark("issue", it.id))
            number = int(found.id) if found else None
        await self._keep(issues, "issue", it, await self._forge.write_issue(self._remote, number, wish))

    async def merge_request(self, merge_request_id: int) -> None:
        it = await self._load(merge_requests, merge_request_id)
        if it is None or (it.external_id is None and it.status != "opened"):
            return
        text = self._marked(it.description, "merge_request", it.id, it.username, it.session_id)
        source, target = it.source_branch, it.target_branch
        wish = Writing(title=it.title, description=text, status=it.status, source_branch=source, target_branch=target)
        number = int(it.external_id) if it.external_id else None
        if number is None:
            await self.branch(source)
            # Also at first: somebody may have opened one of the same branches there, and a second one is refused.
            found = await self._forge.find_merge_request(self._remote, source, target)
            number = int(found.id) if found else None
        made = await self._forge.write_merge_request(self._remote, number, wish)
        await self._keep(merge_requests, "merge_request", it, made)

    async def comment(self, comment_id: int) -> None:
        it = await self._load(comments, comment_id)
        if it is None or it.external_id is not None:  # what was said is said
            return
        kind: Kind = "issue" if it.issue_id is not None else "merge_request"
        number = await self._number(kind, it.issue_id or it.merge_request_id)
        if number is None:
            return
        found = None
        if self._again:
            found = await self._forge.find_marked(self._remote, kind, number, mark("comment", it.id))
        if found is None:
            place = f"`{it.path}:{it.new_line or it.old_line}`\n\n" if it.path else ""
            text = self._marked(place + it.text, "comment", it.id, it.username, it.session_id)
            found = await self._forge.comment(self._remote, kind, number, text)
        async with self._app.database.transaction() as connection:
            await connection.execute(update(comments).where(comments.c.id == it.id).values(_told(found)))

    async def status(self, pipeline_id: int) -> None:
        async with self._app.database.transaction() as connection:
            query = select(pipelines).where(pipelines.c.id == pipeline_id)
            it = (await connection.execute(query)).one_or_none()
        if it is None:
            return
        await self.branch(it.ref)  # a status of a commit that isn't there is refused
        status = PipelineStatus(it.status)
        told = CommitStatus(
            context=CONTEXT,
            status=_STATES[status],  # pyright: ignore[reportArgumentType]
            description=f"Pipeline #{it.id} in Quarterdeck: {it.status}",
            url=f"{self._app.public_url}/pipelines/{it.id}",
            branch=it.ref,
        )
        await self._forge.set_status(self._remote, it.sha, told)

    async def _load(self, table: Table, row_id: int) -> Row[Any] | None:
        """A row with its author's name; None when it was deleted."""
        query = select(table, users.c.username).outerjoin(users, users.c.id == table.c.author_id)
        async with self._app.database.transaction() as connection:
            return (await connection.execute(query.where(table.c.id == row_id))).one_or_none()

    async def _number(self, kind: Kind, row_id: int) -> int | None:
        """The number there of what is commented on; None where it was here before the connection, and stays here."""
        table = issues if kind == "issue" else merge_requests
        of = forge_writes.c
        async with self._app.database.transaction() as connection:
            told = (await connection.execute(select(table.c.external_id).where(table.c.id == row_id))).scalar()
            if told is not None:
                return int(told)
            mine = of.connection_id == self._row.id, of.kind == kind, of.subject == str(row_id)
            waiting = (await connection.execute(select(of.refused).where(*mine, of.wanted > of.done))).scalar()
        if waiting is None:
            return None
        if waiting:
            raise InvalidInputError("What it is said on was refused by the forge.")
        raise Parent

    def _marked(self, text: str, kind: str, number: int, username: str | None, session_id: int | None) -> str:
        """Behind our mark stands who says it: the forge only sees the token's account."""
        by = f"[Session #{session_id}]({self._app.public_url}/sessions/{session_id})" if session_id else username
        return f"{text}\n\n{mark(kind, number)}\n<sub>{by or 'Somebody'} in Quarterdeck</sub>"

    async def _keep(self, table: Table, kind: Kind, it: Row[Any], made: Written) -> None:
        """What it is called there; the webhook that tells of it may have come before."""
        async with self._app.database.transaction() as connection:
            await connection.execute(update(table).where(table.c.id == it.id).values(_told(made)))
            await Mirror(self._app, self._row, None).count(connection, kind, int(made.id))


def _told(made: Written) -> dict[str, Any]:
    return {"external_id": made.id, "external_url": made.url or None, "external_updated_at": made.updated_at}
