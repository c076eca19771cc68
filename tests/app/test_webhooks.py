"""Webhooks out: signed as the specification's own library reads it, sent again until it is taken, and none lost."""

import asyncio
import json
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, update
from standardwebhooks import Webhook, WebhookVerificationError

from quarterdeck.app import deletion, steering, telling, to_dos, turns, webhook_deliveries, webhooks
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.app.outgoing import Sender
from quarterdeck.app.webhooks import AddWebhook, EditWebhook, NewWebhook, RotateKey
from quarterdeck.core import events as e
from quarterdeck.core.access import Role
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.status import Transition
from quarterdeck.core.webhook import RETRY_SECONDS, WebhookEvent
from quarterdeck.engine.courier import Courier
from quarterdeck.store.tables import webhook_deliveries as rows
from quarterdeck.store.tables import webhooks as hooks
from tests.app import chats
from tests.app.test_forks import person
from tests.app.test_outbox import begin
from tests.conftest import Start
from tests.receiver import Receiver, receiving

ALL = tuple(WebhookEvent)


@pytest.fixture
def near(app: App) -> App:
    """A Quarterdeck that may send to this machine."""
    return replace(app, courier=Courier(private=True, mail=None, public_url=app.public_url))


async def tell(app: App) -> None:
    while await telling.tell(app):
        pass


async def hook(app: App, owner: Actor, url: str, events: tuple[WebhookEvent, ...] = ALL) -> NewWebhook:
    return await webhooks.add(app, owner, "sample", AddWebhook(url=SecretStr(url), events=events))


async def due_again(app: App) -> None:
    """What waits for its next try is due now."""
    async with app.database.transaction() as connection:
        await connection.execute(update(rows).where(rows.c.status == "waiting").values(next_at=func.now()))


def types(receiver: Receiver) -> list[str]:
    return [json.loads(one.body)["type"] for one in receiver.came]


async def test_each_status_is_sent_signed_and_in_its_order(near: App, start: Start) -> None:
    async with receiving() as receiver:
        made = await hook(near, start.owner, receiver.url)
        number = await begin(near, start)
        await turns.claim(near, number, 1, job=1)
        async with change(near, number) as it:
            it.move(Transition.START)
            it.append(e.ArtifactCreated(artifact="branch", name="fix/it", url="https://forge.example/b"))
        await steering.cancel(near, start.owner, number)
        await tell(near)
        await Sender(near).settle()
    # The claim's own steps tell that it runs.
    assert types(receiver)[:2] == ["session.active", "session.active"]
    assert types(receiver)[-2:] == ["artifact.created", "session.canceled"]
    last = receiver.came[-1]
    for one in receiver.came:
        Webhook(made.secret).verify(one.body, one.headers)
        assert (one.path, one.headers["content-type"]) == ("/hook?key=of-the-receiver", "application/json")
    with pytest.raises(WebhookVerificationError):
        Webhook(made.secret).verify(last.body.replace("canceled", "completed"), last.headers)
    said: dict[str, Any] = json.loads(last.body)
    assert (
        said["data"]["session"] | {"id": number, "status": "stopped", "project": "sample", "initiator": "ada"}
        == (said["data"]["session"])
    )
    assert said["data"]["url"] == f"{near.public_url}/sessions/{number}#e{said['data']['seq']}"
    artifact = json.loads(receiver.came[-2].body)["data"]["artifact"]
    assert artifact == {"kind": "branch", "name": "fix/it", "url": "https://forge.example/b"}
    assert len({one.headers["webhook-id"] for one in receiver.came}) == len(receiver.came)
    found = await webhook_deliveries.find(near, start.owner, "sample", made.id)
    assert {(one.status, one.attempts[0].status, len(one.attempts)) for one in found} == {("delivered", 204, 1)}
    whole = await webhook_deliveries.show(near, start.owner, "sample", made.id, found[0].id)
    assert (whole.body, whole.message_id) == (last.body, last.headers["webhook-id"])


async def test_what_fails_comes_again_with_its_id_and_before_what_is_behind_it(near: App, start: Start) -> None:
    async with receiving() as receiver:
        refused = {"session.active"}
        receiver.status = lambda one: 500 if json.loads(one.body)["type"] in refused else 200
        receiver.text = "out of order " * 1_000
        made = await hook(near, start.owner, receiver.url)
        number = await begin(near, start)
        await steering.cancel(near, start.owner, number)
        await tell(near)
        sender = Sender(near)
        await sender.settle()
        await due_again(near)
        await sender.settle()
        assert types(receiver) == ["session.active", "session.active"], "what is behind it waits"
        refused.clear()
        await due_again(near)
        await sender.settle()
    assert types(receiver) == ["session.active"] * 3 + ["session.canceled"]
    assert len({one.headers["webhook-id"] for one in receiver.came[:3]}) == 1
    first = (await webhook_deliveries.find(near, start.owner, "sample", made.id))[-1]
    assert [one.status for one in first.attempts] == [500, 500, 200]
    assert all(one.text.startswith("out of order") and len(one.text) == 1_000 for one in first.attempts)
    # By hand it goes again, and the receiver sees that it knows it.
    await webhook_deliveries.redeliver(near, start.owner, "sample", made.id, first.id)
    async with receiving() as other:
        await webhooks.edit(near, start.owner, "sample", made.id, EditWebhook(url=SecretStr(other.url)))
        await Sender(near).settle()
    assert [one.headers["webhook-id"] for one in other.came] == [receiver.came[0].headers["webhook-id"]]
    Webhook(made.secret).verify(other.came[0].body, other.came[0].headers)


async def test_after_a_day_it_is_disabled_its_maintainers_are_told_and_an_answer_mends_it(
    near: App, start: Start
) -> None:
    keeper = await person(near, "mia", Role.MAINTAINER)
    other = await person(near, "dev", Role.DEVELOPER)
    async with receiving() as receiver:
        receiver.status = lambda _: 503
        made = await hook(near, start.owner, receiver.url, (WebhookEvent.CANCELED,))
        first = await begin(near, start)
        await steering.cancel(near, start.owner, first)
        await tell(near)
        sender = Sender(near)
        for _ in range(len(RETRY_SECONDS)):
            await sender.settle()
            await due_again(near)
        assert (await to_dos.find(near, keeper)).items == []
        async with near.database.transaction() as connection:
            await connection.execute(update(hooks).values(failing_since=func.now() - timedelta(days=1)))
        await sender.settle()
        assert len(receiver.came) == len(RETRY_SECONDS) + 1
        (gave_up,) = await webhook_deliveries.find(near, start.owner, "sample", made.id)
        assert (gave_up.status, gave_up.next_at) == ("failed", None)
        shown = await webhooks.show(near, keeper, "sample", made.id)
        assert shown.enabled
        assert shown.disabled_until is not None
        (item,) = (await to_dos.find(near, keeper)).items
        assert (item.kind, item.session, item.title) == ("webhook_disabled", None, receiver.url.partition("?")[0])
        assert item.url.endswith(f"/webhooks/{made.id}")
        assert (await to_dos.find(near, other)).items == []
        second = await begin(near, start)
        await steering.cancel(near, start.owner, second)
        await tell(near)
        assert len(await webhook_deliveries.find(near, start.owner, "sample", made.id)) == 1, "it is told of nothing"
        receiver.status = lambda _: 200
        await webhook_deliveries.redeliver(near, start.owner, "sample", made.id, gave_up.id)
        await sender.settle()
    shown = await webhooks.show(near, keeper, "sample", made.id)
    assert (shown.disabled_until, shown.failing_since) == (None, None)
    assert (await to_dos.find(near, keeper)).open == 0


async def test_a_receiver_that_is_gone_is_sent_nothing_more(near: App, start: Start) -> None:
    async with receiving() as receiver:
        receiver.status = lambda _: 410
        made = await hook(near, start.owner, receiver.url)
        await webhook_deliveries.attempt(near, start.owner, "sample", made.id)
        await Sender(near).settle()
    assert not (await webhooks.show(near, start.owner, "sample", made.id)).enabled
    assert [one.type for one in await webhook_deliveries.find(near, start.owner, "sample", made.id)] == ["webhook.test"]
    with pytest.raises(ConflictError):
        await webhook_deliveries.attempt(near, start.owner, "sample", made.id)


async def test_for_a_time_both_keys_sign(near: App, start: Start) -> None:
    async with receiving() as receiver:
        old = await hook(near, start.owner, receiver.url)
        new = await webhooks.rotate(near, start.owner, "sample", old.id, RotateKey(hours=24))
        await webhook_deliveries.attempt(near, start.owner, "sample", old.id)
        await Sender(near).settle()
        newest = await webhooks.rotate(near, start.owner, "sample", old.id, RotateKey(hours=0))
        await webhook_deliveries.attempt(near, start.owner, "sample", old.id)
        await Sender(near).settle()
    both, one = receiver.came
    for secret in (old.secret, new.secret):
        Webhook(secret).verify(both.body, both.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(one.body, one.headers)
    Webhook(newest.secret).verify(one.body, one.headers)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "10.1.2.3", "169.254.169.254", "[64:ff9b::a9fe:a9fe]", "rebound.test"]
)
async def test_nothing_is_sent_to_a_private_address(
    app: App, start: Start, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        port = int(receiver.url.split(":")[2].partition("/")[0])
        loop = asyncio.get_running_loop()
        real = loop.getaddrinfo

        async def resolve(name: str, port: int, **more: Any) -> Any:
            return await real("127.0.0.1" if name == "rebound.test" else name, port, **more)

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        made = await hook(app, start.owner, f"https://{host}:{port}/")
        await webhook_deliveries.attempt(app, start.owner, "sample", made.id)
        await Sender(app).settle()
    (one,) = await webhook_deliveries.find(app, start.owner, "sample", made.id)
    assert (one.status, one.attempts[0].status, receiver.came) == ("waiting", 0, [])
    assert "QUARTERDECK_WEBHOOK_PRIVATE_ADDRESSES" in one.attempts[0].text


async def test_a_redirect_is_not_followed(near: App, start: Start) -> None:
    async with receiving() as target, receiving() as receiver:
        receiver.status = lambda _: 307
        receiver.more = f"Location: {target.url}\r\n"
        made = await hook(near, start.owner, receiver.url)
        await webhook_deliveries.attempt(near, start.owner, "sample", made.id)
        await Sender(near).settle()
    (one,) = await webhook_deliveries.find(near, start.owner, "sample", made.id)
    assert (len(receiver.came), target.came, one.status) == (1, [], "waiting")
    assert "redirect" in one.attempts[0].text


async def test_a_burst_of_a_thousand_loses_none_and_sends_each_once_to_each(near: App, start: Start) -> None:
    numbers = [await begin(near, start) for _ in range(20)]
    await tell(near)
    async with receiving() as one, receiving() as other:
        broken = iter(range(10**6))
        one.status = lambda _: 500 if next(broken) % 7 == 0 else 204
        made = [await hook(near, start.owner, receiver.url) for receiver in (one, other)]
        for number in numbers:
            async with change(near, number) as it:
                it.move(Transition.START)
                for _ in range(24):
                    it.move(Transition.PAUSE)
                    it.move(Transition.RESUME)
                it.move(Transition.STOP)
        workers = [Sender(near) for _ in range(3)]
        await asyncio.gather(*(tell(near) for _ in range(3)), *(worker.settle() for worker in workers))
        await tell(near)
        async with asyncio.timeout(300):
            while True:
                await asyncio.gather(*(worker.settle() for worker in workers))
                async with near.database.transaction() as connection:
                    waiting = select(func.count()).select_from(rows).where(rows.c.status == "waiting")
                    if not (await connection.execute(waiting)).scalar_one():
                        break
                await due_again(near)
    for receiver, webhook in zip((one, other), made, strict=True):
        taken: dict[int, list[int]] = defaultdict(list)
        ids: list[str] = []
        async with near.database.transaction() as connection:
            theirs = select(rows).where(rows.c.webhook_id == webhook.id)
            stored = {row.message_id: row for row in await connection.execute(theirs)}
        assert len(stored) == 1_000
        refused = {row.message_id: sum(said["status"] == 500 for said in row.attempts) for row in stored.values()}
        times: dict[str, int] = defaultdict(int)
        for came in receiver.came:
            message = came.headers["webhook-id"]
            times[message] += 1
            if times[message] > refused[message]:
                ids.append(message)
                said = json.loads(came.body)["data"]
                taken[said["session"]["id"]].append(said["seq"])
        assert len(ids) == len(set(ids)) == 1_000, "each is taken once"
        assert sorted(taken) == numbers
        assert all(seqs == sorted(seqs) and len(seqs) == 50 for seqs in taken.values()), "in the order of each session"


async def test_what_is_somebodys_own_and_what_is_deleted_is_told_to_nobody(near: App, start: Start) -> None:
    async with receiving() as receiver:
        made = await hook(near, start.owner, receiver.url)
        await chats.begin(near, start.owner, "Mine alone.", project="sample")
        other = await begin(near, start)
        await tell(near)
        await deletion.delete_session(near, start.owner, other)
        await Sender(near).settle()
        assert receiver.came == []
        assert await webhook_deliveries.find(near, start.owner, "sample", made.id) == []


async def test_who_may_and_what_is_taken(app: App, start: Start) -> None:
    developer = await person(app, "dev", Role.DEVELOPER)
    with pytest.raises(ForbiddenError):
        await hook(app, developer, "https://example.org/")
    for url in (
        "http://example.org/",
        "https://u:p@example.org/",
        "https:///x",
        "ftp://a/",
        "https://a/ b",
        "https://[",
    ):
        with pytest.raises(InvalidInputError):
            await hook(app, start.owner, url)
    made = await hook(app, start.owner, "https://example.org/hook?token=sesame-open-now")
    shown = await webhooks.find(app, start.owner, "sample")
    assert [one.url for one in shown] == ["https://example.org/hook"]
    assert "sesame" not in str(shown) + str(made)
    async with app.database.transaction() as connection:
        stored = (await connection.execute(select(hooks))).one()
    assert b"sesame" not in stored.secret
    assert made.secret not in str(shown)
    await webhook_deliveries.attempt(app, start.owner, "sample", made.id)
    await webhooks.edit(app, start.owner, "sample", made.id, EditWebhook(enabled=False))
    (one,) = await webhook_deliveries.find(app, start.owner, "sample", made.id)
    assert one.status == "failed"
    with pytest.raises(ConflictError):
        await webhook_deliveries.redeliver(app, start.owner, "sample", made.id, one.id)
    await webhooks.remove(app, start.owner, "sample", made.id)
    with pytest.raises(NotFoundError):
        await webhooks.show(app, start.owner, "sample", made.id)
