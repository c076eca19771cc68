"""Issues of a forge as issues here."""

from typing import Any

from sqlalchemy import Row, delete, func, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import occurrences
from quarterdeck.app.comments import TEXT_CHARACTERS
from quarterdeck.app.issues import LABEL_CHARACTERS, LABELS, TITLE_CHARACTERS
from quarterdeck.app.mirroring import Mirror, address
from quarterdeck.core.remote import RemoteIssue, unmarked
from quarterdeck.core.text import clean, cut, line
from quarterdeck.core.trigger import EventType
from quarterdeck.store.tables import issue_assignees, issues


async def bring(mirror: Mirror, fact: RemoteIssue) -> None:
    """Makes the issue here what it is there; older news than what is known changes nothing."""
    async with mirror.app.database.transaction() as connection:
        found = await mirror.find(connection, issues, "issue", str(fact.number), fact.description, fact.author)
        if found is None:
            await _make(mirror, connection, fact)
            return
        if found.external_updated_at is not None and fact.updated_at < found.external_updated_at:
            return
        values: dict[str, Any] = {
            "external_id": str(fact.number),
            "external_url": address(fact.url),
            "external_updated_at": fact.updated_at,
        }
        ours_first = await mirror.waits(connection, "issue", found.id)
        if not ours_first:
            values |= _words(fact) | await _status(mirror, connection, fact, found)
        await connection.execute(update(issues).where(issues.c.id == found.id).values(values))
        if not ours_first:
            named = await _assign(mirror, connection, found.id, fact.assignees)
            place = await mirror.place(connection, issues, found.id)
            if place is not None and values.get("status") == "closed":
                await occurrences.moved(mirror.app, connection, place, "closed")
            if place is not None:
                await occurrences.assigned(mirror.app, connection, place, EventType.ASSIGN, named)


async def _make(mirror: Mirror, connection: AsyncConnection, fact: RemoteIssue) -> None:
    number = await mirror.number(connection, "issue", fact.number)
    values = {
        "project_id": mirror.project_id,
        "iid": number,
        "status": fact.status,
        "created_at": fact.created_at,
        "updated_at": fact.updated_at,
        "closed_at": fact.updated_at if fact.status == "closed" else None,
        "external_id": str(fact.number),
        "external_url": address(fact.url),
        "external_updated_at": fact.updated_at,
        **_words(fact),
        **await mirror.author(connection, fact.author),
    }
    made = (await connection.execute(insert(issues).values(values).returning(issues.c.id))).scalar_one()
    named = await _assign(mirror, connection, made, fact.assignees)
    place = await mirror.place(connection, issues, made)
    if place is not None and fact.status == "opened":
        await occurrences.moved(mirror.app, connection, place, "created")
        text = f"{place.row.title}\n\n{place.row.description}"
        await occurrences.said(mirror.app, connection, place, text, "description")
        await occurrences.assigned(mirror.app, connection, place, EventType.ASSIGN, named)


def _words(fact: RemoteIssue) -> dict[str, Any]:
    labels = {line(clean(one), LABEL_CHARACTERS).replace(",", " ") for one in fact.labels}
    return {
        "title": line(clean(fact.title), TITLE_CHARACTERS) or "(no title)",
        "description": cut(unmarked(clean(fact.description)), TEXT_CHARACTERS),
        "labels": sorted(one for one in labels if one)[:LABELS],
        "updated_at": fact.updated_at,
    }


async def _status(mirror: Mirror, connection: AsyncConnection, fact: RemoteIssue, found: Row[Any]) -> dict[str, Any]:
    if fact.status == found.status:
        return {}
    if fact.status == "opened":
        return {"status": "opened", "closed_by_id": None, "closed_reason": "", "closed_at": None}
    known = await mirror.people(connection, [mirror.actor.login] if mirror.actor else [])
    closer = next(iter(known.values()), None)
    return {"status": "closed", "closed_by_id": closer, "closed_reason": "", "closed_at": func.now()}


async def _assign(mirror: Mirror, connection: AsyncConnection, issue_id: int, logins: tuple[str, ...]) -> list[int]:
    """Those who are members here, the others have no place to be named in; answers who was not named before."""
    ids = sorted((await mirror.people(connection, logins)).values())
    of = issue_assignees.c
    await connection.execute(delete(issue_assignees).where(of.issue_id == issue_id, of.user_id.not_in(ids)))
    if ids:
        rows = [{"issue_id": issue_id, "user_id": one} for one in ids]
        made = upsert(issue_assignees).on_conflict_do_nothing().returning(of.user_id)
        return list((await connection.execute(made, rows)).scalars())
    return []
