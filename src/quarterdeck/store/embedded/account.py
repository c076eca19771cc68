"""The system account that PostgreSQL works as: PostgreSQL refuses to be root."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from quarterdeck.store.embedded.fault import EmbeddedPostgresError

NAME = "quarterdeck"
# Used when no account can be made, in this order.
SUBSTITUTES = ("postgres", "nobody")
# Nothing of our own environment goes to PostgreSQL: it may hold keys, or PG* variables meant for another server.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class Account(BaseModel, frozen=True):
    """An account of this machine; `borrowed` when we are root and have to become it."""

    uid: int
    gid: int
    name: str

    @property
    def borrowed(self) -> bool:
        """Whether a process has to change its user to work as this account."""
        return self.uid != os.geteuid()

    def call(self, command: Sequence[str | Path], *, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a short command as this account, `typed` on its input; its status is the caller's to judge."""
        try:
            return subprocess.run(
                command,
                input=typed,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                cwd="/",
                env=ENVIRONMENT,
                umask=0o077,
                user=self.uid if self.borrowed else None,
                group=self.gid if self.borrowed else None,
                extra_groups=[] if self.borrowed else None,
            )
        except OSError as error:
            if not self.borrowed:
                raise
            raise EmbeddedPostgresError(
                f"PostgreSQL refuses to work as root, and this process can't become {self.name!r} ({error.strerror}). "
                "Start Quarterdeck as a normal user, or give a server of your own by DATABASE_URL."
            ) from error

    def reaches(self, *paths: Path) -> bool:
        """Whether this account can read all of these; for a folder, also enter it."""
        return all(
            self.call(["test", "-r", path, "-a", "-x", path] if path.is_dir() else ["test", "-r", path]).returncode == 0
            for path in paths
        )

    def passes(self, folder: Path) -> bool:
        """Whether this account can go through a folder."""
        return self.call(["test", "-x", folder]).returncode == 0


def of(uid: int) -> Account:
    """The account with this number; PostgreSQL needs it to have a name."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as error:
        raise EmbeddedPostgresError(
            f"User id {uid} has no name on this machine, and PostgreSQL needs one. "
            "Add it to /etc/passwd, or give a server of your own by DATABASE_URL."
        ) from error
    return Account(uid=entry.pw_uid, gid=entry.pw_gid, name=entry.pw_name)


def serving() -> Account:
    """The account for new data: ourselves, or for root the unprivileged `quarterdeck`, which is made if absent."""
    if os.geteuid() != 0:
        return of(os.geteuid())
    if (found := _named(NAME)) is not None:
        return found
    made = "there is no useradd"
    if (useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")) is not None:
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        command = [useradd, *options, "--shell", "/usr/sbin/nologin", NAME]
        made = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT).stderr.strip()
    for name in (NAME, *SUBSTITUTES):
        if (found := _named(name)) is not None:
            return found
    raise EmbeddedPostgresError(
        f"PostgreSQL refuses to work as root, and no account {NAME!r} could be made for it ({made}). "
        f"Type: useradd --system {NAME}. Or start Quarterdeck as a normal user, or give a server by DATABASE_URL."
    )


def _named(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return None if entry.pw_uid == 0 else Account(uid=entry.pw_uid, gid=entry.pw_gid, name=entry.pw_name)
