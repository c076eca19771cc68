"""What the tests of chats share: a chat's agent, answered by hand."""

from sqlalchemy import select

from quarterdeck.app import chats, turns
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.turns import Question, Turn
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.events import Event
from quarterdeck.core.fold import fold
from quarterdeck.core.state import SessionState
from quarterdeck.core.usage import Usage
from quarterdeck.store import log
from quarterdeck.store.tables import sessions

SCRIPT = "components: {chat: [{say: unused}]}"


async def begin(app: App, actor: Actor, message: str = "Hello", **more: object) -> int:
    """A chat that nobody has answered in."""
    wish = chats.StartChat.model_validate({"message": message, "model": "scripted", "script": SCRIPT, **more})
    return (await chats.start(app, actor, wish)).id


async def asked(app: App, session_id: int) -> tuple[Turn, Question]:
    """The turn that asks the model next, and what it asks."""
    state = await stored(app, session_id)
    turn = await turns.claim(app, session_id, state.turn_no + 1, job=state.turn_no + 1)
    assert turn is not None
    question = await turns.advance(app, turn)
    assert question is not None
    return turn, question


async def say(app: App, session_id: int, text: str, *calls: RequestedCall) -> Question:
    """The model answers, and the turn goes on to its end."""
    turn, question = await asked(app, session_id)
    await turns.answered(app, turn, question, Reply(text, "", calls, "", "m", Usage(requests=1), 1))
    assert await turns.advance(app, turn) is None
    return question


async def stored(app: App, session_id: int) -> SessionState:
    """The session's row; it is what its log comes to."""
    async with app.database.transaction() as connection:
        row = (await connection.execute(select(sessions.c.state).where(sessions.c.id == session_id))).scalar_one()
        state = SessionState.model_validate(row)
        assert fold(await log.read(connection, session_id)) == state
    return state


async def events(app: App, session_id: int) -> list[Event]:
    async with app.database.transaction() as connection:
        return await log.read(connection, session_id)
