"""Classic chat: a question is answered without tools, and nothing of it is kept but what it cost."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.model_choice import Wish, choose
from quarterdeck.app.model_keys import stored_keys
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import InvalidInputError, TooManyRequestsError
from quarterdeck.core.flow import Flow
from quarterdeck.core.text import clean
from quarterdeck.core.usage import Usage
from quarterdeck.store.tables import questions

SYSTEM = """\
You are Quarterdeck, and answer one question of a software engineer. You have no tools and can look nothing up; say so \
where it matters. Answer briefly and exactly, and say when you don't know."""
_FLOW = Flow(name="ask", version="", components=(), entry_point="")
"""By its name there may be rules of models for questions."""
PER_MINUTE = 30
"""Questions of one person."""


class AskQuestion(BaseModel):
    """A question."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    question: str = Field(min_length=1, max_length=limits.MESSAGE_CHARACTERS)
    project: StrictInt | StrictStr | None = Field(default=None, description="The project that it is asked for.")
    model: str | None = Field(default=None, max_length=200, description="`provider:model`; else the configured one.")
    script: str | None = Field(default=None, description="The answers of a `scripted` model, as YAML, under `ask`.")


class Answer(BaseModel):
    """What the model said, and what it cost."""

    model_config = ConfigDict(frozen=True)
    answer: str
    model: str
    scripted: bool
    usage: Usage


async def ask(app: App, actor: Actor, request: AskQuestion) -> Answer:
    """Asks the model. No transaction is open meanwhile.

    Raises:
        TooManyRequestsError: the person has asked too often within a minute.
        InvalidInputError: there is no such model, or it refuses.
        UnavailableError: it can't be reached now.
    """
    question = clean(request.question).strip()
    if not question:
        raise InvalidInputError("The question is empty.")
    async with app.database.transaction() as connection:
        project_id, context = None, ""
        if request.project is not None:
            project = await project_for(connection, actor, request.project, Ability.START_SESSION)
            project_id = project.id
            context = f"\nThe question is about the project {project.path}. {project.description}".rstrip()
        wish = Wish(request.model, request.script, None, _FLOW.name)
        choice = await choose(app, connection, actor, project_id, _FLOW, wish)
        number = await _counted(connection, actor, project_id, choice.model)
        stored = await stored_keys(app, connection)
    reply = await app.models.ask(stored, choice.model, choice.document, SYSTEM + context, question)
    async with app.database.transaction() as connection:
        used = {
            "input_tokens": reply.usage.input_tokens,
            "output_tokens": reply.usage.output_tokens,
            "cost": Decimal(reply.usage.cost) if reply.usage.cost is not None else None,
        }
        await connection.execute(update(questions).where(questions.c.id == number).values(used))
    text = app.redactor.text(clean(reply.text))
    return Answer(answer=text, model=reply.model, scripted=choice.document is not None, usage=reply.usage)


async def _counted(connection: AsyncConnection, actor: Actor, project_id: int | None, model: str) -> int:
    """The question's row, made before it is asked, so that many at once are counted too."""
    await connection.exec_driver_sql("select pg_advisory_xact_lock(hashtext(%s))", (f"questions:{actor.user_id}",))
    lately = select(func.count()).where(
        questions.c.user_id == actor.user_id, questions.c.at > func.now() - func.make_interval(0, 0, 0, 0, 0, 1)
    )
    if (await connection.execute(lately)).scalar_one() >= PER_MINUTE:
        raise TooManyRequestsError(f"You have asked {PER_MINUTE} questions within a minute. Wait a little.")
    values = {"user_id": actor.user_id, "project_id": project_id, "model": model}
    return (await connection.execute(insert(questions).values(values).returning(questions.c.id))).scalar_one()
