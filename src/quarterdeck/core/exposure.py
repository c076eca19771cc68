"""Where a secret may be sent: not over plain HTTP to another machine, unless somebody allows that by name."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from quarterdeck.core.errors import InvalidInputError


def exposed(url: str) -> bool:
    """Whether what is sent there can be read on the way: it is no HTTPS, and not this machine."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme == "https" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        address = ip_address(host)
    except ValueError:
        return True
    return not (address.is_loopback or address.is_unspecified)


def guard(url: str, *, allowed: bool, by: str) -> None:
    """Raises InvalidInputError when a token would be exposed and nobody allowed it; `by` says how one does."""
    if exposed(url) and not allowed:
        raise InvalidInputError(
            f"A token would be sent to {url} where others can read it on the way. Use https, or allow it with {by}."
        )
