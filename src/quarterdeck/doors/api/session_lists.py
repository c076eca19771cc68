"""Lists of sessions: pages, counts, what changes in them, and one action on many."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Literal, assert_never

from litestar import Router, get, post
from litestar.di import Dependency, Provide
from litestar.params import JSONBody, QueryParameter, SkipValidationMarker
from litestar.response import Stream
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from quarterdeck.app import live_lists, session_bulk, session_counts, session_lists
from quarterdeck.app.session_bulk import BulkOrder, BulkPreview, BulkResults, BulkWish
from quarterdeck.app.session_counts import SessionCounts
from quarterdeck.app.session_filter import TEXT_CHARACTERS, SessionFilter
from quarterdeck.app.session_lists import Order, SessionPage, Sort
from quarterdeck.core import limits
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.status import Status, StatusGroup
from quarterdeck.doors.api.parameters import Caller, Limit, Still, TheApp
from quarterdeck.doors.sse import Closes, chunk, message, stream

Wanted = Annotated[SessionFilter, Dependency("named"), SkipValidationMarker()]
Cursor = Annotated[
    str | None,
    QueryParameter(max_length=300, description="`next` or `previous` of another page; it fixes the order."),
]
Sorting = Annotated[Sort | None, QueryParameter(description="What to sort by; `updated` is the last activity.")]
Direction = Annotated[
    Order | None, QueryParameter(description="Usually `desc`, of `expires` and `status` `asc`: what is due, or active.")
]
_Project = Annotated[str | None, QueryParameter(max_length=255, description="Number or path.")]
_Day = Annotated[str | None, QueryParameter(max_length=40, description="A time with its zone, as RFC 3339 has it.")]

_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def wanted(
    project: _Project = None,
    mine: Annotated[bool, QueryParameter(description="Only those that you started.")] = False,
    needs_me: Annotated[bool, QueryParameter(description="Only those that wait for an answer of yours.")] = False,
    kind: Annotated[Literal["chat", "flow"] | None, QueryParameter(description="Chats alone, or all others.")] = None,
    status: Annotated[Status | None, QueryParameter()] = None,
    status_group: Annotated[StatusGroup | None, QueryParameter()] = None,
    flow: Annotated[
        str | None, QueryParameter(max_length=200, description="`name/1.0.0`, all of `name/v1`, or of `name`.")
    ] = None,
    initiator: Annotated[str | None, QueryParameter(max_length=255, description="A username.")] = None,
    origin: Annotated[str | None, QueryParameter(max_length=20, description="`api`, `cli`, `web`, `chat`, …")] = None,
    model: Annotated[str | None, QueryParameter(max_length=200)] = None,
    created_after: _Day = None,
    created_before: _Day = None,
    updated_after: _Day = None,
    updated_before: _Day = None,
    expiring: Annotated[int | None, QueryParameter(ge=0, le=100_000, description="Deleted in so many days.")] = None,
    held: Annotated[bool | None, QueryParameter(description="Only those that are kept, or only the others.")] = None,
    parent: Annotated[int | None, QueryParameter(ge=1, le=2**63 - 1, description="What started it.")] = None,
    executor: Annotated[
        int | None, QueryParameter(ge=1, le=2**63 - 1, description="The editor that carries it out.")
    ] = None,
    text: Annotated[
        str | None,
        QueryParameter(
            max_length=TEXT_CHARACTERS, description="Words in title or goal; a number finds that session too."
        ),
    ] = None,
) -> SessionFilter:
    """The dependency `wanted`: the filter that the URL's parameters say."""
    return SessionFilter(
        project=project,
        mine=mine,
        needs_me=needs_me,
        kind=kind,
        status=status,
        status_group=status_group,
        flow=flow,
        initiator=initiator,
        origin=origin,
        model=model,
        created_after=_time("created_after", created_after),
        created_before=_time("created_before", created_before),
        updated_after=_time("updated_after", updated_after),
        updated_before=_time("updated_before", updated_before),
        expiring=expiring,
        held=held,
        parent=parent,
        executor=executor,
        text=text,
    )


def _time(name: str, text: str | None) -> datetime | None:
    """A plus sign that a URL did not write as `%2B` came as a space."""
    try:
        return None if text is None else _TIME.validate_python(text.replace(" ", "+") if "T" in text else text)
    except ValidationError:
        raise InvalidInputError(f"{name} is a time with its zone, such as 2026-01-31T12:00:00Z.") from None


@get("/", summary="List sessions")
async def find(
    app: TheApp,
    actor: Caller,
    wanted: Wanted,
    sort: Sorting = None,
    order: Direction = None,
    cursor: Cursor = None,
    last: Annotated[bool, QueryParameter(description="The page at the end.")] = False,
    limit: Limit = limits.PAGE_ROWS,
) -> SessionPage:
    """The sessions that you may see and that fit all filters, the newest activity first."""
    return await session_lists.find(app, actor, wanted, sort=sort, order=order, cursor=cursor, last=last, limit=limit)


@get("/counts", summary="Count sessions")
async def counts(app: TheApp, actor: Caller, project: _Project = None) -> SessionCounts:
    """How many there are by status group, of a project or in all: that you may see, that are yours, that need you."""
    return await session_counts.counts(app, actor, project)


@get("/changes", media_type="text/event-stream", summary="Watch a list")
async def changes(
    app: TheApp,
    actor: Caller,
    still: Still,
    closing: Closes,
    wanted: Wanted,
    sort: Sorting = None,
    order: Direction = None,
    cursor: Cursor = None,
    limit: Limit = limits.PAGE_ROWS,
) -> Stream:
    """Server-sent events: the `page`, then each row that is new or `changed`, and each that is `gone` from the list.

    One whose token or role is taken away is sent `error` (401, 403, 404) within 15 seconds.
    """

    async def check() -> None:
        await live_lists.allowed(app, await still(), wanted)

    await session_lists.find(app, actor, wanted, sort=sort, order=order, cursor=cursor, limit=1)
    signals = live_lists.changes(app, actor, wanted, sort=sort, order=order, cursor=cursor, limit=limit)
    return stream(_chunks(signals), closing, check=check)


@post("/bulk/preview", status_code=200, summary="Look at what an action on many would do")
async def preview(app: TheApp, actor: Caller, data: JSONBody[BulkWish]) -> BulkPreview:
    """The sessions that it would be done to; nothing is done."""
    return await session_bulk.preview(app, actor, data)


@post("/bulk", status_code=200, summary="Do something to many sessions")
async def bulk(app: TheApp, actor: Caller, data: JSONBody[BulkOrder]) -> BulkResults:
    """Cancels, deletes, holds or releases sessions of a preview, 100 at most, and says of each what came of it."""
    return await session_bulk.act(app, actor, data)


async def _chunks(signals: AsyncIterator[list[live_lists.Signal]]) -> AsyncIterator[bytes]:
    async for found in signals:
        yield chunk(_message(signal) for signal in found)


def _message(signal: live_lists.Signal) -> bytes:
    match signal:
        case live_lists.PageSignal():
            return message("page", signal.page.model_dump_json())
        case live_lists.ChangedSignal():
            return message("changed", signal.row.model_dump_json())
        case live_lists.GoneSignal():
            return message("gone", json.dumps({"id": signal.session_id}))
        case _:
            assert_never(signal)


ROUTES = Router(
    "/sessions",
    route_handlers=[find, counts, changes, preview, bulk],
    dependencies={"wanted": Provide(wanted, sync_to_thread=False)},
    tags=["session lists"],
)
