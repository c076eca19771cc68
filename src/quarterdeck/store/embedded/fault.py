"""What can go wrong with the embedded server, in words for the person who started it."""

from quarterdeck.core.errors import UnavailableError


class EmbeddedPostgresError(UnavailableError):
    """The embedded PostgreSQL can't be started. See its log, or give your own server by DATABASE_URL."""

    code = "database_unavailable"


class DataVersionError(EmbeddedPostgresError):
    """The data was written by another major version of PostgreSQL."""

    code = "database_version"


_TOO_EARLY = "the database system is "
"""Said to a client that comes while it starts or stops; no reason for anything."""


def reason(output: str) -> str:
    """The line of PostgreSQL's own output that says why it ended, without time and prefix; empty if it said nothing."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and _TOO_EARLY not in line]
    for mark in ("PANIC:", "FATAL:", "error:", "ERROR:"):
        told = [line.split(mark, 1)[1].strip() for line in lines if mark in line]
        if told:
            return told[0]
    return lines[-1] if lines else ""
