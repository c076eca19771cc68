"""PostgreSQL's data folder: made whole or not at all, and what the server is told when it starts on it."""

import os
import re
import shutil

from quarterdeck.store.embedded.binaries import Binaries
from quarterdeck.store.embedded.fault import DataVersionError, EmbeddedPostgresError, reason
from quarterdeck.store.embedded.folder import SOCKET, Folder
from quarterdeck.store.embedded.process import works_in

# Written into postgresql.conf once, for a small machine; the owner may change them there.
SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "min_wal_size": "32MB",
    "wal_compression": "on",
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# The role owns its database and may make others (tests copy theirs), but is no superuser.
FIRST_COMMANDS = "CREATE ROLE quarterdeck LOGIN CREATEDB\nCREATE DATABASE quarterdeck OWNER quarterdeck\n"


def prepare(folder: Folder, binaries: Binaries) -> list[str]:
    """Make the data folder if absent, clear what a dead server left, and give the command that starts one.

    Needs the lock. DataVersionError for data of another major version.
    """
    if folder.data.exists():
        _check_version(folder, binaries)
        _clear(folder)
    else:
        _make(folder, binaries)
    # By the peer's account, which the kernel vouches for: no password to keep, and none to lose.
    access = folder.write("pg_hba.conf", "local all all peer map=quarterdeck\n")
    names = "".join(
        f'quarterdeck "{name}" {role}\n'
        for name in sorted({"root", folder.account.name})
        for role in ("quarterdeck", "postgres")
    )
    identities = folder.write("pg_ident.conf", names)
    settings = {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": str(folder.make_socket()),
        "unix_socket_permissions": "0700",
        "hba_file": str(access),
        "ident_file": str(identities),
        "logging_collector": "off",
        "log_destination": "stderr",
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return [str(binaries.postgres), "-D", str(folder.data), *words]


def _make(folder: Folder, binaries: Binaries) -> None:
    new = folder.place / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    options = ["--username=postgres", "--auth-local=peer", "--auth-host=reject", "--no-instructions"]
    options += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options += [f"--set={name}={value}" for name, value in SETTINGS.items()]
    alone = [binaries.postgres, "--single", "-c", "exit_on_error=on", "-D", new, "postgres"]
    for command, typed in (([binaries.initdb, "-D", new, *options], ""), (alone, FIRST_COMMANDS)):
        told = folder.account.call(command, typed=typed)
        if told.returncode != 0:
            shutil.rmtree(new, ignore_errors=True)
            why = reason(told.stderr) or f"it ended with status {told.returncode}"
            raise EmbeddedPostgresError(
                f"PostgreSQL could not make its data folder in {folder.place}: {why}. Nothing was left there. "
                "Cure that and start again, or give a server of your own by DATABASE_URL."
            )
    new.rename(folder.data)
    descriptor = os.open(folder.place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_version(folder: Folder, binaries: Binaries) -> None:
    written = (folder.data / "PG_VERSION").read_text(encoding="utf-8").strip()
    if written != binaries.major:
        raise DataVersionError(
            f"The data in {folder.data} was written by PostgreSQL {written}, and this Quarterdeck brings "
            f"{binaries.major}. It was not touched. Either start the Quarterdeck that wrote it; or move the data: with "
            f"PostgreSQL {written}, `pg_dump` the database quarterdeck, move {folder.data} away, start Quarterdeck "
            "once, stop it, and restore the dump; or give an upgraded server by DATABASE_URL."
        )


def _clear(folder: Folder) -> None:
    """Remove the pid and socket files of a dead server, whatever they say: with our lock held, none of ours lives.

    PostgreSQL itself would refuse a half-written one, and one with the number of an unrelated process.
    """
    note = folder.data / "postmaster.pid"
    if note.exists():
        number = re.match(r"\d{1,9}\b", note.read_text(encoding="utf-8", errors="replace"))
        if number and works_in(int(number[0]), folder.data):
            raise EmbeddedPostgresError(
                f"A PostgreSQL that Quarterdeck didn't start (process {number[0]}) works in {folder.data}. "
                f"Stop it first: pg_ctl stop -D {folder.data}"
            )
        note.unlink()
    if (socket := folder.socket()) is not None:
        (socket / SOCKET).unlink(missing_ok=True)
        (socket / f"{SOCKET}.lock").unlink(missing_ok=True)
