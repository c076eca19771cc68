"""What can go wrong between a program and its server."""

from typing import Any

PASSING = frozenset({429, 500, 502, 503, 504})
"""The statuses of a server that may answer a little later, as while its database restarts."""


class ClientError(Exception):
    """The server could not be asked, or did not do what it was asked for; its text is for people."""

    passes = False
    """Whether the same request may succeed a little later."""


class UnreachableError(ClientError):
    """Nobody answers there, or the connection broke."""

    passes = True

    def __init__(self, url: str, reason: str) -> None:
        self.reason = reason
        super().__init__(f"No Quarterdeck server answers at {url} ({reason}).")


class UnexpectedAnswerError(ClientError):
    """What came back is not what this version of the library knows."""


class RefusedError(ClientError):
    """The server answered with a problem (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.code = str(problem.get("code", ""))
        """Stable, for programs: `not_found`, `conflict`, …; empty when the answer was no problem of Quarterdeck's."""
        self.detail = str(problem.get("detail") or f"The server answered {status}.")
        """One or more sentences for people."""
        self.retry_after = retry_after
        """Seconds after which it can be tried again, where the server says so."""
        self.passes = status in PASSING
        super().__init__(self.detail)
