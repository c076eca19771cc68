"""What people have to do and are told of: one message for each event, none for what is over, by real mail and HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from pydantic import SecretStr
from sqlalchemy import func, select, update

from quarterdeck.app import notice_rules, steering, to_dos, turns
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.app.notice_rules import ChangeNoticeRules
from quarterdeck.app.outgoing import Sender
from quarterdeck.core.errors import ConflictError, InvalidInputError, NotFoundError
from quarterdeck.core.notice import NoticeKind, Rules
from quarterdeck.core.status import Transition
from quarterdeck.engine.courier import Courier, MailServer, Security
from quarterdeck.store.tables import notices
from tests.app import chats
from tests.app.test_forks import person
from tests.app.test_outbox import begin
from tests.app.test_webhooks import tell
from tests.conftest import Start
from tests.receiver import receiving

PASSWORD = "of-the-mail-server"
EVERYTHING = Rules(flows=tuple(NoticeKind)[:5], chats=())


@dataclass
class Mailbox:
    """A mail server that keeps what comes, and refuses whom a test says."""

    port: int = 0
    came: list[str] = field(default_factory=list[str])
    refuses: str = ""
    busy: bool = False

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if address == self.refuses:
            return "550 unknown"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.busy:
            return "451 later"
        assert isinstance(envelope.content, bytes)
        assert session.authenticated
        self.came.append(envelope.content.decode())
        return "250 OK"


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    def known(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        return AuthResult(success=given.password.decode() == PASSWORD, handled=False)

    made = Mailbox()
    loop = asyncio.get_running_loop()
    serve = partial(SMTP, made, authenticator=known, auth_require_tls=False, loop=loop)
    async with await loop.create_server(serve, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


def mailing(app: App, mailbox: Mailbox, *, password: str = PASSWORD, security: Security = "none") -> App:
    server = MailServer("127.0.0.1", mailbox.port, security, "quarterdeck", SecretStr(password), "qd@example.org")
    return replace(app, courier=Courier(private=True, mail=server, public_url=app.public_url))


async def due_now(app: App) -> None:
    async with app.database.transaction() as connection:
        await connection.execute(update(notices).where(notices.c.status == "waiting").values(next_at=func.now()))


async def ask(app: App, number: int) -> int:
    """Lets the session ask its person; the event that says so."""
    async with change(app, number) as it:
        it.move(Transition.REQUIRE_PLAN_APPROVAL)
        return it.state.seq


async def fates(app: App) -> list[tuple[str, str, str]]:
    async with app.database.transaction() as connection:
        rows = await connection.execute(select(notices).order_by(notices.c.id))
        return [(row.kind, row.channel, row.status) for row in rows]


async def running(app: App, start: Start) -> int:
    number = await begin(app, start)
    await turns.claim(app, number, 1, job=1)
    async with change(app, number) as it:
        it.move(Transition.START)
    return number


async def test_a_question_is_to_do_until_it_is_answered_and_what_failed_until_it_is_seen(
    app: App, start: Start
) -> None:
    number = await running(app, start)
    seq = await ask(app, number)
    await tell(app)
    (item,) = (await to_dos.find(app, start.owner)).items
    assert (item.kind, item.session, item.seq, item.status) == ("needs_input", number, seq, "plan_approval_required")
    assert item.url == f"{app.public_url}/sessions/{number}#e{seq}"
    async with change(app, number) as it:
        it.move(Transition.RESUME)
    await tell(app)
    assert (await to_dos.find(app, start.owner)).open == 0
    done = await to_dos.find(app, start.owner, done=True)
    assert [one.id for one in done.items] == [item.id]
    async with change(app, number) as it:
        it.move(Transition.DROP, reason="the model is gone")
    await tell(app)
    (failed,) = (await to_dos.find(app, start.owner)).items
    assert failed.kind == "failed"
    other = await person(app, "eve", None)
    with pytest.raises(NotFoundError):
        await to_dos.finish(app, other, failed.id)
    assert (await to_dos.find(app, other)).items == []
    assert await to_dos.finish(app, start.owner, failed.id) == 1
    assert await to_dos.finish(app, start.owner, None) == 0


async def test_only_pauses_by_the_server_are_told_and_a_spent_budget_by_its_name(app: App, start: Start) -> None:
    mine, spent, away = [await running(app, start) for _ in range(3)]
    await steering.pause(app, start.owner, mine)
    for number, reason in ((spent, "The budget of $1 is spent ($1, 2 tokens)."), (away, "No answer for 20 minutes.")):
        async with change(app, number) as it:
            it.move(Transition.PAUSE, reason=reason)
    await tell(app)
    found = {one.session: one.kind for one in (await to_dos.find(app, start.owner)).items}
    assert found == {spent: "over_budget", away: "paused"}


async def test_chats_are_quiet_and_children_tell_only_what_a_person_has_to_do(app: App, start: Start) -> None:
    await notice_rules.change(app, start.owner, ChangeNoticeRules(rules=EVERYTHING))
    chat = await chats.begin(app, start.owner, "hello", project="sample")
    child, own = [await running(app, start) for _ in range(2)]
    async with app.database.transaction() as connection:
        await connection.exec_driver_sql("update sessions set parent_id = %s where id = %s", (own, child))
    for number in (chat, child, own):
        async with change(app, number) as it:
            it.move(Transition.DROP, reason="gone")
    await tell(app)
    assert [one.session for one in (await to_dos.find(app, start.owner)).items] == [own]


async def test_slack_gets_one_message_of_each_event_and_none_of_what_was_answered(app: App, start: Start) -> None:
    near = replace(app, courier=Courier(private=True, mail=None, public_url=app.public_url))
    async with receiving() as slack:
        slack.text = "ok"
        slack.status = lambda _: 200
        wish = ChangeNoticeRules(rules=EVERYTHING, slack_url=SecretStr(slack.url))
        shown = await notice_rules.change(near, start.owner, wish)
        assert "of-the-receiver" not in str(shown)
        quick, slow = [await running(near, start) for _ in range(2)]
        seqs = [await ask(near, number) for number in (quick, slow)]
        async with near.database.transaction() as connection:
            await connection.exec_driver_sql(
                "update sessions set title = '<!channel> @all [a](https://evil.example) & `x`' where id = %s", (slow,)
            )
        await tell(near)
        sender = Sender(near)
        await sender.settle()
        assert slack.came == [], "who sits before it answers sooner"
        async with change(near, quick) as it:
            it.move(Transition.RESUME)
        await tell(near)
        await due_now(near)
        await asyncio.gather(sender.settle(), Sender(near).settle())
        assert len(slack.came) == 1
        assert await fates(near) == [("needs_input", "slack", "dropped"), ("needs_input", "slack", "sent")]
        body: dict[str, Any] = json.loads(slack.came[0].body)
        text = body["blocks"][0]["text"]["text"]
        assert f"<{near.public_url}/sessions/{slow}#e{seqs[1]}|#{slow} &lt;!channel&gt; @\u200ball [a] (http" in text
        assert "Plan approval required." in text
        assert body["text"].startswith(f"Needs you: #{slow} &lt;!channel&gt;")
        # It is answered before the outbox was looked at: what the row says counts.
        again = await ask(near, quick)
        await tell(near)
        async with change(near, quick) as it:
            it.move(Transition.RESUME)
        await due_now(near)
        await sender.settle()
        assert (await fates(near))[-1] == ("needs_input", "slack", "dropped"), again
        # Busy receivers are asked again, those that refuse are not.
        slack.status = lambda _: 503
        async with change(near, quick) as it:
            it.move(Transition.FINISH)
        await tell(near)
        await sender.settle()
        slack.status = lambda _: 200
        await due_now(near)
        await sender.settle()
        assert (await fates(near))[-1] == ("finished", "slack", "sent")
        assert len(slack.came) == 3
        slack.status, slack.text = (lambda _: 404), "no_service"
        async with change(near, slow) as it:
            it.move(Transition.STOP)
        other = await running(near, start)
        async with change(near, other) as it:
            it.move(Transition.DROP, reason="gone")
        await tell(near)
        await sender.settle()
        assert (await fates(near))[-1] == ("failed", "slack", "failed")
        assert "404: no_service" in (await notice_rules.show(near, start.owner)).last_fault


async def owner_with_mail(app: App, start: Start, address: str = "ada@example.org") -> Actor:
    async with app.database.transaction() as connection:
        await connection.exec_driver_sql("update users set email = %s where id = %s", (address, start.owner.user_id))
    return replace(start.owner, email=address)


async def test_mail_comes_as_mail_and_never_twice(app: App, start: Start, mailbox: Mailbox) -> None:
    app = mailing(app, mailbox)
    with pytest.raises(ConflictError):
        await notice_rules.change(app, start.owner, ChangeNoticeRules(email=True))
    owner = await owner_with_mail(app, start)
    await notice_rules.change(app, owner, ChangeNoticeRules(email=True))
    assert (await notice_rules.attempt(app, owner)).email == "sent"
    number = await running(app, start)
    async with change(app, number) as it:
        it.move(Transition.DROP, reason="The model is gone.")
    async with app.database.transaction() as connection:
        await connection.exec_driver_sql("update sessions set title = %s where id = %s", ("é\r\nBcc: x@y.z", number))
    mailbox.busy = True
    await tell(app)
    sender = Sender(app)
    await sender.settle()
    mailbox.busy = False
    await due_now(app)
    await asyncio.gather(sender.settle(), Sender(app).settle())
    _, mail = mailbox.came
    assert await fates(app) == [("failed", "email", "sent")]
    head, _, text = mail.replace("\r\n", "\n").partition("\n\n")
    assert "To: ada@example.org\nDate:" in head
    assert "From: qd@example.org" in head
    assert "Auto-Submitted: auto-generated" in head
    assert "\nBcc:" not in head
    assert f"{app.public_url}/sessions/{number}#e" in text.replace("=\n", "").replace("=3D", "=")


async def test_a_mail_server_that_cannot_be_used_says_why_and_nothing_of_its_password(
    app: App, start: Start, mailbox: Mailbox
) -> None:
    owner = await owner_with_mail(app, start)
    for other, words in (
        (mailing(app, mailbox, password="another"), "refuses the server's own username"),
        (mailing(app, mailbox, security="starttls"), "can't be reached"),
        (mailing(app, Mailbox(port=1)), "can't be reached"),
    ):
        await notice_rules.change(other, owner, ChangeNoticeRules(email=True))
        said = (await notice_rules.attempt(other, owner)).email
        assert words in said
        assert "another" not in said
    mailbox.refuses = "ada@example.org"
    assert "refuses the address" in (await notice_rules.attempt(mailing(app, mailbox), owner)).email
    assert mailbox.came == []
    assert not app.courier.mails
    with pytest.raises(ConflictError):
        await notice_rules.change(app, owner, ChangeNoticeRules(email=True))


async def test_rules_are_of_what_there_is(app: App, start: Start) -> None:
    with pytest.raises(InvalidInputError):
        await notice_rules.change(
            app, start.owner, ChangeNoticeRules(rules=Rules(flows=(NoticeKind.WEBHOOK_DISABLED,)))
        )
    with pytest.raises(InvalidInputError):
        await notice_rules.change(app, start.owner, ChangeNoticeRules(slack_url=SecretStr("http://slack.example/")))
    with pytest.raises(ConflictError):
        await notice_rules.attempt(app, start.owner)


async def test_whoever_looks_at_the_list_is_told(app: App, start: Start) -> None:
    seen = to_dos.changes(app, start.owner)
    assert await anext(seen) == 0
    number = await running(app, start)
    await ask(app, number)
    await tell(app)
    async with asyncio.timeout(60):
        assert await anext(seen) == 1
        await steering.cancel(app, start.owner, number)
        await tell(app)
        assert await anext(seen) == 0
    await seen.aclose()
