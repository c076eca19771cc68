"""Who calls: a token as `Authorization: Bearer` or `PRIVATE-TOKEN`, never a cookie."""

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from quarterdeck.app import executors, people
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.errors import UnauthenticatedError

Connection = ASGIConnection[Any, Any, Any, Any]


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

    def __init__(self, app: ASGIApp, quarterdeck: App) -> None:
        super().__init__(app)
        self._quarterdeck = quarterdeck

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """The person behind the token. Raises UnauthenticatedError."""
        door = "cli" if connection.headers.get("user-agent", "").startswith("quarterdeck-cli/") else "api"
        actor = await people.authenticate(self._quarterdeck, token(connection), door)
        return AuthenticationResult(user=actor, auth=None)


class RunnerMiddleware(AbstractAuthenticationMiddleware):
    """Lets executors with a runner's token in; `request.user` is what `executors.authenticate` answers."""

    def __init__(self, app: ASGIApp, quarterdeck: App) -> None:
        super().__init__(app)
        self._quarterdeck = quarterdeck

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """The executor behind the token. Raises UnauthenticatedError."""
        hands = await executors.authenticate(self._quarterdeck, token(connection))
        return AuthenticationResult(user=hands, auth=None)


def actor(request: Request[Actor, None, Any]) -> Actor:
    """The dependency `actor`."""
    return request.user


def hands(request: Request[executors.Hands, None, Any]) -> executors.Hands:
    """The dependency `hands`."""
    return request.user
