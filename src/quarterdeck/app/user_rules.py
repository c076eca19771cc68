"""What a person wants of every session that they start: a text, given to its agents as rules."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.text import clean
from quarterdeck.store.tables import user_rules

RULES_CHARACTERS = 16_384


class SetRules(BaseModel):
    """New rules, in place of all that there were."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    text: str = Field(max_length=RULES_CHARACTERS, description="Plain text or Markdown; empty for none.")


class RulesText(BaseModel):
    """A person's rules."""

    model_config = ConfigDict(frozen=True)
    text: str
    changed_at: datetime | None = None


async def show(app: App, actor: Actor) -> RulesText:
    """Those of the person who asks."""
    async with app.database.transaction() as connection:
        return await of(connection, actor)


async def change(app: App, actor: Actor, request: SetRules) -> RulesText:
    """Only sessions that start from now on are given them; what looks like a secret is not stored."""
    text = app.redactor.text(clean(request.text)).strip()
    async with app.database.transaction() as connection:
        if not text:
            await connection.execute(delete(user_rules).where(user_rules.c.user_id == actor.user_id))
        else:
            row = upsert(user_rules).values(user_id=actor.user_id, text=text)
            put = row.on_conflict_do_update(index_elements=["user_id"], set_={"text": text, "changed_at": func.now()})
            await connection.execute(put)
        return await of(connection, actor)


async def of(connection: AsyncConnection, actor: Actor) -> RulesText:
    """The rules within a transaction that is open already."""
    found = await connection.execute(
        select(user_rules.c.text, user_rules.c.changed_at).where(user_rules.c.user_id == actor.user_id)
    )
    row = found.one_or_none()
    return RulesText(text=row.text, changed_at=row.changed_at) if row else RulesText(text="")
