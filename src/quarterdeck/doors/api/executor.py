"""The executor's side of the API, as `core.protocol` documents it."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import Request, Response, Router, get, post
from litestar.di import Dependency, Provide
from litestar.params import JSONBody, PathParameter, QueryParameter, RawBody, SkipValidationMarker
from litestar.response import Stream

from quarterdeck.app import executors, hellos, offers, registrations
from quarterdeck.app.application import App
from quarterdeck.app.executors import Hands, OutputGapError
from quarterdeck.core import limits
from quarterdeck.core import protocol as p
from quarterdeck.doors.api.parameters import CallId, Offset, RowId, TheApp
from quarterdeck.doors.api.tokens import RunnerMiddleware, token
from quarterdeck.doors.api.tokens import hands as hands_of_request
from quarterdeck.doors.problem import problem_of, respond
from quarterdeck.doors.sse import Closes, chunk, message, stream

Runner = Annotated[Hands, Dependency("named"), SkipValidationMarker()]
Subject = Annotated[str, PathParameter(pattern=r"^(session|job):[0-9]{1,18}$", description="`session:12` or `job:7`.")]
Epoch = Annotated[int, QueryParameter(ge=0, le=2**31 - 1, description="The lease's epoch.")]
_RESULT_BYTES = 4 * 1024 * 1024
"""What a model is told and the changed files, both bounded by the executor, however JSON may blow them up."""


@post("/executor/register", status_code=200, tags=["executor"], summary="Register a runner")
async def register(app: TheApp, request: Request[Any, Any, Any], data: JSONBody[p.Register]) -> p.Registered:
    """The bearer is a registration token, which works once; the answer has the runner's own."""
    return await registrations.register(app, token(request), data)


@post("/hello", status_code=200, summary="Introduce an executor")
async def hello(app: TheApp, hands: Runner, data: JSONBody[p.Hello]) -> p.Welcome:
    """426 when the versions of the protocol don't fit."""
    return await hellos.hello(app, hands, data)


@get("/stream", media_type="text/event-stream", summary="Wait for work")
async def work(
    app: TheApp, hands: Runner, closing: Closes, runner: Annotated[int, QueryParameter(ge=1, le=2**63 - 1)]
) -> Stream:
    """Server-sent events: `offer`, `cancel`, `wipe`, `drained`; a comment every 15 seconds."""
    # Refuses another token's runner while there still is a status to say it with.
    await executors.heartbeat(app, hands, p.Heartbeat(runner=runner))
    return stream(_chunks(app, hands, runner), closing)


@post("/heartbeat", status_code=200, summary="Renew leases")
async def heartbeat(app: TheApp, hands: Runner, data: JSONBody[p.Heartbeat]) -> p.HeartbeatAnswer:
    """What is in `lost` belongs to another: kill and forget."""
    return await executors.heartbeat(app, hands, data)


@post("/calls/{call_id:str}/started", status_code=204, summary="Report that a call began")
async def started(app: TheApp, hands: Runner, call_id: CallId, data: JSONBody[p.Started]) -> None:
    """Its start is in the executor's journal already."""
    await executors.started(app, hands, call_id, data)


@post(
    "/calls/{call_id:str}/output",
    status_code=200,
    request_max_body_size=limits.OUTPUT_CHUNK_BYTES,
    summary="Append to a call's output",
)
async def output(
    app: TheApp, hands: Runner, call_id: CallId, epoch: Epoch, body: RawBody, offset: Offset
) -> p.OutputAnswer:
    """Raw bytes; 409 with `expected` when bytes before `offset` are missing."""
    return await executors.output(app, hands, call_id, epoch, offset, body)


@post(
    "/calls/{call_id:str}/result",
    status_code=204,
    request_max_body_size=_RESULT_BYTES,
    summary="Report how a call ended",
)
async def result(app: TheApp, hands: Runner, call_id: CallId, data: JSONBody[p.Result]) -> None:
    """The last result of a batch lets the session go on."""
    await executors.result(app, hands, call_id, data)


@post(
    "/calls/{call_id:str}/push",
    status_code=200,
    request_max_body_size=limits.BUNDLE_BYTES,
    summary="Push a session's branch",
)
async def push(
    app: TheApp,
    hands: Runner,
    request: Request[Hands, None, Any],
    call_id: CallId,
    epoch: Epoch,
    branch: Annotated[str, QueryParameter(min_length=1, max_length=limits.REF_CHARACTERS)],
    commit: Annotated[str, QueryParameter(pattern=r"^[0-9a-f]{40,64}$")],
) -> p.PushAnswer:
    """A git bundle; the server checks it and moves the branch."""
    return await executors.push(app, hands, call_id, epoch, branch, commit, request.stream())


@post("/subjects/{subject:str}/prepared", status_code=204, summary="Report that a workspace is there")
async def prepared(app: TheApp, hands: Runner, subject: Subject, data: JSONBody[p.Prepared]) -> None:
    """Before the first call of the subject."""
    await executors.prepared(app, hands, subject, data)


@post("/subjects/{subject:str}/teardown", status_code=204, summary="Report that nothing runs any more")
async def teardown(app: TheApp, hands: Runner, subject: Subject, data: JSONBody[p.Teardown]) -> None:
    """The proof of a stop."""
    await executors.teardown(app, hands, subject, data)


@post(
    "/subjects/{subject:str}/blobs",
    status_code=200,
    request_max_body_size=limits.BUNDLE_BYTES,
    summary="Keep a snapshot, a diff or artifacts",
)
async def write_blob(
    app: TheApp, hands: Runner, request: Request[Hands, None, Any], subject: Subject, epoch: Epoch
) -> p.BlobAnswer:
    """Raw bytes, streamed."""
    return await executors.write_blob(app, hands, subject, epoch, request.stream())


@get("/subjects/{subject:str}/blobs/{blob_id:int}", media_type="application/octet-stream", summary="Fetch a blob")
async def read_blob(app: TheApp, hands: Runner, subject: Subject, blob_id: RowId) -> Stream:
    """Raw bytes, streamed."""
    return Stream(
        await _begun(executors.read_blob(app, hands, subject, blob_id)),
        media_type="application/octet-stream",
        headers={"Cache-Control": "no-store"},
    )


async def _begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, with the first one fetched: what is wrong shows before the answer begins."""
    first = await anext(pieces, b"")

    async def all_pieces() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_pieces()


async def _chunks(app: App, hands: Hands, runner: int) -> AsyncIterator[bytes]:
    async for news in offers.stream(app, hands, runner):
        yield chunk(message(type(one).__name__.lower(), one.model_dump_json()) for one in news)


def _gap(_: Request[Any, Any, Any], error: OutputGapError) -> Response[dict[str, Any]]:
    return respond(problem_of(error).model_copy(update={"expected": error.expected}))


ROUTES = Router(
    "/executor",
    route_handlers=[
        hello, work, heartbeat, started, output, result, push, prepared, teardown, write_blob, read_blob,
    ],
    middleware=[RunnerMiddleware],
    dependencies={"hands": Provide(hands_of_request, sync_to_thread=False)},
    exception_handlers={OutputGapError: _gap},
    tags=["executor"],
)  # fmt: skip
"""For runners' tokens alone."""
