"""What a person is told of their sessions, and by which channels: their rules, read and changed by themselves."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import any_, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.outside import Posted
from quarterdeck.app.webhook_urls import URL_CHARACTERS, check_url, shown
from quarterdeck.core.errors import ConflictError, InvalidInputError, UnavailableError
from quarterdeck.core.notice import CALM_SECONDS, OF_SESSIONS, Notice, NoticeKind, Rules
from quarterdeck.store import clock
from quarterdeck.store.tables import notice_rules, notices, users


@dataclass(frozen=True)
class Person:
    """Whom to tell, of what, and how."""

    user_id: int
    rules: Rules
    slack: bytes | None
    """The encrypted address."""
    email: str
    """Where messages go; empty where none do."""

    @property
    def channels(self) -> list[str]:
        """Beside the to-do list, which everybody has."""
        return ["slack"] * (self.slack is not None) + ["email"] * bool(self.email)


class ChangeNoticeRules(BaseModel):
    """What changes; what is absent stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rules: Rules | None = Field(default=None, description="In place of all before.")
    slack_url: SecretStr | None = Field(
        default=None,
        max_length=URL_CHARACTERS,
        description="An incoming webhook of Slack, or of what takes the same; stored encrypted, empty for none.",
    )
    email: bool | None = Field(default=None, description="Whether messages go to your e-mail address.")


class NoticeRulesView(BaseModel):
    """Your rules, and where messages go."""

    model_config = ConfigDict(frozen=True)
    rules: Rules
    slack: str
    """The host of your incoming webhook; empty for none."""
    email: bool
    address: str
    """Your e-mail address, which an administrator sets; empty for none."""
    mails: bool
    """Whether this server sends e-mail at all."""
    last_fault: str
    """Why the newest message that could not be sent at all could not; empty when there is none."""


class Tried(BaseModel):
    """What came of a message that was sent to try a channel."""

    model_config = ConfigDict(frozen=True)
    slack: str
    """`sent`, why not, or empty where the channel is off."""
    email: str


async def people(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Person]:
    """These people, with the rules of everybody who has none of their own; in one query."""
    rows = await connection.execute(
        select(users.c.id, users.c.email.label("address"), notice_rules)
        .outerjoin(notice_rules, notice_rules.c.user_id == users.c.id)
        .where(users.c.id == any_(literal(list(ids))))
    )
    return {row.id: Person(row.id, _rules(row.rules), row.slack, row.address if row.email else "") for row in rows}


def messages(person: Person, item: dict[str, Any], kind: NoticeKind) -> list[dict[str, Any]]:
    """The rows of one message for each channel that the person has; a question waits a moment for its answer."""
    calm = timedelta(seconds=CALM_SECONDS if kind is NoticeKind.NEEDS_INPUT else 0)
    return [item | {"channel": channel, "next_at": clock.now() + calm} for channel in person.channels]


async def show(app: App, actor: Actor) -> NoticeRulesView:
    """Those of the person who asks."""
    async with app.database.transaction() as connection:
        return await _view(app, connection, actor)


async def change(app: App, actor: Actor, request: ChangeNoticeRules) -> NoticeRulesView:
    """Tells of something else, or elsewhere, from now on.

    Raises:
        InvalidInputError: the address is none that may be sent to.
        ConflictError: e-mail is wanted, and there is no address or no mail server.
    """
    wish: dict[str, object] = {}
    if request.rules is not None:
        wish["rules"] = request.rules.model_dump(mode="json")
        if NoticeKind.WEBHOOK_DISABLED in (*request.rules.flows, *request.rules.chats):
            raise InvalidInputError(f"Rules are of {', '.join(OF_SESSIONS)}.")
    if request.slack_url is not None:
        url = request.slack_url.get_secret_value().strip()
        wish["slack"] = app.vault.encrypt(check_url(app, url)) if url else None
    if request.email is not None:
        wish["email"] = request.email
    if request.email and not app.courier.mails:
        raise ConflictError("This server sends no e-mail. An administrator can let it: QUARTERDECK_SMTP_HOST.")
    if request.email and not actor.email:
        raise ConflictError("You have no e-mail address here. An administrator can set it.")
    async with app.database.transaction() as connection:
        if wish:
            row = upsert(notice_rules).values(
                {"user_id": actor.user_id, "rules": Rules().model_dump(mode="json"), **wish}
            )
            await connection.execute(row.on_conflict_do_update(index_elements=["user_id"], set_=wish))
        return await _view(app, connection, actor)


async def attempt(app: App, actor: Actor) -> Tried:
    """Sends a message by each of your channels now, and says what came of it.

    Raises:
        ConflictError: you have none.
    """
    async with app.database.transaction() as connection:
        person = (await people(connection, [actor.user_id]))[actor.user_id]
    if not person.channels:
        raise ConflictError("You have no channel but the to-do list. Set a Slack address, or turn on e-mail.")
    url = f"{app.public_url}/settings/notifications"
    notice = Notice(NoticeKind.FINISHED, "this is only a try", "", "Messages of Quarterdeck reach you here.", url)
    found = dict[str, str]()
    for channel in person.channels:
        try:
            await deliver(app, person, channel, notice, f"try-{actor.user_id}")
            found[channel] = "sent"
        except (UnavailableError, InvalidInputError, ConflictError) as error:
            found[channel] = error.message
    return Tried(slack=found.get("slack", ""), email=found.get("email", ""))


async def deliver(app: App, person: Person, channel: str, notice: Notice, name: str) -> None:
    """Sends one message by one channel; `name` stays the same when it is sent again.

    Raises:
        UnavailableError: it may be taken later.
        InvalidInputError, ConflictError: it will never be.
    """
    if channel == "email":
        await app.courier.mail(person.email, notice.subject, notice.text, name)
        return
    if person.slack is None:
        raise ConflictError("There is no Slack address any more.")
    answer: Posted = await app.courier.post(app.vault.decrypt(person.slack), {}, json.dumps(notice.slack))
    if not 200 <= answer.status < 300:
        kind = UnavailableError if answer.status >= 500 or answer.status in (408, 429) else InvalidInputError
        raise kind(f"It answered {answer.status}: {answer.text[:200]}")


async def _view(app: App, connection: AsyncConnection, actor: Actor) -> NoticeRulesView:
    own = select(notice_rules).where(notice_rules.c.user_id == actor.user_id)
    row = (await connection.execute(own)).one_or_none()
    last = select(notices.c.status, notices.c.fault).where(
        notices.c.user_id == actor.user_id, notices.c.status.in_(("sent", "failed"))
    )
    newest = (await connection.execute(last.order_by(notices.c.id.desc()).limit(1))).one_or_none()
    return NoticeRulesView(
        rules=_rules(row.rules if row else None),
        slack=shown(app.vault.decrypt(row.slack)) if row and row.slack else "",
        email=bool(row and row.email),
        address=actor.email,
        mails=app.courier.mails,
        last_fault=newest.fault if newest and newest.status == "failed" else "",
    )


def _rules(stored: object) -> Rules:
    return Rules() if stored is None else Rules.model_validate(stored)
