"""Lists of sessions: filters and order in the URL, live in place, and one action on those that are chosen."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, Router, get, post
from litestar.di import Provide
from litestar.params import FromQuery
from litestar.response import Stream

from quarterdeck.app import live_lists, projects, session_bulk, session_counts, session_lists
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.live_lists import ChangedSignal, GoneSignal, PageSignal
from quarterdeck.app.session_bulk import Action, BulkOrder
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.core import limits
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.status import StatusGroup
from quarterdeck.doors.api import session_lists as parameters
from quarterdeck.doors.api.parameters import Caller, RowId, Still, TheApp
from quarterdeck.doors.api.session_lists import Cursor, Direction, Sorting, Wanted
from quarterdeck.doors.sse import Closes, Closing, chunk, message
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.layout import framed, live
from quarterdeck.doors.web.rendering import fragment

ACTIONS: dict[str, Action] = {"cancel": "cancel", "delete": "delete"}
"""What a list offers for many sessions at once."""
FIELDS = ("text", "flow", "initiator", "sort", "order", "mine", "cursor")
"""What the form of filters says itself, and the page, which is none of another list."""
_OURS = re.compile(r"/(projects/[0-9]+/)?sessions(\?[!-~]*)?")
"""A list that one may be sent back to."""


@dataclass(frozen=True)
class Place:
    """A list and its parameters, for the links of its page."""

    path: str
    parameters: tuple[tuple[str, str], ...]

    def url(self, **changed: str | None) -> str:
        """The same list with other parameters, from its first page; None takes one away."""
        kept = [(name, value) for name, value in self.parameters if name not in changed and name != "cursor"]
        there = kept + [(name, value) for name, value in changed.items() if value]
        return f"{self.path}?{urlencode(there)}" if there else self.path

    @property
    def stream(self) -> str:
        """Where the changes of exactly this page come from."""
        return f"{self.path}/stream?{urlencode(self.parameters)}"

    def get(self, name: str) -> str:
        """The parameter's value, empty if it is not there."""
        return dict(self.parameters).get(name, "")

    @property
    def kept(self) -> list[tuple[str, str]]:
        """What the form of filters has no field for, and keeps."""
        return [(name, value) for name, value in self.parameters if name not in FIELDS]


@get("/sessions")
async def all_sessions(
    app: TheApp,
    actor: Caller,
    request: Request[Actor, None, Any],
    wanted: Wanted,
    sort: Sorting = None,
    order: Direction = None,
    cursor: Cursor = None,
) -> Response[str]:
    """The sessions of all projects that you may see."""
    return await _list(app, actor, _place(request), wanted, sort, order, cursor)


@get("/projects/{project_id:int}/sessions")
async def sessions_of_project(
    app: TheApp,
    actor: Caller,
    request: Request[Actor, None, Any],
    project_id: RowId,
    wanted: Wanted,
    sort: Sorting = None,
    order: Direction = None,
    cursor: Cursor = None,
) -> Response[str]:
    """The sessions of a project: all but its chats."""
    inside = wanted.model_copy(update={"project": project_id, "kind": "flow"})
    return await _list(app, actor, _place(request), inside, sort, order, cursor)


@get("/sessions/stream", media_type="text/event-stream")
async def changes_of_all(
    app: TheApp,
    actor: Caller,
    still: Still,
    closing: Closes,
    wanted: Wanted,
    sort: Sorting = None,
    order: Direction = None,
    cursor: Cursor = None,
    shown: FromQuery[str] = "",
) -> Stream:
    """What changes in the list."""
    return await _live(app, actor, still, closing, wanted, sort, order, cursor, shown)


@get("/projects/{project_id:int}/sessions/stream", media_type="text/event-stream")
async def changes_of_project(
    app: TheApp,
    actor: Caller,
    still: Still,
    closing: Closes,
    project_id: RowId,
    wanted: Wanted,
    sort: Sorting = None,
    order: Direction = None,
    cursor: Cursor = None,
    shown: FromQuery[str] = "",
) -> Stream:
    """What changes in the project's list."""
    inside = wanted.model_copy(update={"project": project_id, "kind": "flow"})
    return await _live(app, actor, still, closing, inside, sort, order, cursor, shown)


@post("/sessions/bulk")
async def bulk(app: TheApp, actor: Caller, form: Form) -> Response[Any]:
    """The question first; with `confirmed` it is done, and each session says what came of it."""
    action = ACTIONS.get(form.text("action"))
    if action is None:
        raise InvalidInputError("Choose what to do: cancel or delete.")
    ids = form.numbers("ids")
    if not ids:
        raise InvalidInputError("Choose at least one session.")
    if len(ids) > session_bulk.AT_ONCE:
        raise InvalidInputError(f"Choose at most {session_bulk.AT_ONCE} sessions.")
    back = form.text("back") if _OURS.fullmatch(form.text("back")) else "/sessions"
    if form.text("confirmed") != "yes":
        doable = await session_bulk.doable(app, actor, action, set(ids))
        return await framed(
            app,
            actor,
            "bulk.html",
            action=action,
            ids=doable,
            others=len(set(ids)) - len(doable),
            results=None,
            back=back,
        )
    done = await session_bulk.act(app, actor, BulkOrder(action=action, ids=ids))
    return await framed(app, actor, "bulk.html", action=action, ids=ids, others=0, results=done.results, back=back)


async def _list(
    app: App,
    actor: Actor,
    place: Place,
    wanted: SessionFilter,
    sort: Sorting,
    order: Direction,
    cursor: Cursor,
) -> Response[str]:
    since = live_lists.now()
    found = await session_lists.find(app, actor, wanted, sort=sort, order=order, cursor=cursor)
    project = None if wanted.project is None else await projects.show(app, actor, wanted.project)
    counted = await session_counts.counts(app, actor, wanted.project)
    return await framed(
        app,
        actor,
        "sessions.html",
        project_id=project.id if project else None,
        project_path=project.path if project else "",
        here="sessions",
        place=place,
        found=found,
        since=since,
        wanted=wanted,
        project=project,
        groups=list(StatusGroup),
        counted=counted.mine if wanted.mine else counted.all,
        needing=counted.needs_me,
        sort=sort or "updated",
        order=order or "",
        filtered=bool([name for name, _ in place.parameters if name not in ("sort", "order", "cursor")]),
    )


async def _live(
    app: App,
    actor: Actor,
    still: Still,
    closing: Closing,
    wanted: SessionFilter,
    sort: Sorting,
    order: Direction,
    cursor: Cursor,
    shown: str,
) -> Stream:
    async def check() -> None:
        await live_lists.allowed(app, await still(), wanted)

    await live_lists.allowed(app, actor, wanted)
    ids = [int(number) for number in re.findall(r"[0-9]{1,18}", shown)[: limits.PAGE_ROWS]]
    signals = live_lists.changes(app, actor, wanted, sort=sort, order=order, cursor=cursor, shown=ids)
    return live(app, actor, closing, _chunks(signals, in_project=wanted.project is not None), check=check)


def _place(request: Request[Actor, None, Any]) -> Place:
    given = tuple((name, value) for name, value in request.query_params.multi_items() if value)
    return Place(request.url.path, given)


async def _chunks(signals: AsyncIterator[list[live_lists.Signal]], *, in_project: bool) -> AsyncIterator[bytes]:
    async for found in signals:
        yield chunk(one for signal in found for one in _messages(signal, in_project=in_project))


def _messages(signal: live_lists.Signal, *, in_project: bool) -> list[bytes]:
    match signal:
        case PageSignal(page=page):
            rows = {row.id: _row(row, in_project=in_project) for row in page.items}
            whole = page.previous is None and page.next is None
            return [message("page", json.dumps({"rows": rows, "order": list(rows), "whole": whole}))]
        case ChangedSignal(row=row):
            return [message("changed", json.dumps({"id": row.id, "html": _row(row, in_project=in_project)}))]
        case GoneSignal(session_id=session_id):
            return [message("gone", json.dumps({"id": session_id}))]


def _row(row: session_lists.SessionRow, *, in_project: bool) -> str:
    return fragment("parts/session_row.html", row=row, in_project=in_project)


ROUTES = (
    Router(
        "/",
        route_handlers=[all_sessions, sessions_of_project, changes_of_all, changes_of_project],
        dependencies={"wanted": Provide(parameters.wanted, sync_to_thread=False)},
    ),
    bulk,
)
