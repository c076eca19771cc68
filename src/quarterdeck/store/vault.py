"""Secrets at rest: what the database keeps of them can be read only with a key file that is not in it."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck.core.errors import QuarterdeckError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEY_FILE = "secrets.key"


class VaultError(QuarterdeckError):
    """A stored secret can't be read: secrets.key in the home is not the file that it was stored with."""

    code = "vault"


class Vault:
    """Encrypts with the key in `home`, which is made, for its owner alone, when a secret is first stored."""

    def __init__(self, home: Path) -> None:
        self._file = home / KEY_FILE

    def encrypt(self, secret: str) -> bytes:
        """What may be stored of `secret`."""
        if not self._file.exists():
            self._make()
        return self._fernet().encrypt(secret.encode())

    def decrypt(self, stored: bytes) -> str:
        """The secret again.

        Raises:
            VaultError: the key file is missing, or another one.
        """
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet().decrypt(stored).decode()
        except InvalidToken:
            raise VaultError from None

    def _fernet(self) -> "Fernet":
        from cryptography.fernet import Fernet

        try:
            return Fernet(self._file.read_bytes().strip())
        except (OSError, ValueError):
            raise VaultError from None

    def _make(self) -> None:
        """Whole or not at all, and one for all: of two processes at once the second takes the first one's."""
        from cryptography.fernet import Fernet

        draft = self._file.with_name(f".{KEY_FILE}.{secrets.token_hex(6)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(Fernet.generate_key() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, self._file)
        finally:
            draft.unlink()
