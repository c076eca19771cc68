"""Who calls: a token as `Authorization: Bearer` or `PRIVATE-TOKEN`, never a cookie."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from quarterdeck.app import executors, people
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.errors import UnauthenticatedError
from quarterdeck.doors import identity

Connection = ASGIConnection[Any, Any, Any, Any]


def quarterdeck(connection: Connection) -> App:
    """The application, where no dependency can be asked for."""
    return connection.app.state["quarterdeck"]


def token(connection: Connection) -> str:
    """The token of a request.

    Raises:
        UnauthenticatedError: there is none; the message says how to pass one.
    """
    scheme, _, secret = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    if secret := connection.headers.get("private-token", "").strip():
        return secret
    raise UnauthenticatedError(
        "No token came with the request. Pass it as `Authorization: Bearer TOKEN` or `PRIVATE-TOKEN: TOKEN`."
    )


class PersonMiddleware(AbstractAuthenticationMiddleware):
    """Lets people with a token in; `request.user` is the Actor."""

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """The person behind the token. Raises UnauthenticatedError."""
        door = "cli" if connection.headers.get("user-agent", "").startswith("quarterdeck-cli/") else "api"
        actor = await people.authenticate(quarterdeck(connection), token(connection), door)
        return AuthenticationResult(user=actor, auth=None)


class RunnerMiddleware(AbstractAuthenticationMiddleware):
    """Lets executors with a runner's token in; `request.user` is what `executors.authenticate` answers."""

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """The executor behind the token. Raises UnauthenticatedError."""
        hands = await executors.authenticate(quarterdeck(connection), token(connection))
        return AuthenticationResult(user=hands, auth=None)


def actor(request: Request[Actor, None, Any]) -> Actor:
    """The dependency `actor`."""
    return request.user


def still(request: Request[Actor, None, Any]) -> Callable[[], Awaitable[Actor]]:
    """The dependency `still`."""
    return partial(identity.still, quarterdeck(request), token(request), request.user)


def hands(request: Request[executors.Hands, None, Any]) -> executors.Hands:
    """The dependency `hands`."""
    return request.user
