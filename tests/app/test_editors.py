"""Editors carry out the calls of the sessions that their person gives them, and of no others."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from quarterdeck.app import (
    accounts,
    editors,
    executors,
    hellos,
    leases,
    offers,
    retention,
    runners,
    session_views,
    steering,
)
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.editors import AttachedEditor, AttachEditor
from quarterdeck.app.executors import Hands
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.access import Role
from quarterdeck.core.errors import (
    ConflictError,
    FencedError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)
from quarterdeck.store.tables import runners as rows
from quarterdeck.store.tables import sessions, tokens
from tests.app.test_forks import person
from tests.app.test_reports import HELLO, asked, calls, payloads
from tests.conftest import Start

FOLDER = "/home/ada/app"


def window(instance: str = "a-window-of-the-tests") -> AttachEditor:
    return AttachEditor(kind="ide", name="VS Code", instance=instance, folder=FOLDER)


class Window:
    """An editor that has said hello."""

    def __init__(self, app: App, attached: AttachedEditor, hands: Hands) -> None:
        self.app, self.number, self.hands = app, attached.executor, hands
        self.stream = offers.stream(app, hands, attached.executor)

    async def given(self) -> list[p.Offer]:
        return calls(await anext(self.stream))


async def opened(app: App, actor: Actor, request: AttachEditor | None = None) -> Window:
    attached = await editors.attach(app, actor, request or window())
    hands = await executors.authenticate(app, attached.token)
    said = p.Hello(protocol=1, version="0", name="x", instance="i", kind="ide", capacity=4, isolation="none")
    assert (await hellos.hello(app, hands, said)).runner == attached.executor
    return Window(app, attached, hands)


async def shown(app: App, session_id: int) -> session_views.SessionView:
    async with app.database.reading() as connection:
        return await session_views.load(app, connection, session_id)


def report(blob: int) -> p.SnapshotReport:
    return p.SnapshotReport(
        step=1, commit="c" * 40, files=(), bundle_blob=blob, step_diff_blob=blob, whole_diff_blob=blob
    )


async def kept(app: App, hands: Hands, subject: str, epoch: int) -> int:
    async def body():
        yield b"bundle"

    return (await executors.write_blob(app, hands, subject, epoch, body())).blob


async def test_calls_go_to_the_editor_that_a_session_is_given_to_and_to_no_other(app: App, start: Start) -> None:
    one = await opened(app, start.owner)
    other = await opened(app, start.owner, window("another-window-here"))
    hands = await executors.authenticate(app, start.runner_token)
    runner = (await hellos.hello(app, hands, HELLO)).runner
    session_id = await asked(app, start, 1, executor=one.number)
    plain = await asked(app, start, 1)
    assert [offer.subject for offer in calls(await anext(offers.stream(app, hands, runner)))] == [f"session:{plain}"]
    assert await other.given() == []
    (offer,) = await one.given()
    assert offer.subject == f"session:{session_id}"
    log = await payloads(app, session_id)
    assert next(one for one in log if isinstance(one, e.ExecutorAssigned)).folder == FOLDER
    assert next(one for one in log if isinstance(one, e.ExecutorAttached)).executor_kind == "ide"
    view = await shown(app, session_id)
    assert view.origin == "ide"
    assert view.editor is not None
    assert (view.editor.id, view.editor.folder) == (one.number, FOLDER)
    assert {*view.pre_approved} == {"read_only_files", "read_only_gitlab"}
    async with app.database.reading() as connection:
        column = select(sessions.c.executor_id).where(sessions.c.id == session_id)
        assert (await connection.execute(column)).scalar_one() == one.number
    assert [one.name for one in await runners.find(app, start.owner)] == ["r"]
    assert [(found.id, found.sessions) for found in await editors.find(app, start.owner)] == [
        (other.number, 0), (one.number, 1),
    ]  # fmt: skip


async def test_an_editor_is_its_persons_alone(app: App, start: Start) -> None:
    mine = await opened(app, start.owner)
    dev = await person(app, "dev", Role.DEVELOPER)
    assert await editors.find(app, dev) == ()
    with pytest.raises(NotFoundError):
        await editors.forget(app, dev, mine.number)
    with pytest.raises(NotFoundError):
        await asked(app, Start(dev, "", ""), 1, executor=mine.number)
    session_id = await asked(app, start, 1)
    with pytest.raises(ForbiddenError):
        await editors.hand_over(app, dev, session_id, None)
    # A token of the server's own runner makes no editor, whatever it says of itself.
    hands = await executors.authenticate(app, start.runner_token)
    with pytest.raises(InvalidInputError):
        await hellos.hello(app, hands, HELLO.model_copy(update={"kind": "ide", "name": "sneaky"}))


async def test_a_window_that_opens_again_is_the_same_editor_with_another_token(app: App, start: Start) -> None:
    first = await editors.attach(app, start.owner, window())
    again = await editors.attach(app, start.owner, window())
    assert (again.executor, again.token == first.token) == (first.executor, False)
    with pytest.raises(UnauthenticatedError):
        await executors.authenticate(app, first.token)
    dev = await person(app, "dev", Role.DEVELOPER)
    async with app.database.transaction() as connection:
        await connection.execute(tokens.insert().values(hash=b"way in", kind="browser", user_id=dev.user_id))
    theirs = await editors.attach(app, dev, window())
    assert theirs.executor != first.executor
    await accounts.shut_out(app, start.owner, "dev")
    with pytest.raises(UnauthenticatedError):
        await executors.authenticate(app, theirs.token)
    assert await executors.authenticate(app, again.token)


async def test_what_a_folder_held_is_the_first_snapshot_and_goes_with_the_session(app: App, start: Start) -> None:
    one = await opened(app, start.owner)
    session_id = await asked(app, start, 2, executor=one.number)
    first, second = await one.given()
    blob = await kept(app, one.hands, first.subject, first.lease_epoch)
    ready = p.Prepared(lease_epoch=first.lease_epoch, base_commit=first.workspace.commit, isolation="none")
    strange = ready.model_copy(update={"start": report(blob + 1)})
    with pytest.raises(InvalidInputError):
        await executors.prepared(app, one.hands, first.subject, strange)
    for _ in range(2):
        await executors.prepared(app, one.hands, first.subject, ready.model_copy(update={"start": report(blob)}))
    taken = [one for one in await payloads(app, session_id) if isinstance(one, e.SnapshotTaken)]
    assert [(one.call_id, one.step) for one in taken] == [("", 1)]

    with pytest.raises(ConflictError, match="carrying out"):
        await editors.hand_over(app, start.owner, session_id, None)
    done: dict[str, Any] = {"turn_no": first.turn_no, "lease_epoch": first.lease_epoch, "begun": True, "text": "x"}
    for offer in (first, second):
        await executors.result(app, one.hands, offer.call_id, p.Result(outcome=e.Outcome.OK, **done))
    view = await editors.hand_over(app, start.owner, session_id, None)
    assert view.editor is None
    with pytest.raises(FencedError):
        await executors.write_blob(app, one.hands, first.subject, first.lease_epoch, _nothing())
    held = p.Held(subject=first.subject, lease_epoch=first.lease_epoch)
    beat = await executors.heartbeat(app, one.hands, p.Heartbeat(runner=one.number, held=(held,)))
    assert beat.lost == (first.subject,)
    again = await editors.hand_over(app, start.owner, session_id, one.number)
    assert again.editor is not None
    assert again.steps == 1


async def _nothing():
    for chunk in ():
        yield chunk


async def test_a_runner_goes_on_from_the_first_snapshot(app: App, start: Start) -> None:
    one = await opened(app, start.owner)
    session_id = await asked(app, start, 1, executor=one.number)
    (first,) = await one.given()
    blob = await kept(app, one.hands, first.subject, first.lease_epoch)
    ready = p.Prepared(
        lease_epoch=first.lease_epoch, base_commit=first.workspace.commit, isolation="none", start=report(blob)
    )
    await executors.prepared(app, one.hands, first.subject, ready)
    await executors.started(
        app, one.hands, first.call_id, p.Started(turn_no=first.turn_no, lease_epoch=first.lease_epoch)
    )
    await away(app, one.number)
    waits = (await shown(app, session_id)).waiting_for
    assert waits is not None
    view = await editors.hand_over(app, start.owner, session_id, None)
    assert view.editor is None
    ended = [one for one in await payloads(app, session_id) if isinstance(one, e.ToolCallFinished)]
    assert [one.outcome for one in ended] == [e.Outcome.INTERRUPTED]


async def away(app: App, editor_id: int) -> None:
    """The window was closed a while ago."""
    async with app.database.transaction() as connection:
        ago = func.now() - timedelta(seconds=2 * p.DROP_SECONDS)
        await connection.execute(update(rows).where(rows.c.id == editor_id).values(last_contact=ago))


async def test_a_session_waits_for_its_window(app: App, start: Start) -> None:
    one = await opened(app, start.owner)
    await away(app, one.number)
    session_id = await asked(app, start, 1, executor=one.number)
    waits = (await shown(app, session_id)).waiting_for
    assert waits is not None
    assert (waits.on, waits.detail) == ("editor", f"VS Code with {FOLDER}, which is not open")
    await editors.forget(app, start.owner, one.number)
    waits = (await shown(app, session_id)).waiting_for
    assert waits is not None
    assert "forgotten" in waits.detail
    await leases.expire(app)
    assert await editors.find(app, start.owner) == ()
    await editors.hand_over(app, start.owner, session_id, None)
    waits = (await shown(app, session_id)).waiting_for
    assert waits is not None
    assert waits.on == "runner"


async def test_an_editor_that_nobody_uses_is_forgotten(app: App, start: Start) -> None:
    used, unused = await opened(app, start.owner), await opened(app, start.owner, window("another-window-here"))
    await asked(app, start, 1, executor=used.number)
    now = datetime.now(UTC)
    await editors.forget_unused(app, now)
    assert len(await editors.find(app, start.owner)) == 2
    await retention.sweep(app, at=now + timedelta(days=29))
    assert len(await editors.find(app, start.owner)) == 2
    await editors.forget_unused(app, now + timedelta(days=31))
    assert [one.id for one in await editors.find(app, start.owner)] == [used.number]
    assert unused.number != used.number


async def test_a_stop_is_proved_by_the_editor(app: App, start: Start) -> None:
    one = await opened(app, start.owner)
    session_id = await asked(app, start, 1, executor=one.number)
    (offer,) = await one.given()
    await steering.cancel(app, start.owner, session_id, "")
    (cancel,) = await anext(one.stream)
    assert isinstance(cancel, p.Cancel)
    told = p.Teardown(lease_epoch=offer.lease_epoch, killed=1, left=0, duration_ms=3, method="process group")
    await executors.teardown(app, one.hands, offer.subject, told)
    assert (await shown(app, session_id)).torn_down
    with pytest.raises(ConflictError):
        await editors.hand_over(app, start.owner, session_id, None)
