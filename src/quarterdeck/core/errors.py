"""One tree of errors; the docstring of a class is its default message, `code` its stable name for every door."""

from datetime import timedelta
from inspect import cleandoc


class QuarterdeckError(Exception):
    """Something went wrong."""

    code: str = "error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or cleandoc(type(self).__doc__ or ""))

    @property
    def message(self) -> str:
        """The sentence for a person."""
        return str(self)


class InvalidInputError(QuarterdeckError):
    """The request has a value that can't be used."""

    code = "invalid_input"


class IllegalTransitionError(InvalidInputError):
    """The session's status doesn't allow this."""

    code = "illegal_transition"


class TooLargeError(InvalidInputError):
    """That is larger than the server accepts."""

    code = "too_large"


class UnauthenticatedError(QuarterdeckError):
    """No valid token came with the request. Sign in, or pass a token."""

    code = "unauthenticated"


class ForbiddenError(QuarterdeckError):
    """Your role doesn't allow this."""

    code = "forbidden"


class NotFoundError(QuarterdeckError):
    """There is nothing here that you may see."""

    code = "not_found"


class SessionGoneError(NotFoundError):
    """The session was deleted."""

    code = "session_gone"


class ConflictError(QuarterdeckError):
    """The thing was changed or claimed by somebody else in the meantime."""

    code = "conflict"


class FencedError(ConflictError):
    """This turn or lease was given to another; what it brings is refused."""

    code = "fenced"


class SessionEndedError(ConflictError):
    """The session has ended; nothing more is done in it."""

    code = "session_ended"


class UnavailableError(QuarterdeckError):
    """Something that is needed can't be reached now. Try again in a moment."""

    code = "unavailable"


class RateLimitedError(UnavailableError):
    """A service elsewhere asks for a pause; what waits for it goes on by itself."""

    code = "rate_limited"

    def __init__(self, message: str | None = None, *, wait: timedelta = timedelta(minutes=1)) -> None:
        super().__init__(message)
        self.wait = wait


class TooManyRequestsError(QuarterdeckError):
    """Too much at once. Try again later."""

    code = "too_many_requests"


class VersionMismatchError(QuarterdeckError):
    """The two ends speak versions of the protocol that don't fit."""

    code = "version_mismatch"
