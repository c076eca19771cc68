"""`/git/<project path>.git`: what `git clone`, `fetch` and `push` speak, with a token as the password."""

import base64
import binascii
import tempfile
import zlib
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any, cast

from litestar import Request, Response, Router, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.response import Stream

from quarterdeck.app import repositories
from quarterdeck.app.application import App
from quarterdeck.app.repositories import GitAccess, Service
from quarterdeck.core.errors import InvalidInputError, NotFoundError, TooLargeError, UnauthenticatedError
from quarterdeck.core.limits import BUNDLE_BYTES
from quarterdeck.doors.api.parameters import TheApp
from quarterdeck.doors.problem import problem_of

REQUEST_BYTES = BUNDLE_BYTES + 16 * 1024 * 1024
"""The largest request, unpacked: a push of the largest pack that is taken, and its commands."""
CHUNK_BYTES = 256 * 1024
SPOOL_BYTES = 1024 * 1024
"""A larger request is kept on disk while it comes."""

_SUFFIXES: dict[str, Service] = {"/git-upload-pack": "git-upload-pack", "/git-receive-pack": "git-receive-pack"}
_HEADERS = {"Cache-Control": "no-cache, max-age=0, must-revalidate"}

Connection = Request[Any, Any, Any]


@get("/{path:path}", include_in_schema=False)
async def advertise(request: Connection, app: TheApp, path: FromPath[str]) -> Stream:
    """`GET …/info/refs?service=…`: the refs, or what this git can do."""
    repository = _repository(path, "/info/refs")
    service = _service(request.query_params.get("service", ""))
    access = await _access(request, app, repository, service)
    return await _answer(app, request, access, _nothing(), advertise=True)


@post("/{path:path}", include_in_schema=False, request_max_body_size=None, status_code=200)
async def exchange(request: Connection, app: TheApp, path: FromPath[str]) -> Stream:
    """`POST …/git-upload-pack` and `…/git-receive-pack`."""
    for suffix, service in _SUFFIXES.items():
        if path.endswith(suffix):
            access = await _access(request, app, _repository(path, suffix), service)
            return await _answer(app, request, access, await _spooled(_body(request)), advertise=False)
    raise NotFoundError("There is nothing here; git's addresses end in /git-upload-pack or /git-receive-pack.")


def _repository(path: str, suffix: str) -> str:
    """The project's path."""
    whole = path.strip("/")
    if not whole.endswith(f".git{suffix}"):
        raise NotFoundError("There is nothing here; a repository's address is /git/PROJECT.git.")
    return whole.removesuffix(f".git{suffix}")


def _service(name: str) -> Service:
    if name == "git-upload-pack" or name == "git-receive-pack":
        return name
    raise InvalidInputError("Only git's smart protocol is spoken here; use a git that is newer than 1.6.6.")


async def _access(request: Connection, app: App, repository: str, service: Service) -> GitAccess:
    username, secret = _credentials(request.headers.get("authorization", ""))
    return await repositories.authorize(app, username=username, secret=secret, path=repository, service=service)


def _credentials(header: str) -> tuple[str, str]:
    """User name and password. Raises UnauthenticatedError when there are none."""
    kind, _, value = header.partition(" ")
    if kind.lower() == "bearer":
        return "", value.strip()
    try:
        username, colon, secret = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        username, colon, secret = "", "", ""
    if kind.lower() != "basic" or not colon or not secret:
        raise UnauthenticatedError("Git needs a token here: any user name, and a personal token as the password.")
    return username, secret


async def _answer(
    app: App, request: Connection, access: GitAccess, body: AsyncIterator[bytes], *, advertise: bool
) -> Stream:
    protocol = request.headers.get("git-protocol", "")[:100]
    pieces = repositories.serve(app, access, body=body, advertise=advertise, protocol=protocol)
    kind = "advertisement" if advertise else "result"
    first = await anext(pieces, b"")  # what is wrong with a request comes before its first byte, and gets its status
    return Stream(_chained(first, pieces), media_type=f"application/x-{access.service}-{kind}", headers=_HEADERS)


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _body(request: Connection) -> AsyncIterator[bytes]:
    """The request's bytes, unpacked when git packed them, as they come.

    Raises:
        TooLargeError: there are more than `REQUEST_BYTES`.
        InvalidInputError: it is not the gzip that its header says.
    """
    packed = request.headers.get("content-encoding", "") in ("gzip", "x-gzip")
    left = REQUEST_BYTES
    async for piece in _unpacked(request.stream()) if packed else request.stream():
        left -= len(piece)
        if left < 0:
            raise TooLargeError(f"A request of git may have {REQUEST_BYTES:,} bytes.")
        if piece:
            yield piece


async def _spooled(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """All of `body`, taken before the answer begins.

    While an answer streams, the framework waits for the client's going away by reading from the connection, and would
    take pieces of the request.
    """
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.SpooledTemporaryFile(SPOOL_BYTES))
        async for piece in body:
            file.write(piece)
        file.seek(0)
        stack.pop_all()
    return _pieces(file)


async def _pieces(file: "tempfile.SpooledTemporaryFile[bytes]") -> AsyncIterator[bytes]:
    with file:
        while piece := file.read(CHUNK_BYTES):
            yield piece


async def _unpacked(packed: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    unpack = zlib.decompressobj(wbits=31)
    try:
        async for piece in packed:
            rest = piece
            while rest:
                yield unpack.decompress(rest, CHUNK_BYTES)
                rest = unpack.unconsumed_tail
    except zlib.error as error:
        raise InvalidInputError("The request is not the gzip that its header says.") from error


async def _nothing() -> AsyncIterator[bytes]:
    for piece in cast("tuple[bytes, ...]", ()):
        yield piece


def refuse(request: Connection, error: Exception) -> Response[str]:
    """An error as plain text, which git shows behind `remote:`."""
    del request
    problem = problem_of(error)
    headers = {"WWW-Authenticate": 'Basic realm="Quarterdeck", charset="UTF-8"'} if problem.status == 401 else {}
    return Response(problem.detail + "\n", status_code=problem.status, media_type="text/plain", headers=headers)


ROUTES = Router(
    "/git", route_handlers=[advertise, exchange], exception_handlers={Exception: refuse, HTTPException: refuse}
)
