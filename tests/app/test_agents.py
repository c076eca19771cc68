"""Custom agents, and questions without a session."""

import pytest
from sqlalchemy import func, insert, select

from quarterdeck.app import agents, questions
from quarterdeck.app.actor import Actor
from quarterdeck.app.agents import AddAgent, EditAgent
from quarterdeck.app.application import App
from quarterdeck.core.access import Role
from quarterdeck.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    TooManyRequestsError,
)
from quarterdeck.store.tables import members, sessions, users
from quarterdeck.store.tables import questions as rows
from tests.app.chats import asked, begin, stored
from tests.conftest import Start

PROMPT = "You rhyme.\n\nNever say {{ goal }}, {% raw %}, \x85 or \u2028; \ud83d\ude00 'quoted' \"twice\": - # *".encode(
    "utf-16", "surrogatepass"
).decode("utf-16")
ASK = "components: {ask: [{expect: capital, say: It is Paris.}]}"


async def person(app: App, name: str, role: Role | None = None) -> Actor:
    async with app.database.transaction() as connection:
        number = (await connection.execute(insert(users).values(username=name).returning(users.c.id))).scalar_one()
        if role is not None:
            await connection.execute(insert(members).values(project_id=1, user_id=number, role=int(role)))
    return Actor(number, name, "", "", admin=False)


async def test_an_agent_is_its_prompt_word_for_word_its_tools_and_its_model(app: App, start: Start) -> None:
    made = await agents.add(app, start.owner, AddAgent(name="poet", prompt=PROMPT, tools=("read_file", "todo_write")))
    session_id = await begin(app, start.owner, project="sample", agent="poet")
    _, question = await asked(app, session_id)
    assert question.conversation.system == PROMPT
    assert {tool.name for tool in question.tools} == {"read_file", "todo_write"}
    await agents.edit(app, start.owner, made.id, EditAgent(prompt="You do not rhyme."))
    await agents.remove(app, start.owner, made.id)
    state = await stored(app, session_id)
    assert (state.created.agent, state.created.flow) == ("poet", "poet/0.0.0")
    again = await app_question(app, session_id)
    assert again == PROMPT, "what has begun goes on as it began"
    with pytest.raises(NotFoundError, match="poet"):
        await begin(app, start.owner, agent="poet")


async def app_question(app: App, session_id: int) -> str:
    from quarterdeck.app import interruption, steering

    owner = Actor(1, "ada", "", "", admin=True)
    await interruption.interrupt(app, owner, session_id)
    await steering.reply(app, owner, session_id, "Go on")
    return (await asked(app, session_id))[1].conversation.system


async def test_a_projects_agents_are_its_maintainers_work_and_its_developers_tool(app: App, start: Start) -> None:
    wish = AddAgent(name="guide", project="sample", prompt="You guide.")
    for role in (None, Role.GUEST, Role.DEVELOPER):
        somebody = await person(app, f"p{role}", role)
        with pytest.raises(NotFoundError if role is None else ForbiddenError):
            await agents.add(app, somebody, wish)
    maintainer = await person(app, "maintainer", Role.MAINTAINER)
    made = await agents.add(app, maintainer, wish)
    with pytest.raises(ConflictError):
        await agents.add(app, maintainer, wish)
    developer = await person(app, "developer", Role.DEVELOPER)
    assert [one.name for one in await agents.find(app, developer, project="sample")] == ["guide"]
    assert await agents.find(app, developer) == []
    with pytest.raises(ForbiddenError):
        await agents.edit(app, developer, made.id, EditAgent(description="mine"))
    stranger = await person(app, "stranger")
    with pytest.raises(NotFoundError):
        await agents.show(app, stranger, made.id)
    own = await agents.add(app, developer, AddAgent(name="guide", prompt="Mine."))
    with pytest.raises(NotFoundError):
        await agents.show(app, start.owner, own.id)
    session_id = await begin(app, developer, project="sample", agent="guide")
    assert (await asked(app, session_id))[1].conversation.system == "Mine.", "one's own goes before the project's"


async def test_agents_that_can_not_be_are_refused_with_the_reason(app: App, start: Start) -> None:
    for wrong, word in (
        ({"name": "a b"}, "no name"),
        ({"name": "quarterdeck"}, "no name"),
        ({"tools": ("read_fiel",)}, "read_file"),
        ({"model": "nobody:x"}, "nobody"),
        ({"prompt": "ü" * 80 * 1024}, "bytes"),
    ):
        with pytest.raises(InvalidInputError, match=word):
            await agents.add(app, start.owner, AddAgent.model_validate({"name": "a", "prompt": "p", **wrong}))
    long = await agents.add(app, start.owner, AddAgent(name="long", prompt='"' * 80 * 1024))
    session_id = await begin(app, start.owner, agent=long.name)
    assert len((await asked(app, session_id))[1].conversation.system) == 80 * 1024


async def test_a_question_leaves_nothing_but_what_it_used(
    app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "PER_MINUTE", 2)
    wish = questions.AskQuestion(question="The capital of France?", project="sample", model="scripted", script=ASK)
    answer = await questions.ask(app, start.owner, wish)
    assert (answer.answer, answer.scripted, answer.usage.requests) == ("It is Paris.", True, 1)
    stranger = await person(app, "stranger")
    with pytest.raises(NotFoundError):
        await questions.ask(app, stranger, wish)
    with pytest.raises(InvalidInputError, match="expected"):
        await questions.ask(app, start.owner, wish.model_copy(update={"question": "Why?"}))
    with pytest.raises(TooManyRequestsError):
        await questions.ask(app, start.owner, wish)
    assert (await questions.ask(app, stranger, wish.model_copy(update={"project": None}))).answer == "It is Paris."
    async with app.database.transaction() as connection:
        used = (await connection.execute(select(rows).order_by(rows.c.id))).all()
        assert [(row.user_id, row.project_id, row.model) for row in used] == [
            (1, 1, "scripted:script"), (1, 1, "scripted:script"), (stranger.user_id, None, "scripted:script"),
        ]  # fmt: skip
        assert (await connection.execute(select(func.count()).select_from(sessions))).scalar_one() == 0
