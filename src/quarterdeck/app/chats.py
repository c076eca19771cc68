"""Chats: sessions that are their initiator's alone, with a project or without one."""

import secrets

from pydantic import Field, StrictInt, StrictStr
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import agents, editors, page_subjects, repository_context, skills, start_options
from quarterdeck.app import session_views as views
from quarterdeck.app.access import Project, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.beginning import CHAT_PRIVILEGES, begin, by_key
from quarterdeck.app.model_choice import Choice, Wish, choose
from quarterdeck.app.network import with_tools_told
from quarterdeck.app.page_subjects import Subject
from quarterdeck.app.session_views import SessionView
from quarterdeck.app.start_options import StartOptions
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.approval import check_patterns
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import clean, line

FLOW = "chat/v1"
"""What the agent that ships is made of."""


class StartChat(StartOptions):
    """What a chat is started with."""

    message: str = Field(min_length=1, max_length=limits.MESSAGE_CHARACTERS, description="The first thing you say.")
    project: StrictInt | StrictStr | None = Field(
        default=None, description="The project that it is about; without one it has no files and no commands."
    )
    agent: str = Field(default=agents.SHIPPED, max_length=100, description="Whom you talk with, for good.")


@with_tools_told
async def start(
    app: App, actor: Actor, request: StartChat, idempotency_key: str | None = None, *, about: Subject | None = None
) -> SessionView:
    """Starts a chat; the same `idempotency_key` of the same person answers the one that it made before.

    `about` is what the person had open when they wrote the first message.

    Raises:
        InvalidInputError: the model, the script, the ref or a pattern can't be used; says which and why.
        NotFoundError: there is no such agent or project that the actor may use, or no such thing that it is about.
    """
    async with app.database.transaction() as connection:
        project = None
        if request.project is not None:
            project = await project_for(connection, actor, request.project, Ability.START_SESSION)
        if idempotency_key is not None:
            before = await by_key(connection, actor, idempotency_key)
            if before is not None:
                return await views.load(app, connection, before)
        if request.executor is not None and project is None:
            raise InvalidInputError("Name the project of the folder: without one a chat has no files and no commands.")
        opening = () if request.executor is None else (await editors.assigned(connection, actor, request.executor),)
        created, flow_text, choice, number = await _created(app, connection, actor, request, project, about)
        session_id = await begin(
            app, connection, created, *opening, flow_text=flow_text, choice=choice, idempotency_key=idempotency_key,
            session_id=number,
        )  # fmt: skip
        return await views.load(app, connection, session_id)


async def _created(
    app: App,
    connection: AsyncConnection,
    actor: Actor,
    request: StartChat,
    project: Project | None,
    about: Subject | None,
) -> tuple[e.SessionCreated, str, Choice, int]:
    """The chat's first event, its flow, its model and its number."""
    check_patterns(request.pre_approved_patterns)
    # Here already: the title is cut, and half of a secret doesn't look like one.
    message = app.redactor.text(clean(request.message)).strip()
    if not message:
        raise InvalidInputError("The message is empty.")
    if project is None and request.ref:
        raise InvalidInputError("A chat without a project starts from no branch; leave `ref` out or name a project.")
    if request.agent == agents.SHIPPED:
        (flow_text, shipped_script), wanted, flow_name = app.flows.shipped(FLOW), None, FLOW
    else:
        agent = await agents.named(connection, actor, request.agent, project.id if project else None)
        flow_text, shipped_script, wanted, flow_name = agents.flow_text(agent), None, agent.model, agent.name
    flow = app.flows.read(flow_text, most=limits.PINNED_FLOW_BYTES)
    wish = Wish(request.model or wanted, request.script, shipped_script, flow_name)
    choice = await choose(app, connection, actor, project.id if project else None, flow, wish)
    ref = (request.ref or project.default_branch) if project else ""
    branch = f"quarterdeck/chat-{secrets.token_hex(4)}" if project else ""
    around = await repository_context.collect(app, connection, actor, project, ref=ref, branch=branch)
    given = await start_options.take(app, connection, actor, around.session_id, request, choice)
    if about is not None:
        given = (*given, await page_subjects.note(app, connection, actor, around.session_id, about))
    created = e.SessionCreated(
        goal=await skills.with_skill(app, project.id, around.commit, message) if project else message,
        title=line(app.redactor.text(clean(request.title or "")) or message, limits.TITLE_CHARACTERS),
        flow=flow.id,
        model=choice.model,
        scripted=choice.document is not None,
        component_models=choice.component_models,
        context_tokens=choice.context_tokens,
        project_id=project.id if project else None,
        initiator_id=actor.user_id,
        initiator=actor.username,
        origin="chat",
        agent=request.agent,
        ref=ref,
        commit=around.commit,
        agent_config=around.agent_config,
        branch=branch,
        inputs=around.with_given(request.given_inputs()),
        facts=around.facts,
        pre_approved=request.asking_nobody(CHAT_PRIVILEGES, project.always_ask if project else ()),
        always_ask=project.always_ask if project else (),
        pre_approved_patterns=request.pre_approved_patterns,
        privileges=request.privileges,
        may_ask=request.may_ask,
        budget=request.budget,
        attachments=given,
        runner_tags=request.tags(),
        retention_days=project.retention_days if project else limits.RETENTION_DAYS,
    )
    return created, flow_text, choice, around.session_id
