"""Backups: one file of the database, the repositories and what else must not be lost, and a home made from it."""

from quarterdeck.backup.file import BackupFileError
from quarterdeck.backup.restoring import NotEmptyError, Restored, restore
from quarterdeck.backup.taking import Taken, last, take

__all__ = ["BackupFileError", "NotEmptyError", "Restored", "Taken", "last", "restore", "take"]
