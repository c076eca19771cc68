"""Addresses that the server sends to: which may be given, and what is shown of one, since it may be a secret."""

from urllib.parse import urlsplit

from quarterdeck.app.application import App
from quarterdeck.core.errors import InvalidInputError

URL_CHARACTERS = 2_000


def check_url(app: App, url: str) -> str:
    """The address, if it may be sent to; where its name leads is looked at when it is.

    Raises:
        InvalidInputError: says what is wrong.
    """
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        raise InvalidInputError("The url can't be read.") from None
    if not whole or parts.scheme not in ("http", "https") or parts.fragment or len(url) > URL_CHARACTERS:
        raise InvalidInputError("The url is not one of https, like https://example.org/hook.")
    if "@" in parts.netloc:
        raise InvalidInputError("The url has a user in it. Put a secret behind its ? instead.")
    if parts.scheme == "http" and not app.courier.private:
        raise InvalidInputError(
            "The url has to begin with https://. For http:// in a private network an administrator sets "
            "QUARTERDECK_WEBHOOK_PRIVATE_ADDRESSES."
        )
    return url


def shown(url: str) -> str:
    """Its scheme and host, for an address that is a secret as a whole."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"
