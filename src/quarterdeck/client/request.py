"""What both forms of the client share: a request's parts, and an answer's meaning."""

import ssl
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote
from urllib.request import getproxies

import httpx
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

import quarterdeck
from quarterdeck.client.errors import RefusedError, UnexpectedAnswerError, UnreachableError

T = TypeVar("T")

API = "/api/v1"
TIMEOUT: Final = httpx.Timeout(30, connect=5)
LONG_TIMEOUT: Final = httpx.Timeout(600, connect=5)
"""What is uploaded is read and checked whole before it is answered, and a fork's history is copied."""
STREAM_TIMEOUT: Final = httpx.Timeout(45, connect=5)
"""The server sends something every 15 seconds; after three of them it is gone."""


class Unset(Enum):
    """The type of an argument that is not given, and so not sent: the server's own default holds."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
Values = Mapping[str, object]


def part(value: object) -> str:
    """A value as one name of a path; a project's path keeps its slashes as `%2F`."""
    return quote(str(value), safe="")


def parts(
    *,
    query: Values | None = None,
    header: Values | None = None,
    body: Values | None = None,
    content: object = None,
    content_type: str = "",
) -> dict[str, Any]:
    """A request's parts as httpx takes them; what is UNSET is left out, and in a URL or a header also what is None."""
    named = _texts(header) | ({"Content-Type": content_type} if content_type else {})
    found: dict[str, Any] = {"params": _texts(query), "headers": named}
    if body is not None:
        found["json"] = _given(body)
    if content is not None:
        found["content"] = content
    return found


def _given(values: Values | None) -> dict[str, Any]:
    return {name: to_jsonable_python(value) for name, value in (values or {}).items() if value is not UNSET}


def _texts(values: Values | None) -> dict[str, Any]:
    """A list is sent as many times as it has items."""
    return {name: _text(value) for name, value in _given(values).items() if value is not None}


def _text(value: Any) -> str | list[str]:
    match value:
        case bool():
            return str(value).lower()
        case list():
            return [str(one) for one in cast("list[object]", value)]
        case _:
            return str(value)


def trust(url: str) -> ssl.SSLContext | bool:
    """Whom to trust there: for plain HTTP nobody, because to load all authorities takes longer than a request does."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.startswith("http://") and not getproxies() else True


def headers(token: str | None) -> dict[str, str]:
    """What every request says of who asks."""
    by = {"User-Agent": f"quarterdeck-client/{quarterdeck.__version__}"}
    return {**by, "Authorization": f"Bearer {token}"} if token else by


def parsed(kind: type[T], response: httpx.Response) -> T:
    """The answer as a type of ours. Raises UnexpectedAnswerError."""
    try:
        return _adapter(kind).validate_json(response.content)
    except ValidationError as error:
        where = ".".join(str(one) for one in error.errors()[0]["loc"]) or "it is no JSON"
        raise UnexpectedAnswerError(
            f"The answer of {response.url} isn't what this client ({quarterdeck.__version__}) expects: {where}. "
            "Use the client of the server's version."
        ) from None


@lru_cache(maxsize=256)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def checked(response: httpx.Response) -> httpx.Response:
    """The response, when it is none of an error; its body must have been read. Raises RefusedError."""
    if not response.is_error:
        return response
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        problem: dict[str, Any] = response.json()
    else:
        said = f"{response.status_code} {response.reason_phrase}"
        problem = {"detail": f"The server at {response.url.host} answered {said}."}
    wait = response.headers.get("retry-after", "")
    raise RefusedError(response.status_code, problem, float(wait) if wait.isdecimal() else None)


def unreachable(url: httpx.URL, error: httpx.TransportError) -> UnreachableError:
    """What a broken connection means."""
    return UnreachableError(str(url), str(error) or type(error).__name__)
