"""Merge or pull requests of a forge as merge requests here."""

from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import occurrences
from quarterdeck.app.assignees import Part
from quarterdeck.app.comments import TEXT_CHARACTERS
from quarterdeck.app.merge_requests import TITLE_CHARACTERS, end
from quarterdeck.app.mirroring import Mirror, address
from quarterdeck.app.occurrences import Place
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.limits import REF_CHARACTERS
from quarterdeck.core.remote import RemoteMergeRequest, unmarked
from quarterdeck.core.text import clean, cut, line
from quarterdeck.core.trigger import EventType
from quarterdeck.store.tables import merge_request_people, merge_requests


async def bring(mirror: Mirror, fact: RemoteMergeRequest) -> None:
    """Makes the merge request here what it is there, with its branch; older news changes nothing."""
    if fact.status == "opened":
        await _fetch(mirror, fact)
    async with mirror.app.database.transaction() as connection:
        found = await _find(mirror, connection, fact)
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
        ours_first = await mirror.waits(connection, "merge_request", found.id)
        if not ours_first:
            values |= _words(fact)
        if fact.status == "opened" and found.status != "opened":
            values |= {"status": "opened", "ended_at": None, "merge_commit": None}
        await connection.execute(update(merge_requests).where(merge_requests.c.id == found.id).values(values))
        if fact.status != "opened" and found.status == "opened":
            await end(connection, mirror.app, found, fact.status, _merged(fact))
        named = {} if ours_first else await _name(mirror, connection, found.id, fact)
        if (place := await mirror.place(connection, merge_requests, found.id)) is not None:
            if fact.status == "merged" and found.status == "opened":
                await occurrences.moved(mirror.app, connection, place, "merged")
            if fact.ready:
                await occurrences.moved(mirror.app, connection, place, "ready")
            await _tell(mirror, connection, place, named)


async def _fetch(mirror: Mirror, fact: RemoteMergeRequest) -> None:
    """Its commits, unless they are here; those of a fork come from where the forge keeps them."""
    try:
        await mirror.app.forge.commit_of(mirror.project_id, fact.head)
    except NotFoundError:
        source = fact.source_ref or f"refs/heads/{fact.source_branch}"
        await mirror.fetch({source: fact.source_branch})
        return
    if fact.source_ref is not None:
        await mirror.fetch({fact.source_ref: fact.source_branch})


async def _find(mirror: Mirror, connection: AsyncConnection, fact: RemoteMergeRequest) -> Row[Any] | None:
    """By its number there, by our mark, or by the branches of one that was opened here and is not known there yet."""
    table, text = merge_requests, fact.description
    found = await mirror.find(connection, table, "merge_request", str(fact.number), text, fact.author)
    if found is not None or fact.source_ref is not None:
        return found
    query = select(table).where(
        table.c.project_id == mirror.project_id,
        table.c.source_branch == fact.source_branch,
        table.c.target_branch == fact.target_branch,
        table.c.status == "opened",
        table.c.external_id.is_(None),
    )
    return (await connection.execute(query.with_for_update(key_share=True).limit(1))).one_or_none()


async def _make(mirror: Mirror, connection: AsyncConnection, fact: RemoteMergeRequest) -> None:
    number = await mirror.number(connection, "merge_request", fact.number)
    values = {
        "project_id": mirror.project_id,
        "iid": number,
        "source_branch": fact.source_branch[:REF_CHARACTERS],
        "status": fact.status,
        "created_at": fact.created_at,
        "ended_at": fact.updated_at if fact.status != "opened" else None,
        "merge_commit": _merged(fact),
        "external_id": str(fact.number),
        "external_url": address(fact.url),
        "external_updated_at": fact.updated_at,
        **_words(fact),
        **await mirror.author(connection, fact.author),
    }
    made = await connection.execute(insert(merge_requests).values(values).returning(merge_requests.c.id))
    row_id = made.scalar_one()
    named = await _name(mirror, connection, row_id, fact)
    place = await mirror.place(connection, merge_requests, row_id)
    if place is not None and fact.status == "opened":
        if not fact.draft:
            await occurrences.moved(mirror.app, connection, place, "ready")
        text = f"{place.row.title}\n\n{place.row.description}"
        await occurrences.said(mirror.app, connection, place, text, "description")
        await _tell(mirror, connection, place, named)


async def _tell(mirror: Mirror, connection: AsyncConnection, place: Place, named: dict[Part, list[int]]) -> None:
    assignees, reviewers = named.get("assignee", []), named.get("reviewer", [])
    await occurrences.assigned(mirror.app, connection, place, EventType.ASSIGN, assignees)
    await occurrences.assigned(mirror.app, connection, place, EventType.ASSIGN_REVIEWER, reviewers)


def _words(fact: RemoteMergeRequest) -> dict[str, Any]:
    return {
        "title": line(clean(fact.title), TITLE_CHARACTERS) or "(no title)",
        "description": cut(unmarked(clean(fact.description)), TEXT_CHARACTERS),
        "target_branch": fact.target_branch[:REF_CHARACTERS],
    }


def _merged(fact: RemoteMergeRequest) -> str | None:
    return fact.merge_commit if fact.status == "merged" else None


async def _name(
    mirror: Mirror, connection: AsyncConnection, merge_request_id: int, fact: RemoteMergeRequest
) -> dict[Part, list[int]]:
    """Its assignees and reviewers who are members here, whoever gave a verdict stays one; answers who is new."""
    of, fresh = merge_request_people.c, dict[Part, list[int]]()
    parts: tuple[tuple[Part, tuple[str, ...]], ...] = (("assignee", fact.assignees), ("reviewer", fact.reviewers))
    for part, logins in parts:
        ids = sorted((await mirror.people(connection, logins)).values())
        mine = of.merge_request_id == merge_request_id, of.part == part
        gone = delete(merge_request_people).where(*mine, of.user_id.not_in(ids), of.verdict.is_(None))
        await connection.execute(gone)
        if ids:
            rows = [{"merge_request_id": merge_request_id, "user_id": one, "part": part} for one in ids]
            made = upsert(merge_request_people).on_conflict_do_nothing().returning(of.user_id)
            fresh[part] = list((await connection.execute(made, rows)).scalars())
    return fresh
