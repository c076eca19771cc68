"""Every error of every HTTP door as an RFC 9457 problem: one table from our errors to statuses."""

import secrets
import traceback
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from pydantic import BaseModel, ConfigDict

from quarterdeck.core import errors as e
from quarterdeck.core.source_events import SourceGapError, WrongEventError

MEDIA_TYPE = "application/problem+json"

STATUSES: dict[type[e.QuarterdeckError], HTTPStatus] = {
    e.InvalidInputError: HTTPStatus.BAD_REQUEST,
    e.IllegalTransitionError: HTTPStatus.CONFLICT,
    WrongEventError: HTTPStatus.UNPROCESSABLE_ENTITY,
    e.TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    e.UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    e.ForbiddenError: HTTPStatus.FORBIDDEN,
    e.NotFoundError: HTTPStatus.NOT_FOUND,
    e.ConflictError: HTTPStatus.CONFLICT,
    e.UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    e.TooManyRequestsError: HTTPStatus.TOO_MANY_REQUESTS,
    e.RateLimitedError: HTTPStatus.TOO_MANY_REQUESTS,
    e.VersionMismatchError: HTTPStatus.UPGRADE_REQUIRED,
}
"""A subclass that isn't named has its nearest ancestor's status; 500 when there is none."""

_CODES: dict[int, str] = {
    400: e.InvalidInputError.code,
    401: e.UnauthenticatedError.code,
    403: e.ForbiddenError.code,
    404: e.NotFoundError.code,
    405: "method_not_allowed",
    413: e.TooLargeError.code,
    415: "unsupported_media_type",
    429: "too_many_requests",
}
_HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": 'Bearer realm="quarterdeck"'},
    426: {"Upgrade": "HTTP/1.1"},
    429: {"Retry-After": "10"},
    503: {"Retry-After": "1"},
}

_log = structlog.get_logger(__name__)


class Fault(BaseModel):
    """One field of a request that doesn't fit; an empty name is the body as a whole."""

    model_config = ConfigDict(frozen=True)
    field: str
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457); `code` is stable, `detail` is for people."""

    model_config = ConfigDict(frozen=True, extra="allow")
    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    errors: tuple[Fault, ...] = ()
    """All fields that don't fit, at once."""
    id: str | None = None
    """Of an internal error: its name in the server's log."""
    expected: int | None = None
    """Of a gap: the number of the event that comes next."""
    index: int | None = None
    """Of a batch: the place, from 0, of the event that doesn't fit."""


def status_of(error: e.QuarterdeckError) -> HTTPStatus:
    """The HTTP status of one of our errors."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_of(error: Exception) -> Problem:
    """Any error as a problem; of one that nobody expected only an id leaves the server."""
    match error:
        case SourceGapError():
            return _of_ours(error).model_copy(update={"expected": error.expected})
        case WrongEventError():
            return _of_ours(error).model_copy(update={"index": error.index})
        case e.QuarterdeckError():
            return _of_ours(error)
        case ValidationException():
            faults = _faults(error)
            detail = "; ".join(f"{fault.field}: {fault.message}" if fault.field else fault.message for fault in faults)
            return _problem(HTTPStatus.BAD_REQUEST, detail or _without_url(error.detail), errors=faults)
        case HTTPException() if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            return _problem(HTTPStatus(error.status_code), error.detail)
        case _:
            return _unexpected(error)


def respond(problem: Problem, headers: dict[str, str] | None = None) -> Response[dict[str, Any]]:
    """The problem as a response."""
    return Response(
        problem.model_dump(mode="json", exclude_none=True, exclude_defaults=False),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={**_HEADERS.get(problem.status, {}), **(headers or {}), "Cache-Control": "no-store"},
    )


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """The exception handler of all HTTP doors."""
    problem = problem_of(error)
    if problem.status == HTTPStatus.NOT_FOUND and isinstance(error, HTTPException):
        detail = f"There is nothing at {request.method} {request.url.path}."
        problem = problem.model_copy(update={"detail": detail})
    return respond(problem, error.headers if isinstance(error, HTTPException) else None)


HANDLERS: Final[dict[int | type[Exception], Callable[..., Response[Any]]]] = {Exception: handle, HTTPException: handle}


def _of_ours(error: e.QuarterdeckError) -> Problem:
    return _problem(status_of(error), error.message, error.code)


def _problem(status: HTTPStatus, detail: str, code: str | None = None, errors: tuple[Fault, ...] = ()) -> Problem:
    return Problem(
        title=status.phrase, status=status, detail=detail, code=code or _CODES.get(status, "error"), errors=errors
    )


def _unexpected(error: Exception) -> Problem:
    identity = secrets.token_hex(6)
    # As text: a renderer that shows local variables would write tokens into the log.
    _log.error("a request failed", id=identity, traceback="".join(traceback.format_exception(error)))
    problem = _problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        f"Something went wrong in the server; its log has the reason under {identity}.",
        "internal",
    )
    return problem.model_copy(update={"id": identity})


def _faults(error: ValidationException) -> tuple[Fault, ...]:
    given: object = error.extra
    faults = cast("list[dict[str, object]]", given) if isinstance(given, list) else []
    return tuple(_fault(str(fault.get("key", "")), str(fault.get("message", ""))) for fault in faults)


def _fault(key: str, message: str) -> Fault:
    """Of what is missing Litestar says only the name again; the body is called `data` there."""
    body = key == "data"
    if message == repr(key):
        message = "the body is missing" if body else "it is missing"
    return Fault(field="" if body else key, message=message)


def _without_url(detail: str) -> str:
    """Litestar's own words may repeat the whole URL, and with it what its query holds."""
    return detail.partition(" for ")[0]
