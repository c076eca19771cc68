"""A project's rows as the mirror of a repository at a forge: what is said there is so here, unless it is older news.

What our own token did there comes back as news, too, and changes nothing: it is known by its id or by our mark.
"""

from typing import Any, assert_never

from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from quarterdeck.app import mirrored_issues, mirrored_merge_requests, mirrored_pipelines, mirrored_talk, repositories
from quarterdeck.app.application import App
from quarterdeck.app.mirroring import Mirror
from quarterdeck.core.remote import (
    Delivery,
    Fact,
    RemoteComment,
    RemoteIssue,
    RemoteMergeRequest,
    RemotePipeline,
    RemotePush,
    RemoteVerdict,
)


async def apply(app: App, row: Row[Any], delivery: Delivery, *, quiet: bool = False) -> None:
    """Brings all that a delivery says; `quiet` starts nothing by it."""
    mirror = Mirror(app, row, delivery.actor, quiet=quiet)
    for fact in delivery.facts:
        try:
            await _fact(mirror, fact)
        except IntegrityError:  # a sync has brought the same thing at this moment: now it is known
            await _fact(mirror, fact)


async def _fact(mirror: Mirror, fact: Fact) -> None:
    match fact:
        case RemoteIssue():
            await mirrored_issues.bring(mirror, fact)
        case RemoteMergeRequest():
            await mirrored_merge_requests.bring(mirror, fact)
        case RemoteComment():
            await mirrored_talk.bring(mirror, fact)
        case RemoteVerdict():
            await mirrored_talk.decide(mirror, fact)
        case RemotePush():
            await _pushed(mirror, fact.branch)
        case RemotePipeline():
            await mirrored_pipelines.bring(mirror, fact)
        case _:
            assert_never(fact)


async def _pushed(mirror: Mirror, branch: str) -> None:
    """The branch as it is there now, whatever the delivery said of it: several may come at once, or late."""
    moved = await mirror.fetch({f"refs/heads/{branch}": branch})
    async with mirror.app.database.transaction() as connection:
        by = await mirror.by(connection)
    await repositories.pushed(mirror.app, mirror.project_id, tuple(moved), by, away=False)
