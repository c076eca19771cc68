"""A provider's failures in our two classes: asking again won't help, or asking again later may."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import cast
from urllib.parse import urlsplit

from pydantic_ai import exceptions as theirs

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.text import clean, line
from quarterdeck.engine.models.endpoints import Endpoint
from quarterdeck.engine.models.model import ModelRejectedError, ModelUnavailableError

_PASSING = (
    theirs.ModelRateLimitError,
    theirs.ModelUnavailableError,
    theirs.ModelServerError,
    theirs.ModelConnectionError,
    theirs.ModelRequestTimeout,
)
_PASSING_STATUSES = (408, 409, 424, 425, 429)  # 424 is Bedrock's for a model that broke down
_MESSAGE_CHARACTERS = 600
_MESSAGES = ("error", "message", "detail", "Error", "Message")


@contextmanager
def told(endpoint: Endpoint) -> Generator[None]:
    """Whatever a provider or its SDK raises inside comes out as one of our classes.

    The SDKs build what they receive without checking it, so that a malformed chunk shows up as any exception at all.
    """
    try:
        yield
    except QuarterdeckError:
        raise
    except Exception as error:
        # not "from error": its text may hold what the provider echoed of the request, the key for one
        raise failure(error, endpoint) from None


def failure(error: Exception, endpoint: Endpoint) -> ModelRejectedError | ModelUnavailableError:
    """`error` as ours, with the provider's own words."""
    said = _said(error, endpoint)
    if _passes(error):
        retry_after = error.retry_after if isinstance(error, theirs.ModelAPIError) else None
        return ModelUnavailableError(f"{endpoint.name} can't answer now: {said}", retry_after=retry_after)
    return ModelRejectedError(f"{_refusal(error, endpoint)} {endpoint.provider} says: {said}")


def _passes(error: Exception) -> bool:
    match error:
        case theirs.ModelRequestRejectedError() | theirs.ModelQuotaExceededError() | theirs.UserError():
            return False
        case theirs.ModelHTTPError(status_code=status):
            return status >= 500 or status in _PASSING_STATUSES
        case theirs.ModelAPIError() if isinstance(error, _PASSING):
            return True
        case _:
            return _status(error) is None


def _refusal(error: Exception, endpoint: Endpoint) -> str:
    match error:
        case theirs.ModelAuthenticationError():
            key = endpoint.key_words or "the request"
            return f"{endpoint.provider} refused {key}, or it may not use {endpoint.model}."
        case theirs.ModelNotFoundError():
            return f"There is no model {endpoint.model} at {endpoint.provider}, or its base URL is wrong."
        case theirs.ModelContextWindowExceededError():
            return f"The conversation is longer than {endpoint.name} takes. Start a new session from here."
        case theirs.ModelQuotaExceededError():
            return f"The account at {endpoint.provider} has no quota or credit left."
        case _ if 300 <= (_status(error) or 0) < 400:
            return f"{endpoint.provider}'s base URL redirects elsewhere; set the address it leads to."
        case _:
            return f"{endpoint.name} refused the request."


def _status(error: Exception) -> int | None:
    """The HTTP status that an SDK's error below `error` came with, unless it is that of a stream that had begun."""
    status = getattr(error.__cause__, "status_code", None)
    return status if isinstance(status, int) and status >= 300 else None


def _said(error: Exception, endpoint: Endpoint) -> str:
    """The provider's message in one line, without the key wherever it was echoed."""
    words = clean(_words(error, endpoint))
    for secret in endpoint.secrets():
        words = words.replace(secret, "[key]")
    return line(words, _MESSAGE_CHARACTERS)


def _words(error: Exception, endpoint: Endpoint) -> str:
    match error:
        case theirs.ModelConnectionError():
            url = urlsplit(endpoint.base_url)
            return f"{error} ({url.scheme}://{url.netloc.rpartition('@')[2]}: {_root(error)})"
        case theirs.ModelAPIError():
            return _message(error.body) or str(error)
        case theirs.AgentRunError() | theirs.UserError():
            return str(error)
        case _:
            return f"it sent no valid answer ({type(error).__name__}: {error})"


def _root(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


def _message(body: object) -> str:
    """What an error body says: `{"error": {"message": …}}`, `{"message": …}`, `{"detail": …}`, or text.

    Amazon's SDK writes the first with capitals.
    """
    if not isinstance(body, dict):
        return body if isinstance(body, str) else ""
    fields = cast("dict[str, object]", body)
    return next(filter(None, (_message(fields.get(name)) for name in _MESSAGES)), "")
