"""What happens in a project, told to its triggers: in the transaction of the happening, so none is lost or made up.

Nothing that a session or a service account did comes here to anything: what starts itself would never end.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import Project
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.project_accounts import mentioned
from quarterdeck.core.trigger import (
    ADDRESSED,
    PAYLOAD_BYTES,
    EventType,
    Occurrence,
    Subject,
    SubjectKind,
    fits,
)
from quarterdeck.core.trigger_filter import holds, read
from quarterdeck.store.tables import deliveries, members, merge_requests, projects, triggers, users

FOLLOW_UP = "follow_up"
"""The action of a comment on a merge request that a triggered session made: it starts nothing new."""
_LEFT_OUT = "[too large to be kept]"


@dataclass(frozen=True)
class Place:
    """Where something happened: the issue or merge request, and by whom."""

    project: Project
    actor: Actor
    kind: SubjectKind
    row: Row[Any]
    session_id: int | None
    """The session that did it."""


async def happened(app: App, connection: AsyncConnection, occurrence: Occurrence) -> bool:
    """Writes a delivery for each of the project's triggers that it fits, has them delivered, and answers if any did."""
    mine = (
        triggers.c.project_id == occurrence.project_id,
        triggers.c.enabled,
        func.jsonb_exists(triggers.c.events, occurrence.type.value),
    )
    query = select(triggers).where(*mine)
    if occurrence.type in ADDRESSED:
        query = query.where(triggers.c.account_id.in_(occurrence.account_ids))
    found = (await connection.execute(query)).all()
    rows = [row_of(occurrence, one) for one in found if _wants(one, occurrence)]
    await keep(app, connection, occurrence.project_id, rows)
    return bool(rows)


def _wants(trigger: Row[Any], occurrence: Occurrence) -> bool:
    wanted = {EventType(name): tuple(actions) for name, actions in trigger.events.items()}
    return fits(wanted, occurrence.type, occurrence.action) and holds(read(trigger.filter), occurrence.payload)


def row_of(occurrence: Occurrence, trigger: Row[Any]) -> dict[str, Any]:
    """The delivery of an occurrence by a trigger; its owner's where nobody did it."""
    return {
        "trigger_id": trigger.id,
        "project_id": occurrence.project_id,
        "event": occurrence.type.value,
        "action": occurrence.action,
        "key": occurrence.key,
        "user_id": occurrence.user_id or trigger.owner_id,
        "payload": bounded(dict(occurrence.payload)),
        "text": occurrence.text,
        "about": occurrence.subject.model_dump(mode="json") if occurrence.subject else None,
    }


def bounded(payload: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The payload with its largest parts left out, and then fields as a whole, until it is small enough to be kept."""
    over = len(json.dumps(payload)) - PAYLOAD_BYTES
    if over <= 0:
        return payload
    kept, sizes = dict(payload), {name: len(json.dumps(value)) for name, value in payload.items()}
    for name in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        if over <= 0 or sizes[name] <= len(_LEFT_OUT) + 2:
            break
        kept[name], over = _LEFT_OUT, over - sizes[name] + len(_LEFT_OUT) + 2
    for name in sorted(kept, key=len, reverse=True):
        if over <= 0:
            break
        over -= len(json.dumps({name: kept.pop(name)}))
    return kept


async def keep(app: App, connection: AsyncConnection, project_id: int, rows: Sequence[dict[str, Any]]) -> list[int]:
    """Writes deliveries that are not there yet, has them delivered, and answers their numbers.

    What looks like a secret in them is not kept: payloads come from elsewhere, and maintainers look at them.
    """
    if not rows:
        return []
    made = upsert(deliveries).on_conflict_do_nothing().returning(deliveries.c.id)
    safe = [
        {**row, "payload": app.redactor.value(row["payload"]), "text": app.redactor.text(row["text"])} for row in rows
    ]
    ids = list((await connection.execute(made, safe)).scalars())
    if ids:
        await app.dispatch.deliveries(connection, project_id, None)
    return ids


def _told(actor: Actor, session_id: int | None) -> bool:
    """Whether somebody did it who may start something: a person, by themselves."""
    return session_id is None and actor.account is None


async def said(app: App, connection: AsyncConnection, place: Place, text: str, key: str) -> None:
    """Somebody said something on it, or described it: who is mentioned hears of it."""
    if not _told(place.actor, place.session_id):
        return
    ids = await _accounts(connection, place.project.id, mentioned(text))
    occurrence = _occurrence(app, place, EventType.MENTION, key, text=text, account_ids=ids)
    note: dict[str, JsonValue] = {"note": text, "noteable_type": "Issue" if place.kind == "issue" else "MergeRequest"}
    if ids and await happened(app, connection, replace(occurrence, payload=_payload(app, place, "note", note))):
        return
    if place.kind == "merge_request" and place.row.session_id is not None:
        await _follow_up(app, connection, place, occurrence)


async def _follow_up(app: App, connection: AsyncConnection, place: Place, occurrence: Occurrence) -> None:
    """What is said on a merge request goes to the session that made it, if a trigger started that."""
    started = select(deliveries.c.trigger_id).where(deliveries.c.session_id == place.row.session_id)
    started = started.where(deliveries.c.status == "started")
    query = select(triggers).where(triggers.c.id.in_(started), triggers.c.enabled)
    row = (await connection.execute(query)).one_or_none()
    if row is not None:
        await keep(app, connection, place.project.id, [row_of(replace(occurrence, action=FOLLOW_UP), row)])


async def assigned(
    app: App, connection: AsyncConnection, place: Place, type_: EventType, user_ids: Sequence[int]
) -> None:
    """These were assigned to it, or asked to review it, who were not before."""
    if not user_ids or not _told(place.actor, place.session_id):
        return
    query = select(users.c.id).where(users.c.id.in_(user_ids), users.c.service_project_id == place.project.id)
    if ids := tuple((await connection.execute(query)).scalars()):
        occurrence = _occurrence(app, place, type_, secrets.token_hex(8), account_ids=ids)
        payload = _payload(app, place, place.kind, {"action": "update"})
        await happened(app, connection, replace(occurrence, payload=payload))


async def moved(app: App, connection: AsyncConnection, place: Place, action: str) -> None:
    """An issue was created or closed; a merge request is ready, approved or merged."""
    if not _told(place.actor, place.session_id):
        return
    type_ = EventType.WORK_ITEM if place.kind == "issue" else EventType.MERGE_REQUEST
    occurrence = _occurrence(app, place, type_, secrets.token_hex(8))
    payload = _payload(app, place, place.kind, {"action": action})
    await happened(app, connection, replace(occurrence, action=action, payload=payload))


async def pushed(
    app: App, connection: AsyncConnection, project: Project | Row[Any], actor: Actor, sha: str, before: str
) -> None:
    """The default branch was moved by a person, who pushed to it or merged into it."""
    if not _told(actor, None):
        return
    payload: dict[str, JsonValue] = {
        "object_kind": "push",
        "ref": f"refs/heads/{project.default_branch}",
        "before": before,
        "after": sha,
        "checkout_sha": sha,
        "user_username": actor.username,
        "project": _project(app, project.id, project.path, project.default_branch),
    }
    await happened(
        app,
        connection,
        Occurrence(
            project.id, EventType.PUSH, f"push:{sha}:{secrets.token_hex(4)}", user_id=actor.user_id, payload=payload
        ),
    )


async def pipeline_came_to(app: App, connection: AsyncConnection, pipeline: Row[Any], status: str) -> None:
    """A pipeline runs, or has ended; those of what sessions pushed start nothing."""
    if pipeline.session_id is not None:
        return
    mine = triggers.c.project_id == pipeline.project_id, triggers.c.enabled
    waits = select(triggers.c.id).where(*mine, func.jsonb_exists(triggers.c.events, EventType.PIPELINE.value)).limit(1)
    if (await connection.execute(waits)).first() is None:  # most projects: they pay this one small query
        return
    project = (await connection.execute(select(projects).where(projects.c.id == pipeline.project_id))).one()
    url = f"{app.public_url}/pipelines/{pipeline.id}"
    opened = select(merge_requests).where(
        merge_requests.c.project_id == project.id,
        merge_requests.c.source_branch == pipeline.ref,
        merge_requests.c.status == "opened",
    )
    request = (await connection.execute(opened.limit(1))).one_or_none()
    attributes: dict[str, JsonValue] = {
        "id": pipeline.id, "ref": pipeline.ref, "sha": pipeline.sha, "source": pipeline.source, "status": status,
        "url": url,
    }  # fmt: skip
    payload: dict[str, JsonValue] = {
        "object_kind": "pipeline",
        "object_attributes": attributes,
        "merge_request": None if request is None else _merge_request(request),
        "project": _project(app, project.id, project.path, project.default_branch),
    }
    subject = Subject(kind="pipeline", id=pipeline.id, number=pipeline.id, url=url)
    await happened(
        app,
        connection,
        Occurrence(
            project.id,
            EventType.PIPELINE,
            f"pipeline:{pipeline.id}:{status}:{secrets.token_hex(4)}",
            action=status,
            user_id=pipeline.user_id,
            subject=subject,
            payload=payload,
        ),
    )


def _occurrence(
    app: App, place: Place, type_: EventType, key: str, *, text: str = "", account_ids: tuple[int, ...] = ()
) -> Occurrence:
    word = "issues" if place.kind == "issue" else "merge_requests"
    url = f"{app.public_url}/projects/{place.project.id}/{word}/{place.row.iid}"
    subject = Subject(kind=place.kind, id=place.row.id, number=place.row.iid, url=url)
    return Occurrence(
        place.project.id,
        type_,
        f"{place.kind}:{place.row.id}:{type_}:{key}",
        user_id=place.actor.user_id,
        account_ids=account_ids,
        subject=subject,
        text=text,
    )


def _payload(app: App, place: Place, kind: str, attributes: dict[str, JsonValue]) -> dict[str, JsonValue]:
    thing = _issue(place.row) if place.kind == "issue" else _merge_request(place.row)
    user: JsonValue = {"id": place.actor.user_id, "username": place.actor.username, "name": place.actor.name}
    own: dict[str, JsonValue] = attributes if kind == "note" else {**thing, **attributes}
    project = place.project
    return {
        "object_kind": kind,
        "user": user,
        "project": _project(app, project.id, project.path, project.default_branch),
        "object_attributes": own,
        place.kind: thing,
    }


def _project(app: App, project_id: int, path: str, default_branch: str) -> dict[str, JsonValue]:
    return {
        "id": project_id,
        "path_with_namespace": path,
        "default_branch": default_branch,
        "web_url": f"{app.public_url}/projects/{project_id}",
    }


def _issue(row: Row[Any]) -> dict[str, JsonValue]:
    return {
        "id": row.id, "iid": row.iid, "title": row.title, "description": row.description, "state": row.status,
        "labels": [{"title": label} for label in row.labels],
    }  # fmt: skip


def _merge_request(row: Row[Any]) -> dict[str, JsonValue]:
    return {
        "id": row.id, "iid": row.iid, "title": row.title, "description": row.description, "state": row.status,
        "source_branch": row.source_branch, "target_branch": row.target_branch,
    }  # fmt: skip


async def _accounts(connection: AsyncConnection, project_id: int, usernames: Sequence[str]) -> tuple[int, ...]:
    """The project's service accounts of these names, whatever the case of their letters."""
    if not usernames:
        return ()
    query = select(users.c.id, users.c.username).join(members, members.c.user_id == users.c.id)
    query = query.where(users.c.service_project_id == project_id, members.c.project_id == project_id)
    wanted = {name.lower() for name in usernames}
    return tuple(row.id for row in await connection.execute(query) if row.username.lower() in wanted)
