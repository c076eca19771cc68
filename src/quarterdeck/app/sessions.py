"""Sessions: start and look. Each function is one ability check and one transaction."""

import secrets
from typing import Literal

from pydantic import Field, JsonValue, StrictInt, StrictStr
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import (
    editors,
    flow_choice,
    repository_context,
    session_inputs,
    session_subjects,
    skills,
    start_options,
)
from quarterdeck.app import session_views as views
from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.beginning import CHAT_PRIVILEGES, RUNNER_PRIVILEGES, begin, by_key
from quarterdeck.app.model_choice import Wish, choose
from quarterdeck.app.network import with_tools_told
from quarterdeck.app.session_access import may
from quarterdeck.app.session_views import SessionView
from quarterdeck.app.start_options import StartOptions
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.approval import check_patterns
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.inputs import pinned_inputs
from quarterdeck.core.text import clean, line
from quarterdeck.core.trigger import Triggered


class StartSession(StartOptions):
    """What a session is started with."""

    project: StrictInt | StrictStr
    flow: str = Field(default="fix_pipeline/v1", max_length=200)
    flow_yaml: str | None = Field(default=None, description="A flow of your own instead, as YAML.")
    goal: str = Field(default="", max_length=limits.GOAL_CHARACTERS)
    pipeline_id: int | None = None
    issue_iid: int | None = Field(default=None, ge=1, le=2**31 - 1, description="The issue that it is about.")
    merge_request_iid: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="The merge request that it is about, instead of an issue."
    )
    inputs: dict[str, JsonValue] = Field(default={})
    origin: Literal["api", "cli", "web"] = "api"


@with_tools_told
async def start(app: App, actor: Actor, request: StartSession, idempotency_key: str | None = None) -> SessionView:
    """Starts a session; the same `idempotency_key` of the same person answers the session that it made before.

    Raises:
        InvalidInputError: the flow, the model, the script or the ref can't be used; says which and why.
    """
    async with app.database.transaction() as connection:
        session_id = await start_within(app, connection, actor, request, idempotency_key)
        return await views.load(app, connection, session_id)


async def start_within(
    app: App,
    connection: AsyncConnection,
    actor: Actor,
    request: StartSession,
    idempotency_key: str | None,
    *,
    parent_id: int | None = None,
    triggered: Triggered | None = None,
) -> int:
    """The same within a transaction that is open already; a child of another session when that is named.

    `triggered` says by which trigger it starts, and by which service account it acts for `actor`.
    """
    project = await project_for(connection, actor, request.project, Ability.START_SESSION)
    if idempotency_key is not None:
        before = await by_key(connection, actor, idempotency_key)
        if before is not None:
            return before
    check_patterns(request.pre_approved_patterns)
    chosen = await flow_choice.choose(app, connection, project, request.flow, request.flow_yaml)
    flow = chosen.flow
    if triggered and parent_id is None and flow.chats:
        raise InvalidInputError(
            f"{flow.name} is a chat, which is its person's alone: what a trigger starts is told where it was called."
        )
    wish = Wish(request.model, request.script, chosen.script, request.flow)
    choice = await choose(app, connection, actor, project.id, flow, wish)
    brought = await session_inputs.collect(
        connection,
        app,
        project,
        {**request.inputs, **request.given_inputs()},
        pipeline_id=request.pipeline_id,
        issue_iid=request.issue_iid,
        merge_request_iid=request.merge_request_iid,
    )
    ref = request.ref or brought.ref or project.default_branch
    branch = f"quarterdeck/{flow.name.replace('_', '-')}-{secrets.token_hex(4)}"
    around = await repository_context.collect(
        app, connection, actor, project, ref=ref, branch=branch, rules=chosen.heeds_rules
    )
    goal = clean(request.goal) or brought.goal or flow.description or f"Run the flow {flow.id}."
    # Here already: the title is cut, and half of a secret doesn't look like one.
    goal, title = app.redactor.text(goal), app.redactor.text(clean(request.title or ""))
    title = line(title or goal, limits.TITLE_CHARACTERS)
    editor = None if request.executor is None else await editors.assigned(connection, actor, request.executor)
    at_hand = flow.chats or editor is not None
    usual = CHAT_PRIVILEGES if at_hand else RUNNER_PRIVILEGES
    given = await start_options.take(app, connection, actor, around.session_id, request, choice)
    created = e.SessionCreated(
        goal=await skills.with_skill(app, project.id, around.commit, goal),
        title=title,
        flow=flow.id,
        model=choice.model,
        scripted=choice.document is not None,
        project_id=project.id,
        initiator_id=actor.user_id,
        initiator=actor.username,
        origin="chat" if flow.chats else "ide" if editor else "trigger" if triggered else request.origin,
        triggered=triggered,
        ref=ref,
        commit=around.commit,
        agent_config=around.agent_config,
        branch=branch,
        inputs=pinned_inputs(flow, around.with_given(brought.inputs)),
        facts=around.facts,
        pre_approved=request.asking_nobody(usual, project.always_ask),
        always_ask=project.always_ask,
        pre_approved_patterns=request.pre_approved_patterns,
        privileges=request.privileges,
        may_ask=request.may_ask,
        retention_days=project.retention_days,
        parent_id=parent_id,
        component_models=choice.component_models,
        context_tokens=choice.context_tokens,
        budget=request.budget,
        attachments=given,
        runner_tags=request.tags(),
    )
    links = list(brought.links)
    if parent_id is not None:
        url = f"{app.public_url}/sessions/{parent_id}"
        links.append(e.LinkAdded(relation="parent", target="session", name=f"#{parent_id}", url=url))
    session_id = await begin(
        app, connection, created, *links, *_given(editor), flow_text=chosen.text, choice=choice,
        idempotency_key=idempotency_key, session_id=around.session_id,
    )  # fmt: skip
    await session_subjects.keep(
        connection,
        session_id,
        issue_id=brought.issue_id,
        merge_request_id=brought.merge_request_id,
        pipeline_id=brought.pipeline_id,
    )
    return session_id


def _given(editor: e.ExecutorAssigned | None) -> tuple[e.ExecutorAssigned, ...]:
    return () if editor is None else (editor,)


async def show(app: App, actor: Actor, session_id: int) -> SessionView:
    """One session."""
    async with app.database.transaction() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        return await views.load(app, connection, session_id)
