"""Where everybody begins: what needs you, what runs, what ended; and the way to everything else by its name."""

import re
from typing import Any

from litestar import Response, get
from litestar.params import FromQuery
from litestar.response import Redirect

from quarterdeck.app import flow_versions, projects, session_lists, sessions
from quarterdeck.app.application import App
from quarterdeck.app.session_filter import TEXT_CHARACTERS, SessionFilter
from quarterdeck.core.access import Ability, Role, allows
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.status import StatusGroup
from quarterdeck.doors.api.parameters import Caller, TheApp
from quarterdeck.doors.web.layout import framed

ROWS = 10
PLACES = 5
"""Projects that a flow is offered in, of those that come first."""
_NUMBER = re.compile(r"#?([0-9]{1,18})")


@get("/")
async def home(app: TheApp, actor: Caller) -> Response[str]:
    """What needs you, what is running, what ended."""
    needing = SessionFilter(needs_me=True)
    active = SessionFilter(status_group=StatusGroup.ACTIVE)
    groups = (StatusGroup.COMPLETED, StatusGroup.FAILED, StatusGroup.CANCELED)
    ended = [
        row
        for group in groups
        for row in (await session_lists.find(app, actor, SessionFilter(status_group=group), limit=ROWS)).items
    ]
    return await framed(
        app,
        actor,
        "home.html",
        needing=(await session_lists.find(app, actor, needing, limit=ROWS)).items,
        running=(await session_lists.find(app, actor, active, limit=ROWS)).items,
        ended=sorted(ended, key=lambda row: row.last_activity, reverse=True)[:ROWS],
        projects=(await projects.find(app, actor))[:ROWS],
    )


@get("/projects")
async def all_projects(app: TheApp, actor: Caller) -> Response[str]:
    """The projects that you are a member of."""
    return await framed(app, actor, "projects.html", projects=await projects.find(app, actor))


@get("/go")
async def go(app: TheApp, actor: Caller, q: FromQuery[str] = "") -> Response[Any]:
    """Search or go to: a session's number leads to it; words find projects, flows and sessions."""
    words = q.strip()[:TEXT_CHARACTERS]
    if (number := _NUMBER.fullmatch(words)) is not None:
        try:
            return Redirect(f"/sessions/{(await sessions.show(app, actor, int(number[1]))).id}", status_code=303)
        except NotFoundError:
            pass
    there = await projects.find(app, actor)
    if words and (exact := next((one for one in there if one.path.lower() == words.lower()), None)) is not None:
        return Redirect(f"/projects/{exact.id}", status_code=303)
    low = words.lower()
    rows = (await session_lists.find(app, actor, SessionFilter(text=words), limit=ROWS)).items if words else ()
    return await framed(
        app,
        actor,
        "go.html",
        words=words,
        projects=[one for one in there if low in one.path.lower() or low in one.name.lower()][:ROWS],
        flows=[name for name in _shipped(app) if words and low in name.lower()],
        stored=await flow_versions.named(app, actor, words) if words else [],
        places=[one for one in there if allows(Role[one.role.upper()], Ability.START_SESSION)][:PLACES],
        rows=rows,
    )


def _shipped(app: App) -> list[str]:
    """The names of the flows that ship, each once."""
    return list(dict.fromkeys(name.partition("/")[0] for name in app.flows.names()))


ROUTES = (home, all_projects, go)
