"""Sessions as doors show them."""

import base64
import json
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import Row, Select, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.core.budget import Budget
from quarterdeck.core.errors import InvalidInputError, NotFoundError
from quarterdeck.core.events import PlanItem
from quarterdeck.core.state import ArtifactRef, LinkRef, SessionState, Waiting
from quarterdeck.core.status import GROUPS, Status, StatusGroup
from quarterdeck.core.usage import Usage
from quarterdeck.store.tables import members, projects, sessions


class CallView(BaseModel):
    """A tool call that a person is asked about."""

    model_config = ConfigDict(frozen=True)
    call_id: str
    tool: str
    args: dict[str, JsonValue]


class ApprovalView(BaseModel):
    """An open question."""

    model_config = ConfigDict(frozen=True)
    id: str
    ask: Literal["tool_call", "plan", "input"]
    question: str
    calls: tuple[CallView, ...]


class SessionView(BaseModel):
    """A session's row and where it stands."""

    model_config = ConfigDict(frozen=True)
    id: int
    project_id: int | None
    project_path: str
    title: str
    goal: str
    flow: str
    model: str
    scripted: bool
    initiator: str
    origin: str
    agent: str
    parent_id: int | None
    privileges: tuple[str, ...] | None
    pre_approved: tuple[str, ...]
    may_ask: bool
    component_models: dict[str, str]
    status: Status
    status_group: StatusGroup
    reason: str
    waiting_for: Waiting | None
    turn_no: int
    seq: int
    component: str
    plan: tuple[PlanItem, ...]
    approvals: tuple[ApprovalView, ...]
    artifacts: tuple[ArtifactRef, ...]
    links: tuple[LinkRef, ...]
    merge_request: str | None
    branch: str
    ref: str
    base_commit: str
    isolation: str
    executor: str
    steps: int
    torn_down: bool
    usage: Usage
    budget: Budget | None
    warnings: int
    errors: int
    checks_passed: int
    checks_failed: int
    held: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    last_activity: datetime
    expires_on: date | None
    url: str


class Page(BaseModel):
    """Some sessions; `next` is the cursor of the page behind, None at the end."""

    model_config = ConfigDict(frozen=True)
    items: tuple[SessionView, ...]
    next: str | None


Shown = Select[int, Any, datetime, str]
"""A query of sessions as views need them: id, state, last activity, the project's path."""

_SHOWN: Shown = select(sessions.c.id, sessions.c.state, sessions.c.last_activity, projects.c.path).outerjoin(
    projects, projects.c.id == sessions.c.project_id
)


async def load(app: App, connection: AsyncConnection, session_id: int) -> SessionView:
    """One session, as this transaction sees it. Raises NotFoundError."""
    row = (await connection.execute(_SHOWN.where(sessions.c.id == session_id))).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no session #{session_id}.")
    return _view(app, row)


def visible(actor: Actor) -> Shown:
    """All sessions that `actor` may see; chats and IDE sessions only for their initiator."""
    query = _SHOWN
    mine = sessions.c.initiator_id == actor.user_id
    if actor.admin:
        return query.where(or_(mine, sessions.c.origin.not_in(("chat", "ide"))))
    developed = select(members.c.project_id).where(
        members.c.user_id == actor.user_id, members.c.role >= LEAST_ROLE[Ability.READ_SESSION]
    )
    return query.where(or_(mine, sessions.c.project_id.in_(developed) & sessions.c.origin.not_in(("chat", "ide"))))


async def page(
    app: App,
    connection: AsyncConnection,
    query: Shown,
    *,
    before: str | None,
    limit: int,
) -> Page:
    """One page of `query`, newest activity first, by keyset."""
    key = tuple_(sessions.c.last_activity, sessions.c.id)
    if before is not None:
        query = query.where(key < tuple_(*_cursor(before)))
    query = query.order_by(sessions.c.last_activity.desc(), sessions.c.id.desc()).limit(limit + 1)
    rows = (await connection.execute(query)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    following = None
    if last is not None:
        following = base64.urlsafe_b64encode(json.dumps([last.last_activity.isoformat(), last.id]).encode()).decode()
    return Page(items=tuple(_view(app, row) for row in rows[:limit]), next=following)


def _cursor(text: str) -> tuple[datetime, int]:
    try:
        at, session_id = json.loads(base64.urlsafe_b64decode(text))
        return datetime.fromisoformat(at), int(session_id)
    except (ValueError, TypeError):
        raise InvalidInputError("That is not a cursor of this list; take `next` of an earlier page.") from None


def _view(app: App, row: Row[int, Any, datetime, str]) -> SessionView:
    state = SessionState.model_validate(row.state)
    created = state.created
    return SessionView(
        id=row.id,
        project_id=created.project_id,
        project_path=row.path or "",
        title=state.title,
        goal=created.goal,
        flow=created.flow,
        model=created.model,
        scripted=created.scripted,
        initiator=created.initiator,
        origin=created.origin,
        agent=created.agent,
        parent_id=created.parent_id,
        privileges=created.privileges,
        pre_approved=created.pre_approved,
        may_ask=created.may_ask,
        component_models=created.component_models,
        status=state.status,
        status_group=GROUPS[state.status],
        reason=state.reason,
        waiting_for=state.waiting,
        turn_no=state.turn_no,
        seq=state.seq,
        component=state.component,
        plan=state.plan,
        approvals=tuple(_approval(state, approval_id) for approval_id in state.approvals),
        artifacts=state.artifacts,
        links=state.links,
        merge_request=next((a.name for a in reversed(state.artifacts) if a.artifact == "merge_request"), None),
        branch=created.branch,
        ref=created.ref,
        base_commit=state.base_commit or created.commit,
        isolation=state.isolation,
        executor=state.executor,
        steps=state.step,
        torn_down=state.torn_down,
        usage=state.usage,
        budget=state.budget,
        warnings=state.warnings,
        errors=state.errors,
        checks_passed=state.checks_passed,
        checks_failed=state.checks_failed,
        held=state.held,
        created_at=state.created_at,
        started_at=state.started_at,
        ended_at=state.ended_at,
        last_activity=state.last_activity,
        expires_on=state.expires_on,
        url=f"{app.public_url}/sessions/{row.id}",
    )


def _approval(state: SessionState, approval_id: str) -> ApprovalView:
    pending = state.approvals[approval_id]
    calls = tuple(
        CallView(call_id=call_id, tool=state.calls[call_id].tool, args=state.calls[call_id].args)
        for call_id in pending.call_ids
    )
    return ApprovalView(id=approval_id, ask=pending.ask, question=pending.question, calls=calls)
