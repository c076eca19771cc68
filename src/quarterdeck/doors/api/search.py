"""Search: in all sessions that one may see, and in one."""

from typing import Annotated

from litestar import Router, get
from litestar.params import QueryParameter

from quarterdeck.app import session_search
from quarterdeck.app.session_search import HitPage
from quarterdeck.core import limits
from quarterdeck.core.search import QUERY_CHARACTERS
from quarterdeck.core.status import Status, StatusGroup
from quarterdeck.doors.api.parameters import Caller, Limit, SessionId, TheApp

Words = Annotated[
    str,
    QueryParameter(
        name="q",
        min_length=1,
        max_length=QUERY_CHARACTERS,
        description='Words that all have to be there, `"a phrase"`, `-without`, `beginning*`.',
    ),
]
Cursor = QueryParameter(max_length=64, description="`next` of the page before.")


@get("/search/sessions", summary="Search sessions")
async def find(
    app: TheApp,
    actor: Caller,
    words: Words,
    project: Annotated[str | None, QueryParameter(max_length=255, description="Number or path.")] = None,
    mine: Annotated[bool, QueryParameter(description="Only in those that you started.")] = False,
    flow: Annotated[
        str | None, QueryParameter(max_length=200, description="`name/1.0.0`, `name/v1` or `name`.")
    ] = None,
    status: Annotated[Status | None, QueryParameter()] = None,
    status_group: Annotated[StatusGroup | None, QueryParameter()] = None,
    before: Annotated[str | None, Cursor] = None,
    limit: Limit = limits.PAGE_ROWS,
) -> HitPage:
    """What was said, asked for, printed or went wrong, in all sessions that you may see, newest first."""
    return await session_search.find(
        app,
        actor,
        words,
        project=project,
        mine=mine,
        flow=flow,
        status=status,
        status_group=status_group,
        before=before,
        limit=limit,
    )


@get("/sessions/{session_id:int}/search", summary="Search a session")
async def find_within(
    app: TheApp,
    actor: Caller,
    session_id: SessionId,
    words: Words,
    after: Annotated[str | None, Cursor] = None,
    limit: Limit = limits.PAGE_ROWS,
) -> HitPage:
    """The same in one session, in the order of its events."""
    return await session_search.find_within(app, actor, session_id, words, after=after, limit=limit)


ROUTES = Router("/", route_handlers=[find, find_within], tags=["search"])
