"""Where a secret may be sent: not over plain HTTP to another machine, unless somebody allows that by name."""

from ipaddress import ip_address


def exposed(scheme: str, host: str) -> bool:
    """Whether what is sent there can be read on the way: it is no HTTPS, and not this machine."""
    host = host.lower().rstrip(".")
    if scheme == "https" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        address = ip_address(host)
    except ValueError:
        return True
    return not (address.is_loopback or address.is_unspecified)
