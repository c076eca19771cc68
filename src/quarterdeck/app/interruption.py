"""Interrupting an answer of a chat: it stops where it is, and the chat lives on (DESIGN, promise 5)."""

from sqlalchemy import case, select, update

from quarterdeck.app import session_views as views
from quarterdeck.app.actor import Actor
from quarterdeck.app.acts import act
from quarterdeck.app.application import App
from quarterdeck.app.calls import finished
from quarterdeck.app.change import Change, changing
from quarterdeck.app.leases import sent
from quarterdeck.app.session_access import steer_check
from quarterdeck.app.session_views import SessionView
from quarterdeck.app.turns import pinned_flow
from quarterdeck.core import events as e
from quarterdeck.core import step
from quarterdeck.core.errors import ConflictError
from quarterdeck.core.events import Outcome
from quarterdeck.core.flow import Flow
from quarterdeck.core.state import Call, CallStatus
from quarterdeck.core.status import Status, Transition, human
from quarterdeck.store import log
from quarterdeck.store.doorbell import ring
from quarterdeck.store.tables import leases, offers, partials


async def interrupt(app: App, actor: Actor, session_id: int) -> SessionView:
    """Ends the answer that a chat is at; what there is of its text stays, what runs is killed, and it is idle.

    Raises:
        ConflictError: the session is no chat, or has ended.
    """
    async with app.database.transaction() as connection:
        await steer_check(connection, actor, session_id)
        async with changing(app, connection, session_id) as it:
            if it.state.status is not Status.IDLE:
                _begin(app, it, await _chat(app, it), actor)
                await _stop(it, actor)
        return await views.load(app, connection, session_id)


async def _chat(app: App, it: Change) -> Flow:
    number, state = it.session.id, it.state
    if state.final:
        raise ConflictError(f"Session #{number} is {human(state.status)}; there is nothing to interrupt.")
    flow = await pinned_flow(app, it.connection, it.session.flow_hash)
    if not flow.chats:
        raise ConflictError(
            f"Session #{number} is no chat, so it has no answer to interrupt. Pause it, or cancel it for good."
        )
    return flow


def _begin(app: App, it: Change, flow: Flow, actor: Actor) -> None:
    """Brings a chat that still waits for a worker to where its answer would begin, so that a message goes on there."""
    begins = not it.state.agent
    while not it.state.agent and isinstance(next_ := step.next_step(flow, it.state), step.Start | step.Enter):
        act(app.flows, it, flow, next_, {})
    if not it.state.agent:
        raise ConflictError(f"Session #{it.session.id} has not come to an agent yet. Try again in a moment.")
    if begins and not it.state.turn_open:
        it.append(e.ModelInterrupted(component=it.state.component, text="", by=actor.username))


async def _stop(it: Change, actor: Actor) -> None:
    await _end_calls(it, actor)
    await _end_answer(it, actor)
    if it.state.status is not Status.RUNNING:
        it.move(Transition.RESUME, by=actor.username)
    it.move(Transition.IDLE, reason=f"interrupted by {actor.username}", by=actor.username)
    if it.state.turn_open:
        it.append(e.TurnEnded(turn_no=it.state.turn_no))
    await log.flush(it.connection, it.session)
    await ring(it.connection, f"turn:{it.session.id}")


async def _end_answer(it: Change, actor: Actor) -> None:
    """A turn without open calls is asking the model."""
    state = it.state
    if state.status is not Status.RUNNING or not state.turn_open:
        return
    shown = (
        await it.connection.execute(
            select(partials.c.text).where(partials.c.session_id == it.session.id, partials.c.turn_no == state.turn_no)
        )
    ).scalar_one_or_none()
    it.append(e.ModelInterrupted(component=state.component or state.agent, text=shown or "", by=actor.username))


async def _end_calls(it: Change, actor: Actor) -> None:
    """Ends the open calls, those of agents that wait for a subagent too: nobody begins them, what runs is killed."""
    ended: dict[str, Call] = {
        call_id: call
        for calls in (*(frame.calls for frame in it.state.stack), it.state.calls)
        for call_id, call in calls.items()
        if call.status is not CallStatus.FINISHED
    }
    if not ended:
        return
    text = f"{actor.username} interrupted the answer, and with it this call."
    used = await sent(it)  # what the executor tells later of a call that has ended comes too late
    for call_id, call in ended.items():
        it.append(finished(call_id, call, Outcome.CANCELLED, text, used.get(call_id)))
    await it.connection.execute(
        update(offers)
        .where(offers.c.call_id.in_(ended), offers.c.status.in_(("waiting", "offered", "running")))
        .values(
            status=case(
                ((offers.c.side == "executor") & (offers.c.status != "waiting"), "cancelling"), else_="cancelled"
            )
        )
    )
    mine = select(leases.c.runner_id).where(leases.c.subject == f"session:{it.session.id}")
    runner = (await it.connection.execute(mine)).scalar_one_or_none()
    if runner is not None:
        await ring(it.connection, f"runner:{runner}")
