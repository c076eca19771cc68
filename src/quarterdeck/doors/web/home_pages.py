"""Where everybody begins: what needs you, what runs, what ended; and the way to everything else by its name."""

import re
import time
from collections.abc import AsyncIterator
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import FromQuery, QueryParameter
from litestar.response import Redirect, Stream

from quarterdeck.app import flow_versions, overviews, projects, session_lists, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.boards import Overview
from quarterdeck.app.session_filter import TEXT_CHARACTERS, SessionFilter
from quarterdeck.app.session_lists import SessionRow
from quarterdeck.core.access import Ability, Role, allows
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.status import StatusGroup
from quarterdeck.doors.api.parameters import Caller, Still, TheApp
from quarterdeck.doors.sse import Closes
from quarterdeck.doors.web import languages, views
from quarterdeck.doors.web.layout import framed, fresh, live
from quarterdeck.doors.web.rendering import fragment

ROWS = 10
PLACES = 5
"""Projects that a flow is offered in, of those that come first."""
SEEN = (
    (SessionFilter(needs_me=True), ROWS),
    (SessionFilter(status_group=StatusGroup.ACTIVE), ROWS),
    (SessionFilter(status_group=StatusGroup.PAUSED, mine=True), ROWS),
    *(
        (SessionFilter(status_group=group, kind="flow"), ROWS)
        for group in (StatusGroup.COMPLETED, StatusGroup.FAILED, StatusGroup.CANCELED)
    ),
)
Since = Annotated[int, QueryParameter(ge=0, le=2**40)]
_NUMBER = re.compile(r"#?([0-9]{1,18})")


@get("/")
async def home(app: TheApp, actor: Caller, request: Request[Actor, None, Any]) -> Response[str]:
    """What needs you, what is running, what ended since you last looked."""
    since, cookie = views.visit(request, int(time.time()))
    response = await framed(
        app,
        actor,
        "home.html",
        since=since,
        parts=_parts(await overviews.show(app, actor, SEEN), since),
        projects=(await projects.find(app, actor))[:ROWS],
    )
    response.set_cookie(cookie)
    return response


@get("/home/stream", media_type="text/event-stream")
async def changes(app: TheApp, actor: Caller, still: Still, closing: Closes, since: Since = 0) -> Stream:
    """What changes of it."""
    return live(app, actor, closing, _chunks(app, actor, since), check=still)


@get("/stream", media_type="text/event-stream")
async def around(app: TheApp, actor: Caller, still: Still, closing: Closes) -> Stream:
    """What changes around a page that has nothing else that does."""
    return live(app, actor, closing, check=still)


def _parts(overview: Overview, since: int) -> dict[str, tuple[SessionRow, ...]]:
    needing, running, paused, *groups = overview.lists
    ended = sorted((row for rows in groups for row in rows), key=_ended_at, reverse=True)
    new = sum(_ended_at(row).timestamp() >= since for row in ended)
    return {
        "home-needs": needing,
        "home-runs": running + paused,
        "home-new": tuple(ended[:new]),
        "home-ended": tuple(ended[new : new + ROWS]),
    }


def _ended_at(row: SessionRow) -> datetime:
    """One whose merge request is open has done its work, and is as old as that; others may be renamed long after."""
    return row.ended_at or row.last_activity


async def _chunks(app: App, actor: Actor, since: int) -> AsyncIterator[bytes]:
    async for overview in overviews.changes(app, actor, SEEN):
        yield _told(overview, since, languages.spoken())


@lru_cache(maxsize=256)
def _told(overview: Overview, since: int, language: str) -> bytes:
    """Rendered once for all tabs of a person."""
    languages.speak(language)
    parts = _parts(overview, since).items()
    return fresh({name: fragment("parts/home_list.html", name=name, rows=rows) for name, rows in parts})


@get("/projects")
async def all_projects(app: TheApp, actor: Caller) -> Response[str]:
    """The projects that you are a member of."""
    return await framed(app, actor, "projects.html", projects=await projects.find(app, actor))


@get("/go")
async def go(app: TheApp, actor: Caller, q: FromQuery[str] = "") -> Response[Any]:
    """Search or go to: a session's number leads to it; the name of a project or a flow to it; words find all."""
    words = q.strip()[:TEXT_CHARACTERS]
    if (number := _NUMBER.fullmatch(words)) is not None:
        try:
            return Redirect(f"/sessions/{(await sessions.show(app, actor, int(number[1]))).id}", status_code=303)
        except NotFoundError:
            pass
    low = words.lower()
    there = await projects.find(app, actor)
    places = [one for one in there if allows(Role[one.role.upper()], Ability.START_SESSION)][:PLACES]
    stored = await flow_versions.named(app, actor, words) if words else []
    if words in _shipped(app):
        homes = [f"/projects/{one.id}/flows/{words}" for one in places]
    else:
        homes = [f"/projects/{one.project_id}/flows/{one.name}" for one in stored if one.name == words]
    exact = [f"/projects/{one.id}" for one in there if one.path.lower() == low] or homes
    if len(exact) == 1:
        return Redirect(exact[0], status_code=303)
    rows = (await session_lists.find(app, actor, SessionFilter(text=words), limit=ROWS)).items if words else ()
    return await framed(
        app,
        actor,
        "go.html",
        words=words,
        projects=[one for one in there if low in one.path.lower() or low in one.name.lower()][:ROWS],
        flows=[name for name in _shipped(app) if words and low in name.lower()],
        stored=stored,
        places=places,
        rows=rows,
    )


def _shipped(app: App) -> list[str]:
    """The names of the flows that ship, each once."""
    return list(dict.fromkeys(name.partition("/")[0] for name in app.flows.names()))


ROUTES = (home, changes, around, all_projects, go)
