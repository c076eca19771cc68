"""A session as a file: out, in again, and out the same; whatever a stranger's file says, nothing of it runs."""

import asyncio
import base64
import hashlib
import json
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from quarterdeck.app import (
    attachments,
    deletion,
    export_lines,
    exports,
    forks,
    imports,
    replays,
    session_changes,
    session_lists,
    session_log,
    sessions,
    steering,
    watch,
)
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.replays import Pace
from quarterdeck.app.session_filter import SessionFilter
from quarterdeck.app.session_views import SessionView
from quarterdeck.app.signals import EventSignal, OutputSignal
from quarterdeck.core import archive
from quarterdeck.core.errors import ForbiddenError, InvalidInputError, NotFoundError, QuarterdeckError
from quarterdeck.core.fold import fold
from quarterdeck.core.history import Said
from quarterdeck.core.redaction import Stream
from quarterdeck.core.state import SessionState
from quarterdeck.store import blobs as store_blobs
from quarterdeck.store import log
from quarterdeck.store.tables import blobs, documents, event_batches, offers, outputs, usage
from quarterdeck.store.tables import sessions as rows
from tests.app import chats
from tests.archives import DIFF, LOGS, corpus, file_of, lines, rewritten

NAMES = [path.stem for path in LOGS]
FUZZED = 40
SECRET = "ghp_" + "a1B2" * 9


async def brought(
    app: App, actor: Actor, data: bytes, project: str | None = "sample", key: str | None = None
) -> SessionView:
    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 10_000):
            yield data[start : start + 10_000]

    return await imports.bring(app, actor, body(), project=project, idempotency_key=key)


async def exported(app: App, actor: Actor, session_id: int, *, redacted: bool = False, files: bool = True) -> bytes:
    begun = await exports.begin(app, actor, session_id, redacted=redacted)
    return b"".join([piece async for piece in export_lines.lines(begun, files=files)])


def without_place(line: dict[str, Any]) -> dict[str, Any]:
    """A line without what an import sets anew."""
    payload = line.get("payload", {})
    if payload.get("kind") == "session.created":
        there = {"project_id", "initiator_id", "initiator", "origin", "retention_days", "parent_id", "forked_from"}
        there |= {"branch", "branch_commit"}
        return {**line, "payload": {name: value for name, value in payload.items() if name not in there}}
    return line


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_imported_is_exported_the_same(app: App, owner: Actor, name: str) -> None:
    """Logs of every version, with output, diffs and snapshots, and twice on one server."""
    given = file_of(corpus(name))
    session = await brought(app, owner, given)
    for _ in range(2):
        session = await brought(app, owner, given)
        again = lines(await exported(app, owner, session.id))
        theirs, ours = lines(given)[1:-1], again[1:-1]
        own = [line["payload"]["kind"] for line in ours if line.get("seq", 0) > len(corpus(name))]
        assert own[-1] == "session.imported"
        assert set(own) <= {"status.changed", "retention.changed", "session.imported"}
        kept = [line for line in ours if line.get("seq", 0) <= len(corpus(name))]
        assert [without_place(line) for line in kept] == [without_place(line) for line in theirs]
        assert again[0]["session"]["number"] == session.id

    async with app.database.transaction() as connection:
        row: Any = (await connection.execute(select(rows).where(rows.c.id == session.id))).one()
        events = await log.read(connection, session.id)
        counted = (await connection.execute(select(func.count()).select_from(usage))).scalar_one()
    assert SessionState.model_validate(row.state) == fold(events)
    assert session.status in ("stopped", "finished", "failed")
    assert session.initiator == "ada"
    assert (await session_lists.find(app, owner, SessionFilter(mine=True))).items[0].id == session.id
    assert row.expires_on >= (datetime.now(UTC) + timedelta(days=29)).date()
    assert not counted, "what was used elsewhere is billed there"


@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "files").glob("*.ndjson")), ids=lambda path: path.stem)
async def test_files_of_earlier_versions_are_imported(app: App, owner: Actor, path: Path) -> None:
    """A file is never changed; a version that writes something new adds one. The first number is the format's."""
    session = await brought(app, owner, path.read_bytes())
    assert (session.status, session.flow, session.checks_passed) == ("stopped", "fix_pipeline/1.0.0", 1)
    assert session.imported is not None
    assert session.imported.initiator == "grace"
    assert b"return -(-items // per_page)" in await session_changes.diff(app, owner, session.id)
    async with app.database.transaction() as connection:
        state = SessionState.model_validate((await connection.execute(select(rows.c.state))).scalar_one())
        assert state.bundle_blob is not None
        assert (await store_blobs.whole(connection, state.bundle_blob)).startswith(b"# v2 git bundle")


async def test_a_session_of_this_server_comes_back_whole(app: App, owner: Actor) -> None:
    """A real chat, in the middle of its work, with a secret in what was said: it is imported as stopped and private."""
    chat = await chats.begin(app, owner, "Hello")
    await chats.say(app, chat, "Hi there")
    await steering.hold(app, owner, chat, held=True, reason="evidence")
    whole = await exported(app, owner, chat)
    assert await exported(app, owner, chat) != b""
    leak = rewritten(whole, lambda line: _say(line, f"the key is {SECRET}"))
    copy = await brought(app, owner, leak, project=None)
    assert (copy.status, copy.origin, copy.project_id, copy.held) == ("stopped", "chat", None, False)
    assert "idle" in copy.reason
    events = await session_log.events(app, owner, copy.id)
    assert not any(SECRET in event.model_dump_json() for event in events)
    assert [event.kind for event in events][-3:] == ["status.changed", "session.released", "session.imported"]
    mark = events[-1].payload.model_dump(mode="json")
    assert (mark["number"], mark["initiator"], mark["by"]) == (chat, "ada", "ada")
    with pytest.raises(QuarterdeckError):
        await steering.reply(app, owner, copy.id, "go on")
    stranger = Actor(owner.user_id + 1000, "eve", "Eve", "", admin=True)
    with pytest.raises(NotFoundError):
        await exports.begin(app, stranger, copy.id, redacted=False)
    await deletion.delete_session(app, owner, copy.id)


def _say(line: dict[str, Any], text: str) -> None:
    if line.get("payload", {}).get("kind") == "model.answered":
        line["payload"]["text"] = text


PNG = b"\x89PNG\r\n\x1a\n" + bytes(300)
NOTES = b"ada wrote this\n" + (b"x" * 999 + b"\n") * 1_200


async def with_files(app: App, owner: Actor) -> int:
    """A chat with files at its start and with a message."""
    early, image, unnamed = [
        (await attachments.upload(app, owner, *one)).id
        for one in (("ada's notes.txt", NOTES), ("shot.png", PNG), ("other.txt", b"never given"))
    ]
    context = [{"category": "terminal", "content": "make: failed"}]
    chat = await chats.begin(app, owner, "Hello", attachments=[early], additional_context=context)
    await chats.say(app, chat, "Hi")
    await steering.reply(app, owner, chat, "Look", (image,))
    await chats.say(app, chat, "I see.")
    assert unnamed
    return chat


async def given_to(app: App, owner: Actor, session_id: int) -> list[tuple[str, str, str, bytes]]:
    found = [
        await attachments.read(app, owner, session_id, one.id)
        for one in await attachments.of_session(app, owner, session_id)
    ]
    assert all(view.size == len(data) for view, data in found)
    return [(view.name, view.category, view.media_type, data) for view, data in found]


async def test_files_go_with_their_session_and_a_fork_of_it_is_shown_them(app: App, owner: Actor) -> None:
    chat = await with_files(app, owner)
    theirs = await given_to(app, owner, chat)
    assert [one[:3] for one in theirs] == [
        ("ada's notes.txt", "", "text/plain"), ("shot.png", "", "image/png"), ("terminal", "terminal", "text/plain"),
    ]  # fmt: skip
    whole = await exported(app, owner, chat)
    assert not any(one["id"] > len(theirs) for line in lines(whole) for one in mentioned(line)), "no number of ours"
    copies = [(await brought(app, owner, whole, project=None)).id for _ in range(2)]
    await deletion.delete_session(app, owner, chat)
    first, second = [await exported(app, owner, one) for one in copies]
    assert await given_to(app, owner, copies[1]) == theirs
    for again in (first, second):
        kept = [without_place(line) for line in lines(again)[1:-1] if line.get("seq", 0) <= lines(whole)[0]["events"]]
        assert kept == [without_place(line) for line in lines(whole)[1:-1]]

    fork = (await forks.fork(app, owner, copies[1], forks.ForkSession(message="Go on"))).id
    for one in copies:
        await deletion.delete_session(app, owner, one)
    _, question = await chats.asked(app, fork)
    said = [one for one in question.conversation.messages if isinstance(one, Said)]
    assert "Attached file: `ada's notes.txt`" in said[0].text
    assert "make: failed" in said[0].text
    assert [image.data for one in said for image in one.images] == [PNG]


def mentioned(line: dict[str, Any]) -> list[dict[str, Any]]:
    return line.get("payload", {}).get("attachments", [])


async def test_without_files_and_without_people(app: App, owner: Actor) -> None:
    """A text loses its people; an image may show them, so it is left out. What is left out is known as such."""
    chat = await with_files(app, owner)
    bare = await exported(app, owner, chat, files=False)
    assert {one["id"] for line in lines(bare) for one in mentioned(line)} == {0}
    copy = await brought(app, owner, bare, project=None)
    assert await given_to(app, owner, copy.id) == []
    question = await chats.asked(app, (await forks.fork(app, owner, copy.id, forks.ForkSession(message="Go on"))).id)
    assert "it is not there any more" in repr(question[1].conversation.messages)

    hidden = await exported(app, owner, chat, redacted=True)
    assert b"ada" not in b"".join(
        base64.b64decode(line["data"]) for line in lines(hidden) if line["line"] == "attachment"
    )
    assert not any("ada" in one["name"] for line in lines(hidden) for one in [*mentioned(line), line] if "name" in one)
    copy = await brought(app, owner, hidden, project=None)
    files = await given_to(app, owner, copy.id)
    assert [one[0] for one in files] == ["user-1's notes.txt", "terminal"]
    assert files[0][3] == NOTES.replace(b"ada", b"user-1")
    created = (await chats.stored(app, copy.id)).created
    assert [(one.name, one.size) for one in created.attachments] == [(one[0], len(one[3])) for one in files]


async def test_files_are_what_their_bytes_say(app: App, owner: Actor) -> None:
    """Whatever the file of a stranger says of them; and a secret is taken out here as in an upload."""
    whole = await exported(app, owner, await with_files(app, owner))

    def lie(line: dict[str, Any]) -> None:
        for one in mentioned(line):
            one |= {"name": "x" * 5_000, "media_type": "text/html", "size": 1, "characters": 0}
        if line["line"] == "attachment" and line["name"] == "terminal":
            line |= piece(f"key {SECRET}".encode())

    copy = await brought(app, owner, rewritten(whole, lie), project=None)
    files = await given_to(app, owner, copy.id)
    assert [(one[0], one[2]) for one in files] == [
        ("ada's notes.txt", "text/plain"), ("shot.png", "image/png"), ("terminal", "text/plain"),
    ]  # fmt: skip
    assert files[2][3] == b"key [redacted]"
    told = [one for event in await chats.events(app, copy.id) for one in getattr(event.payload, "attachments", ())]
    assert {one.name for one in told} == {one[0] for one in files}
    assert {one.size for one in told} == {len(one[3]) for one in files}

    last = max(n for n, line in enumerate(lines(whole)) if line["line"] == "attachment")
    spoilt: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
        "no image and no text": (_of_file(piece(b"\0\1")), "neither text"),
        "a large image": (_of_file(piece(PNG + bytes(5 * 1024 * 1024))), "image may have"),
        "another hash": (_of_file({"sha256": "0" * 64}), "size and hash"),
        "a hole": (_of_file({"offset": 5}), "goes on at 0"),
        "no end": (_of_file({"size": None, "sha256": None}), "is not whole"),
        "twice": (_of_file({"attachment": 1}), "was here before"),
        "an endless name": (_of_file({"name": "x" * 300}), f"Line {last}"),
        "of nobody": (lambda line: [one.update(id=0) for one in mentioned(line)], "none of the log's"),
        "too many": (
            lambda line: mentioned(line) and line["payload"].update(attachments=mentioned(line)[:1] * 61), "too many",
        ),
    }  # fmt: skip
    answers: dict[str, str] = {}
    before = await left(app)
    for how, (spoil, _) in spoilt.items():
        try:
            await brought(app, owner, rewritten(whole, spoil), project=None)
        except InvalidInputError as error:
            answers[how] = str(error)
    assert {how: answers.get(how) for how, (_, told) in spoilt.items() if told not in answers.get(how, "")} == {}
    assert await left(app) == before


def piece(data: bytes) -> dict[str, Any]:
    """A file that is one line."""
    return {"data": base64.b64encode(data).decode(), "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _of_file(change: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    """Changes the line of the image."""
    return lambda line: line.update(change) if line.get("name") == "shot.png" else None


async def test_outputs_and_diffs_are_read_as_those_of_any_session(app: App, owner: Actor) -> None:
    session = await brought(app, owner, file_of(corpus("0.1-fix_pipeline"), output=f"key {SECRET}\n".encode() * 3))
    events = await session_log.events(app, owner, session.id)
    requested = [event.payload for event in events if event.kind == "tool_call.requested"]
    call = next(one for one in requested if getattr(one, "side", "") == "executor")
    name = str(getattr(call, "call_id", ""))
    assert name.startswith(f"{session.id}.c_")
    assert await session_log.output(app, owner, session.id, name) == b"key [redacted]\n" * 3
    assert (await session_changes.diff(app, owner, session.id)).decode() == DIFF
    assert (await session_changes.diff(app, owner, session.id, step=1)).decode() == DIFF

    bare = await exported(app, owner, session.id, files=False)
    copy = await brought(app, owner, bare)
    assert not [line for line in lines(bare) if line["line"] == "blob"]
    with pytest.raises(NotFoundError):
        await session_changes.diff(app, owner, copy.id)

    for one in (session.id, copy.id):
        await deletion.delete_session(app, owner, one)
    assert await left(app) == {}


def _nothing(_: bytes) -> bytes:
    return b""


def _event(seq: int, **change: Any) -> Callable[[bytes], bytes]:
    def change_line(line: dict[str, Any]) -> None:
        if line.get("seq") == seq:
            for name, value in change.items():
                place, _, field = name.rpartition("__")
                (line[place] if place else line)[field] = value

    return lambda data: rewritten(data, change_line)


def _leave_out(kind: str, **fields: Any) -> Callable[[bytes], bytes]:
    def leave(line: dict[str, Any]) -> None:
        if line["line"] == kind and all(line[name] == value for name, value in fields.items()):
            line.clear()

    return lambda data: rewritten(data, leave)


def _change(kind: str, **fields: Any) -> Callable[[bytes], bytes]:
    def change(line: dict[str, Any]) -> None:
        if line["line"] == kind:
            line.update(fields)

    return lambda data: rewritten(data, change)


def _swap(data: bytes) -> bytes:
    found = data.splitlines(keepends=True)
    found[4], found[5] = found[5], found[4]
    return b"".join(found)


def _turn(line: dict[str, Any]) -> None:
    if line.get("payload", {}).get("kind") == "turn.started":
        line["payload"]["turn_no"] = 2**40


_ASKED = {"kind": "approval.requested", "approval_id": "a_1", "ask": "input", "question": "?"}
FUTURE = (datetime.now(UTC) + timedelta(days=3)).isoformat()
HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (_nothing, "cut off"),
    "no JSON": (lambda data: b"hello\n" + data, "Line 1 can't be imported: it is no JSON"),
    "an array": (lambda _: b"[1]\n", "Line 1"),
    "cut between lines": (lambda data: b"".join(data.splitlines(keepends=True)[:9]), "behind line 9, without a footer"),
    "cut within a line": (lambda data: data[:-5], "cut off here"),
    "more behind the end": (lambda data: data + data, "behind the footer"),
    "a changed byte": (lambda data: data.replace(b'"seq":2,', b'"seq": 2,'), "footer doesn't fit"),
    "lines in another order": (_swap, "can't follow"),
    "a newer format": (_change("header", version=3), "version 3 of the format"),
    "another format": (_change("header", format="other"), "Line 1"),
    "a header that counts wrong": (_change("header", events=3), "not there"),
    "no flow": (_leave_out("document"), "flow of the session is missing"),
    "a broken flow": (_change("document", text="]: ["), "flow"),
    "an endless flow": (_change("document", text="#" * 1_100_000), "too long"),
    "an unknown kind": (_event(3, payload__kind="session.exploded"), "Line 5"),
    "an unknown field": (_event(3, payload__more=1), "Line 5"),
    "a newer event": (_event(3, v=9), "version 9"),
    "a gap": (_leave_out("event", seq=4), "event 5 can't follow 3"),
    "no beginning": (_leave_out("event", seq=1), "Line 3"),
    "a second beginning": (
        _event(2, payload={"kind": "session.created", "goal": "", "title": "", "flow": "f", "model": "m",
                           "scripted": True, "project_id": 1, "initiator_id": 1, "initiator": "a", "origin": "api"}),
        "does not fit",
    ),
    "an illegal transition": (
        _event(2, payload={"kind": "status.changed", "transition": "resume", "from_status": "created",
                           "to_status": "running"}),
        "Line 4",
    ),
    "an offer of no call": (_event(4, payload={"kind": "tool_call.offered", "call_ids": ["x"]}), "Line 6"),
    "the end of no delegation": (
        _event(4, payload={"kind": "delegation.ended", "call_id": "c", "component": "a"}), "Line 6",
    ),
    "a subagent without a number": (
        _event(4, payload={"kind": "delegation.started", "call_id": "c", "component": "a", "user": "u"}), "Line 6",
    ),
    "one approval twice": (lambda data: _event(3, payload=_ASKED)(_event(2, payload=_ASKED)(data)), "asked for twice"),
    "the future": (_event(3, at=FUTURE), "in the future"),
    "back in time": (_event(3, at="2001-01-01T00:00:00Z"), "before the one before it"),
    "a link that is a script": (
        _event(2, payload={"kind": "link.added", "relation": "source", "target": "issue", "name": "x",
                           "url": "javascript:alert(1)"}),
        "link that leads nowhere",
    ),
    "an endless title": (_event(2, payload={"kind": "session.renamed", "title": "x" * 9_000, "by": "a"}), "too long"),
    "not a number": (_event(2, payload={"kind": "component.left", "component": "a", "outputs": {"x": float("nan")}}),
                     "no JSON"),
    "a number beyond the table": (lambda data: rewritten(data, _turn), "be stored"),
    "deep": (_event(2, payload={"kind": "component.left", "component": "a",
                                "outputs": json.loads('{"x":' * 95 + "1" + "}" * 95)}), "nests deeper"),
    "bottomless": (lambda _: b'{"a":' * 100_000 + b"\n", "no JSON"),
    "output of no call": (_change("output", call_id="c_none"), "no call of the log"),
    "output with a hole": (_change("output", offset=5), "goes on at 0"),
    "output that is no base64": (_change("output", data="%"), "no base64"),
    "a blob that is no base64": (_change("blob", data="%"), "no base64"),
    "a blob of nobody": (_change("blob", blob=99), "none of the log's"),
    "a blob with a hole": (_change("blob", offset=5), "goes on at 0"),
    "a blob of another hash": (_change("blob", sha256="0" * 64), "size and hash"),
    "a missing blob": (_leave_out("blob", blob=2), "blob 2 is missing"),
    "a blob without an end": (_change("blob", size=None, sha256=None), "is missing"),
}  # fmt: skip


async def left(app: App) -> dict[str, int]:
    """What there is of sessions, by table."""
    counts: dict[str, int] = {}
    async with app.database.transaction() as connection:
        for table in (rows, event_batches, outputs, blobs, documents, offers):
            count = select(func.count()).select_from(table)
            if table is offers:
                count = count.where(
                    offers.c.session_id.is_not(None)
                )  # the sample project's pipeline waits for a runner
            counts[table.name] = (await connection.execute(count)).scalar_one()
    return {name: count for name, count in counts.items() if count}


async def test_a_file_that_is_wrong_is_refused_with_its_line_and_leaves_nothing(app: App, owner: Actor) -> None:
    """Each of the files in turn; the answer says what is wrong, and it is never a fault of the server's."""
    good = file_of(corpus("0.1-fix_pipeline"))
    answers: dict[str, str] = {}
    for how, (change, _) in HOSTILE.items():
        try:
            await brought(app, owner, change(good))
        except InvalidInputError as error:
            answers[how] = str(error)
    assert {
        how: answers.get(how, "imported") for how, (_, told) in HOSTILE.items() if told not in answers.get(how, "")
    } == {}
    assert await left(app) == {}


async def test_whatever_a_file_says_it_is_refused_in_words_or_can_be_read(app: App, owner: Actor) -> None:
    """Values of a good file replaced by others, by chance: what is taken is shown, watched and exported like any."""
    chance = random.Random(4)
    good = {name: file_of(corpus(name)) for name in NAMES}
    values = [
        None,
        "",
        "x",
        0,
        -1,
        2**70,
        1.5,
        True,
        [],
        {},
        ["x"],
        {"x": "y"},
        "c_1",
        "\u0000\ud800",
        "running",
        "1.c_1",
    ]
    taken = 0
    for _ in range(FUZZED):
        name = chance.choice(NAMES)
        chosen = {chance.randrange(2, len(corpus(name))) for _ in range(2)}

        def spoil(line: dict[str, Any], chosen: set[int] = chosen) -> None:
            if line.get("seq") in chosen:
                inside = chance.choice([line, line["payload"], line["payload"]])
                inside[chance.choice([one for one in inside if one not in ("line", "kind")])] = chance.choice(values)

        try:
            session = await brought(app, owner, rewritten(good[name], spoil))
        except InvalidInputError:
            continue
        taken += 1
        assert (await sessions.show(app, owner, session.id)).status in ("stopped", "finished", "failed")
        events = [one async for found in await watch.session(app, owner, session.id, after=0) for one in found.signals]
        assert len(events) >= session.seq
        again = await exported(app, owner, session.id)
        assert (await brought(app, owner, again)).status == session.status
        assert await exported(app, owner, session.id, redacted=True)
    assert 0 < taken < FUZZED


async def test_a_log_that_comes_to_too_large_a_state_is_refused(app: App, owner: Actor) -> None:
    """Each event is small enough; what is kept of them together is not."""
    events = corpus("0.1-fix_pipeline")[:3]
    more: list[dict[str, Any]] = [
        {"line": "event", "seq": 4 + n, "at": events[-1].at.isoformat(), "level": "full", "v": 1,
         "payload": {"kind": "component.left", "component": f"c{n}", "outputs": {"x": "y" * 60_000}}}
        for n in range(200)
    ]  # fmt: skip

    def add(line: dict[str, Any]) -> None:
        if line["line"] == "header":
            line["events"] += len(more)

    data = rewritten(file_of(events), add)
    body = b"".join([*data.splitlines(keepends=True)[:-1], *(json.dumps(one).encode() + b"\n" for one in more)])
    with pytest.raises(InvalidInputError, match="larger state"):
        await brought(app, owner, rewritten(body + b"{}\n", lambda _: None))


async def test_the_same_key_makes_one_session_whatever_comes_first(app: App, owner: Actor) -> None:
    given = file_of(corpus("0.2-plan"))
    made = await asyncio.gather(*(brought(app, owner, given, key="k") for _ in range(3)))
    assert len({one.id for one in made}) == 1
    again = await brought(app, owner, b"what was cut off on its way", key="k")
    assert again.id == made[0].id
    assert (await chats.begin(app, owner)) != (await brought(app, owner, given, key="other")).id
    async with app.database.transaction() as connection:
        assert (await connection.execute(select(func.count()).where(rows.c.origin == "import"))).scalar_one() == 2


async def test_others_are_served_while_long_lines_come_in(
    app: App, owner: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a long line is read, looked through for secrets or put into the log on the loop."""
    inside: list[str] = []

    def off(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def told(*given: Any) -> Any:
            if len(repr(given)) > imports.PATIENCE_BYTES:
                inside.append(name)
                with pytest.raises(RuntimeError, match="no running event loop"):
                    asyncio.get_running_loop()
            return work(*given)

        return told

    parsed, weighed = archive.Reader.line, imports.redacted
    monkeypatch.setattr(archive.Reader, "line", off("line", parsed))
    monkeypatch.setattr(imports, "redacted", off("redacted", weighed))
    monkeypatch.setattr(Stream, "feed", off("feed", Stream.feed))
    text = "x" * 2 * imports.PATIENCE_BYTES

    def lengthen(line: dict[str, Any]) -> None:
        if line.get("payload", {}).get("kind") == "model.answered":
            line["payload"]["text"] = text

    long = rewritten(file_of(corpus("0.1-fix_pipeline"), output=text.encode(), diff=text), lengthen)
    session = await brought(app, owner, long)
    assert {"line", "redacted", "feed"} <= set(inside)
    assert text in repr(await chats.events(app, session.id))


async def test_who_may_import_where(app: App, owner: Actor) -> None:
    given = file_of(corpus("0.1-fix_pipeline"))
    with pytest.raises(InvalidInputError, match="which project"):
        await brought(app, owner, given, project=None)
    stranger = Actor(owner.user_id + 1000, "eve", "Eve", "", admin=False)
    with pytest.raises((NotFoundError, ForbiddenError)):
        await brought(app, stranger, given)
    with pytest.raises(NotFoundError):
        await brought(app, owner, given, project="nowhere")


async def test_what_had_no_project_needs_none_and_is_its_importers_alone(app: App, owner: Actor) -> None:
    def alone(line: dict[str, Any]) -> None:
        if line.get("seq") == 1:
            line["payload"] |= {"project_id": None, "origin": "external"}

    session = await brought(app, owner, rewritten(file_of(corpus("0.1-fix_pipeline")), alone), project=None)
    assert (await sessions.show(app, owner, session.id)).project_path == ""
    stranger = Actor(owner.user_id + 1000, "eve", "Eve", "", admin=False)
    with pytest.raises(NotFoundError):
        await sessions.show(app, stranger, session.id)
    again = await exported(app, owner, session.id)
    assert (await brought(app, owner, again, project=None)).status == session.status
    assert (await brought(app, owner, again)).project_path == "sample"


async def test_a_redacted_export_names_nobody_and_no_place(app: App, owner: Actor) -> None:
    """Planted in every part: in what is said, in arguments, in output, in diffs, in the names of runners."""
    planted = ["ada", "lovelace", "ci.acme.zz", "10.1.2.3", "fe80::99", "grace@navy.mil", "build-box-9", "sample"]
    sentence = (
        "ada (Lovelace) saw https://ci.acme.zz:1/x, 10.1.2.3, fe80::99, grace@navy.mil in /home/ada on build-box-9"
    )

    def plant(line: dict[str, Any]) -> None:
        payload = line.get("payload", {})
        for name in ("goal", "text", "thinking", "reason", "by"):
            if name in payload:
                payload[name] = "lovelace" if name == "by" else sentence
        if "args" in payload:
            payload["args"] = {sentence: [sentence, {"deep": sentence}]}
        if "executor" in payload and payload["executor"] != "server":
            payload["executor"] = "build-box-9"

    given = rewritten(
        file_of(corpus("0.1-fix_pipeline"), output=f"{sentence}\n".encode() * 2, diff=f"{DIFF}+{sentence}\n"), plant
    )
    session = await brought(app, owner, given)
    clear = await exported(app, owner, session.id)
    assert all(word.encode() in clear for word in ("ci.acme.zz", "build-box-9"))
    hidden = await exported(app, owner, session.id, redacted=True)
    said = json.dumps([_readable(line) for line in lines(hidden)]).lower()
    assert [word for word in planted if word in said] == []
    assert "user-1" in said
    snapshots = [line["payload"] for line in lines(hidden) if line.get("payload", {}).get("kind") == "snapshot.taken"]
    assert {one["bundle_blob"] for one in snapshots} == {0}, "a snapshot can't be redacted"
    assert all(one["step_diff_blob"] for one in snapshots)
    copy = await brought(app, owner, hidden)
    assert copy.status == session.status


def _readable(line: dict[str, Any]) -> dict[str, Any]:
    if "data" in line:
        return {**line, "data": base64.b64decode(line["data"]).decode()}
    return line


async def test_a_replay_keeps_the_pace_and_cuts_silences(
    app: App, owner: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await brought(app, owner, file_of(corpus("0.1-fix_pipeline")))
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    events = await session_log.events(app, owner, session.id)

    async def play(speed: float, longest: float, after: int = 0) -> list[Any]:
        slept.clear()
        heard = replays.replay(app, owner, session.id, after=after, pace=Pace(speed, longest))
        return [one for signals in [found async for found in heard] for one in signals]

    quick = await play(0, 2)
    assert [one.event for one in quick if isinstance(one, EventSignal)] == events
    assert not slept
    ended = [i for i, one in enumerate(quick) if isinstance(one, OutputSignal)]
    assert ended, "what calls printed is there, right before their ends"
    assert all(quick[i + 1].event.kind == "tool_call.finished" for i in ended)
    assert await play(2, 0.5) == quick
    assert max(slept) == 0.5
    gaps = [(b.at - a.at).total_seconds() / 2 for a, b in pairwise(events)]
    assert sum(slept) == pytest.approx(sum(min(gap, 0.5) for gap in gaps))
    rest = await play(0, 2, after=100)
    assert next(one.event.seq for one in rest if isinstance(one, EventSignal)) == 101
    await play(1e-9, 40)
    assert max(slept) == replays.KEEPALIVE_SECONDS
