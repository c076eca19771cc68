"""Sessions as doors show them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import Row, Select, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.runner_choice import explained, owed
from quarterdeck.core import limits
from quarterdeck.core.access import LEAST_ROLE, Ability
from quarterdeck.core.budget import Budget
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.events import PlanItem
from quarterdeck.core.fork_events import ForkedFrom
from quarterdeck.core.imported import SessionImported
from quarterdeck.core.session_limits import ProjectLimits, Used
from quarterdeck.core.state import ArtifactRef, Editor, LinkRef, SessionState, Waiting
from quarterdeck.core.status import FINAL, GROUPS, Status, StatusGroup
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
    choices: tuple[str, ...] = ()
    """Answers to pick from; any other is as good."""
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
    patterns: dict[str, tuple[str, ...]]
    """Commands, by their tools, that a person has allowed for the session while it went on."""
    may_ask: bool
    runner_tags: tuple[str, ...]
    """What its runners must have, beside what its project asks of them."""
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
    forked_from: ForkedFrom | None
    base_commit: str
    isolation: str
    executor: str
    """Who had its last lease."""
    editor: Editor | None
    """Who carries its calls out; None when any runner does."""
    steps: int
    torn_down: bool
    teardown_missed: Literal["", "unreachable", "removed"]
    """Why the proof of its end has not come."""
    used: Used
    """Milliseconds and bytes of output of its commands, on all runners."""
    limits: ProjectLimits
    """What its project asks for; the stricter of this and the runner's own holds."""
    usage: Usage
    budget: Budget | None
    warnings: int
    errors: int
    checks_passed: int
    checks_failed: int
    verified: bool | None
    """Whether the last check of its work passed; None when there was none since its last commit."""
    held: bool
    imported: SessionImported | None
    """Its log was written elsewhere, and brought by a file."""
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    last_activity: datetime
    expires_on: date | None
    """When it is deleted, unless something happens in it; None while it is held."""
    retention_days: int
    days_left: int | None
    expires_soon: bool
    """Views warn of it."""
    url: str


Shown = Select[int, Any, datetime, str, Any]
"""A query of sessions as views need them: id, state, last activity, the project's path and limits."""

_SHOWN: Shown = select(
    sessions.c.id, sessions.c.state, sessions.c.last_activity, projects.c.path, projects.c.limits
).outerjoin(projects, projects.c.id == sessions.c.project_id)


async def load(app: App, connection: AsyncConnection, session_id: int) -> SessionView:
    """One session, as this transaction sees it. Raises NotFoundError."""
    row = (await connection.execute(_SHOWN.where(sessions.c.id == session_id))).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no session #{session_id}.")
    view = _view(app, row)
    if view.status in FINAL and not view.torn_down:
        return view.model_copy(update={"waiting_for": await owed(connection, row.id)})
    for waiting in (await explained(connection, {row.id: view.waiting_for})).values():
        view = view.model_copy(update={"waiting_for": waiting})
    return view


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


def views_of(app: App, rows: Sequence[Row[int, Any, datetime, str, Any]]) -> tuple[SessionView, ...]:
    """The views of the rows of such a query."""
    return tuple(_view(app, row) for row in rows)


def _view(app: App, row: Row[int, Any, datetime, str, Any]) -> SessionView:
    state = SessionState.model_validate(row.state)
    created = state.created
    left = max(0, (state.expires_on - datetime.now(UTC).date()).days) if state.expires_on else None
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
        patterns=state.session_patterns,
        may_ask=created.may_ask,
        runner_tags=created.runner_tags,
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
        merge_request=_merge_request(state),
        branch=created.branch,
        ref=created.ref,
        forked_from=created.forked_from,
        base_commit=state.base_commit or created.commit,
        isolation=state.isolation,
        executor=state.executor,
        editor=state.editor,
        steps=state.step,
        torn_down=state.torn_down,
        teardown_missed=state.teardown_missed,
        used=state.used,
        limits=ProjectLimits.model_validate(row.limits or {}),
        usage=state.usage,
        budget=state.budget,
        warnings=state.warnings,
        errors=state.errors,
        checks_passed=state.checks_passed,
        checks_failed=state.checks_failed,
        verified=state.verified,
        held=state.held,
        imported=state.imported,
        created_at=state.created_at,
        started_at=state.started_at,
        ended_at=state.ended_at,
        last_activity=state.last_activity,
        expires_on=state.expires_on,
        retention_days=state.retention_days,
        days_left=left,
        expires_soon=left is not None and left <= limits.EXPIRES_SOON_DAYS,
        url=f"{app.public_url}/sessions/{row.id}",
    )


def _merge_request(state: SessionState) -> str | None:
    """Its name in the session's project; that of an imported or external session is elsewhere."""
    if (state.imported or state.elsewhere) and state.created.forked_from is None:
        return None
    return next((a.name for a in reversed(state.artifacts) if a.artifact == "merge_request"), None)


def _approval(state: SessionState, approval_id: str) -> ApprovalView:
    pending = state.approvals[approval_id]
    calls = tuple(
        CallView(call_id=call_id, tool=state.calls[call_id].tool, args=state.calls[call_id].args)
        for call_id in pending.call_ids
    )
    return ApprovalView(
        id=approval_id, ask=pending.ask, question=pending.question, choices=pending.choices, calls=calls
    )
