"""A backup has every row and every commit, and a restore makes all of it or nothing."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import zstandard
from psycopg import sql

from quarterdeck import backup, server, supervisor
from quarterdeck.app import executors, hellos, offers, people, projects
from quarterdeck.app.application import App
from quarterdeck.backup import file as files
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.answer import RequestedCall
from quarterdeck.core.errors import ConflictError, InvalidInputError, QuarterdeckError, VersionMismatchError
from quarterdeck.settings import Settings
from quarterdeck.store import schema
from quarterdeck.store.vault import KEY_FILE
from tests.app.chats import begin, events, say, stored
from tests.archives import corpus
from tests.conftest import Start, empty_database
from tests.store.test_upgrade import STORED, before, keep, upgrade_to

HELLO = p.Hello(protocol=p.PROTOCOL_VERSION, version="0", name="r", capacity=4, isolation="none")
COMMAND = RequestedCall("p1", "run_command", {"command": "sleep 60"})
ENDED = {"event_batches", "leases", "offers", "pipeline_jobs", "procrastinate_events", "procrastinate_jobs",
         "runners", "search_pieces", "sessions", "tokens"}  # fmt: skip
"""The tables in which the end of two leases shows: a call's in the log and in a turn, a job's in its next attempt; the
keys of their workspaces are gone."""


def settings_of(home: Path, url: str) -> Settings:
    return Settings.model_validate({"home": home, "DATABASE_URL": url})


def rows(url: str) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        query = sql.SQL("select t::text from {} t order by 1")
        return {name: [row for (row,) in connection.execute(query.format(sql.Identifier(name)))] for (name,) in tables}


@pytest.fixture
async def busy(app: App, start: Start) -> int:
    """A Quarterdeck with something in many tables: the session's call runs, another session waits for a person."""
    hands = await executors.authenticate(app, start.runner_token)
    runner = (await hellos.hello(app, hands, HELLO)).runner
    waits = await begin(app, start.owner, project="sample", pre_approved=[])
    await say(app, waits, "May I?", COMMAND)
    session_id = await begin(app, start.owner, project="sample", pre_approved=["run_commands"])
    await say(app, session_id, "I do: \\N \t é \\.", COMMAND)
    stream = offers.stream(app, hands, runner)
    offer = next(
        one for one in await anext(stream) if isinstance(one, p.Offer) and one.subject == f"session:{session_id}"
    )
    await stream.aclose()
    await executors.started(app, hands, offer.call_id, p.Started(turn_no=offer.turn_no, lease_epoch=offer.lease_epoch))
    await executors.output(app, hands, offer.call_id, offer.lease_epoch, 0, bytes(range(256)) * 40_000)
    await projects.add(app, start.owner, projects.AddProject(path="bare"))
    app.vault.encrypt("a secret")
    return session_id


async def test_every_row_and_commit_comes_back_and_sessions_in_flight_go_on(
    app: App, start: Start, busy: int, home: Path, empty_url: str, tmp_path: Path
) -> None:
    taken = await backup.take(settings_of(home, app.database.url), tmp_path / "all", with_secrets=True)
    assert taken.file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["all"]
    settings = settings_of(tmp_path / "other", empty_url)
    restored = await backup.restore(settings, taken.file)
    assert (restored.repositories, restored.interrupted, restored.key) == (2, 2, True), "a session and a job"
    assert (settings.home / KEY_FILE).read_bytes() == (home / KEY_FILE).read_bytes()
    assert {one.name for one in settings.home.iterdir()} == {"repositories", KEY_FILE, "serve.lock"}
    before, after = rows(app.database.url), rows(empty_url)
    assert {name for name in before if before[name] != after[name]} == ENDED
    assert len(set(before["sessions"]) - set(after["sessions"])) == 1
    assert set(after["tokens"]) < set(before["tokens"])
    gone = set(before["tokens"]) - set(after["tokens"])
    assert all(",workspace," in row for row in gone), "the keys of the two leases, and no other"
    assert set(before["event_batches"]) < set(after["event_batches"])
    with pytest.raises(backup.NotEmptyError):
        await backup.restore(settings, taken.file)
    assert rows(empty_url) == after

    again = server.assemble(settings, empty_url)
    try:
        last = (await events(again, busy))[-1].payload
        assert isinstance(last, e.ToolCallFinished)
        assert (last.outcome, "backup" in last.text) == (e.Outcome.INTERRUPTED, True)
        assert (await stored(again, busy)).wants_turn
        for project in (1, 2):
            assert await again.forge.branches(project) == await app.forge.branches(project)
        assert await again.forge.read(1, "HEAD", "README.md") == await app.forge.read(1, "HEAD", "README.md")
        hands = await executors.authenticate(again, start.runner_token)
        held = HELLO.model_copy(update={"subjects": (f"session:{busy}", "session:99")})
        assert set((await hellos.hello(again, hands, held)).wipe) == set(held.subjects), "later work is wiped"
        actor = await people.authenticate(again, start.token, "api")
        assert (await projects.add(again, actor, projects.AddProject(path="new"))).id == 3
        assert again.vault.decrypt(app.vault.encrypt("another")) == "another"
    finally:
        await again.database.close()


async def test_a_backup_of_an_earlier_version_is_brought_to_this_one(
    postgres: str, home: Path, empty_url: str, tmp_path: Path
) -> None:
    with empty_database(postgres) as old:
        upgrade_to(old, before("0014"))
        with psycopg.connect(old) as connection:
            connection.execute("insert into users (username, name) values ('ada', 'Ada')")
            for number, row in enumerate(map(json.loads, STORED), 1):
                keep(connection, number, row["state"], corpus(row["log"])[: row["seq"]])
        taken = await backup.take(settings_of(home, old), tmp_path / "old", with_secrets=False)
    settings = settings_of(tmp_path / "other", empty_url)
    await backup.restore(settings, taken.file)
    with psycopg.connect(empty_url) as connection:
        [(step,)] = connection.execute("select version_num from alembic_version").fetchall()
    assert step == schema.steps()[-1]
    again = server.assemble(settings, empty_url)
    for number in range(1, len(STORED) + 1):
        await stored(again, number)  # the row is what the log comes to
    await again.database.close()


async def test_a_backup_without_secrets_has_no_key_and_is_written_once(
    app: App, busy: int, home: Path, empty_url: str, tmp_path: Path
) -> None:
    settings, file = settings_of(home, app.database.url), tmp_path / "file"
    await backup.take(settings, file, with_secrets=False)
    with file.open("rb") as stream:
        assert files.SECRETS not in {kind for kind, _, pieces in files.sections(stream) if list(pieces)}
    with pytest.raises(ConflictError):
        await backup.take(settings, file, with_secrets=False)
    with pytest.raises(InvalidInputError):
        await backup.take(settings, tmp_path / "no" / "file", with_secrets=False)
    with pytest.raises(QuarterdeckError, match="nothing in this database"):
        await backup.take(settings_of(home, empty_url), tmp_path / "nothing", with_secrets=False)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def held(file: bytes) -> bytes | None:
    """What a file holds once it is decompressed; None if it can't be."""
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(file)
    except zstandard.ZstdError:
        return None


async def test_what_is_no_whole_backup_touches_nothing(
    app: App, busy: int, home: Path, empty_url: str, tmp_path: Path
) -> None:
    file, settings = tmp_path / "file", settings_of(tmp_path / "other", empty_url)
    await backup.take(settings_of(home, app.database.url), file, with_secrets=False)
    whole = file.read_bytes()
    for at in range(0, len(whole), len(whole) // 7 + 1):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            if held(damaged) == held(whole):
                continue  # a bit of the compression that says nothing
            file.write_bytes(damaged)
            with pytest.raises(backup.BackupFileError):
                await backup.restore(settings, file)
    file.write_bytes(written("9999"))
    with pytest.raises(VersionMismatchError, match=r"Install 9\.9 or a newer"):
        await backup.restore(settings, file)
    assert not settings.home.exists()
    assert set(rows(empty_url)) == set()


async def test_a_restore_that_fails_or_is_cut_off_leaves_nothing_in_the_way(
    app: App, busy: int, home: Path, empty_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, settings = tmp_path / "file", settings_of(tmp_path / "other", empty_url)
    await backup.take(settings_of(home, app.database.url), file, with_secrets=True)
    with file.open("rb") as stream:
        head, contents = files.verified(stream)
        spoilt = tmp_path / "spoilt"
        with spoilt.open("wb") as target, files.writing(target) as writer:
            writer.head(head)
            for kind, name, pieces in files.sections(stream):
                for number, piece in enumerate(pieces):
                    writer.put(f"{kind}/{name}/{number}" if name else kind, piece)
            writer.put("repositories/2/0", b"no bundle")
            forms = {number: form.model_copy(update={"empty": False}) for number, form in contents.repositories.items()}
            writer.contents(contents.sequences, forms)
    with pytest.raises(InvalidInputError, match=r"2\.git can't be made"):
        await backup.restore(settings, spoilt)
    assert [one.name for one in settings.home.iterdir()] == ["serve.lock"]
    assert set(rows(empty_url)) == set()

    mark = settings.home / supervisor.UNFINISHED
    mark.write_text("of another")
    (settings.home / "repositories" / "1.git").mkdir(parents=True)  # as a kill leaves it
    assert supervisor.serve(settings) == 1
    assert "qd restore" in capsys.readouterr().err
    await backup.restore(settings, file)
    assert not mark.exists()
    mark.write_text(contents.sha256)  # as a kill behind the commit leaves it
    after = rows(empty_url)
    await backup.restore(settings, file)
    assert not mark.exists()
    assert rows(empty_url) == after


def written(step: str) -> bytes:
    """A backup of a Quarterdeck that is to come."""
    target = io.BytesIO()
    with files.writing(target) as writer:
        writer.head(files.Head(version="9.9", step=step, at=datetime.now(UTC), tables=()))
        writer.contents({}, {})
    return target.getvalue()
