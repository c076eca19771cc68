"""Where a server keeps its state, who owns it, and the lock that tells a living server from what one left behind."""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from pydantic import BaseModel

from quarterdeck.store.embedded import account as accounts
from quarterdeck.store.embedded.account import Account
from quarterdeck.store.embedded.binaries import STATE
from quarterdeck.store.embedded.fault import EmbeddedPostgresError
from quarterdeck.store.embedded.process import birth

SOCKET = ".s.PGSQL.5432"
# The kernel takes 107 bytes for a socket's path. Commas and quotes mean something to libpq in a list of hosts.
SOCKET_PATH = re.compile(rb"[\w./+-]{1,100}")


class Folder(BaseModel, frozen=True):
    """The place of one server: `data`, `lock`, `log` and, where its path is short and plain, the socket.

    The place belongs to the account with mode 0700; nothing above it is ever changed.
    """

    place: Path
    account: Account

    @property
    def data(self) -> Path:
        """PostgreSQL's own data folder."""
        return self.place / "data"

    @property
    def log(self) -> Path:
        """What PostgreSQL says; `log.1` beside it is the part before."""
        return self.place / "log"

    def lock(self) -> int | None:
        """A descriptor of the lock file with the lock held, or None while a server or its starter lives.

        The lock belongs to the open file: it lasts until the last process that inherited the descriptor has ended.
        """
        lock = self.open("lock", os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def sign(self, lock: int) -> None:
        """Write into the held lock who supervises the server from now on."""
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()} {birth(os.getpid())}\n".encode(), 0)

    @property
    def supervised(self) -> bool:
        """Whether the supervisor that signed the lock still lives; else the server is about to end."""
        signed = re.fullmatch(r"(\d+) (\d+)\n", self._read("lock"))
        return signed is not None and birth(int(signed[1])) == int(signed[2])

    def open(self, name: str, flags: int) -> int:
        """Open a file of the place, made for the account if absent; as root, never through a link."""
        descriptor = os.open(self.place / name, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._give(descriptor)
        return descriptor

    def write(self, name: str, text: str) -> Path:
        """Replace a file of the place as a whole."""
        path, new = self.place / name, self.place / f"{name}.new"
        new.unlink(missing_ok=True)
        descriptor = self.open(new.name, os.O_WRONLY | os.O_EXCL)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)
        return path

    def socket(self) -> Path | None:
        """The folder of the socket; None when it has to be elsewhere and no starter has made it yet."""
        if SOCKET_PATH.fullmatch(os.fsencode(self.place / SOCKET)):
            return self.place
        noted = Path(self._read("socket") or "/")
        try:
            seen = noted.lstat()
        except OSError:
            return None
        # In a folder that others may write to, a name alone proves nothing: owner and mode do.
        private = seen.st_uid == self.account.uid and seen.st_mode & 0o170077 == 0o040000
        return noted if private else None

    def make_socket(self) -> Path:
        """The folder of the socket, made as a short private one if the place has a too long path. Needs the lock."""
        if (found := self.socket()) is not None:
            return found
        made = Path(tempfile.mkdtemp(prefix="qd-", dir="/tmp"))  # 0700, and a name nobody can guess
        self.write("socket", str(made))
        if self.account.borrowed:
            os.chown(made, self.account.uid, self.account.gid)
        return made

    def forget_socket(self) -> None:
        """Remove the socket's folder, if it is not the place itself. Needs the lock."""
        if (found := self.socket()) not in (None, self.place):
            shutil.rmtree(found, ignore_errors=True)
            (self.place / "socket").unlink()

    def _read(self, name: str) -> str:
        try:
            return (self.place / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _give(self, descriptor: int) -> None:
        if self.account.borrowed:
            os.fchown(descriptor, self.account.uid, self.account.gid)


def locate(home: Path) -> Folder:
    """The folder of the server under a home, made if absent.

    It is `home/postgres`. For root it is below STATE when its account can't go through the home, or when the home is
    another's, who could then swap what root makes there; `home/postgres.path` says where.
    """
    home = home.absolute()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    place, owner = home / "postgres", os.geteuid()
    if owner == 0:
        place = _place_for_root(home)
    if place.is_symlink() and owner == 0:
        raise EmbeddedPostgresError(f"{place} is a link, and root doesn't follow it. Put the folder itself there.")
    if place.exists() and place.stat().st_uid != 0:
        folder = Folder(place=place, account=accounts.of(place.stat().st_uid))
        if owner not in (0, folder.account.uid):
            raise EmbeddedPostgresError(
                f"{place} belongs to {folder.account.name!r}. Start Quarterdeck as that user, or as root."
            )
        return folder
    folder = Folder(place=place, account=accounts.serving())
    place.mkdir(mode=0o700, exist_ok=True)
    os.chown(place, folder.account.uid, folder.account.gid)
    return folder


def _place_for_root(home: Path) -> Path:
    place, note = home / "postgres", home / "postgres.path"
    if note.exists():
        noted = Path(note.read_text(encoding="utf-8").strip())
        if noted.parent.parent != STATE or noted.name != "postgres" or ".." in noted.parts:
            raise EmbeddedPostgresError(f"{note} should name a folder below {STATE}, but says {str(noted)!r}.")
        noted.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        return noted
    owner = home.stat().st_uid
    if place.exists() and place.stat().st_uid != 0 and (owner == 0 or owner == place.stat().st_uid):
        return place
    if owner == 0 and accounts.serving().passes(home):
        return place
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]
    place = STATE / digest / "postgres"
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    note.write_text(f"{place}\n", encoding="utf-8")
    return place
