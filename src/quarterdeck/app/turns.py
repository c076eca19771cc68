"""A turn's side of the log: claimed, advanced and answered, fenced by `turn_no`.

The steps that need nobody else are taken in the transaction of what they follow on, the claim or the model's answer.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from sqlalchemy import func, insert, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import attachments, budgets, compaction, conversations, mcp_calls
from quarterdeck.app.acts import act, answer_drafts, histories_wanted
from quarterdeck.app.application import App
from quarterdeck.app.change import Change, change
from quarterdeck.app.compaction import Cut
from quarterdeck.app.conversations import Earlier
from quarterdeck.app.model_rules import rules_for
from quarterdeck.app.toolbox import toolbox
from quarterdeck.core import events as e
from quarterdeck.core import limits, step
from quarterdeck.core.answer import Reply
from quarterdeck.core.errors import FencedError, NotFoundError, SessionGoneError, UnavailableError
from quarterdeck.core.flow import Flow
from quarterdeck.core.history import Conversation, bounded, conversation
from quarterdeck.core.model_rules import ModelRules
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import FINAL, Transition
from quarterdeck.core.text import clean, line
from quarterdeck.store import clock
from quarterdeck.store.doorbell import Listener, ring
from quarterdeck.store.tables import documents, offers, partials, sessions
from quarterdeck.tools.tool import Tool

_log = structlog.get_logger(__name__)

REVIVE_SECONDS = 30
"""How long a session that should be worked on may be quiet before the net looks whether its job is still there."""


@dataclass
class Turn:
    """A claimed turn; whoever holds a later one has fenced it off."""

    session_id: int
    turn_no: int
    led: "_Led | None" = field(default=None, compare=False, repr=False)
    """Where its last transaction led, for `advance` to go on from; None when that took no steps."""


@dataclass(frozen=True)
class _Led:
    """Steps that were taken: the session as they left it, and what comes next; None when the turn is over."""

    it: Change
    flow: Flow
    next: step.AskModel | step.Compact | frozenset[str] | None


@dataclass(frozen=True)
class Question:
    """What the model is asked, and by which model."""

    model: str
    script: str | None
    component: str
    conversation: Conversation
    tools: tuple[Tool, ...]
    seen: int
    """The last event that the question knows of; a message behind it is answered later."""
    cut: Cut | None = None
    """Set when the model is asked for a shorter form of the conversation instead of an answer."""
    answered: int = 0
    """How many answers the component has had."""
    fallbacks: tuple[str, ...] = ()
    """The models to ask in its place when it can't answer; none at the first try."""
    barred: str = ""
    """Why the model may not be asked any more; empty when it may."""


async def claim(app: App, session_id: int, turn_no: int, *, job: int) -> Turn | None:
    """Takes the turn for the worker's job; None when there is nothing to do or another has it.

    The same job coming again finds its own turn open: its worker died, and the turn is taken under the next number,
    which fences off whatever is left of the dead one.
    """
    if turn_no > 1:  # the first one is told of at once, all others with the steps that they begin with
        try:
            return await _claimed(app, session_id, turn_no, job=job, walks=True)
        except UnavailableError:
            raise
        except Exception as error:  # a step that fails drops the session, and only who has its turn can do that
            _log.info("a turn is claimed without its steps", session=session_id, reason=str(error))
    try:
        return await _claimed(app, session_id, turn_no, job=job, walks=False)
    except NotFoundError:
        return None


async def _claimed(app: App, session_id: int, turn_no: int, *, job: int, walks: bool) -> Turn | None:
    led = None
    async with change(app, session_id) as it:
        state = it.state
        recovery = state.turn_open and state.turn_job == job
        if state.final or not (recovery or (state.wants_turn and state.turn_no == turn_no - 1)):
            return None
        turn = Turn(session_id, state.turn_no + 1)
        it.append(e.TurnStarted(turn_no=turn.turn_no, job=job, recovery=recovery))
        if walks:
            led = await _walk(app, it, turn, Earlier())
            if state.wants_turn and not recovery:  # as it did before, so that nobody else sees that it is another
                await app.dispatch.turn(it.connection, session_id, turn.turn_no + 1, None)
    turn.led = led
    return turn


async def advance(app: App, turn: Turn) -> Question | None:
    """The model's next question, or None when the turn is over.

    Steps that need nobody else are done before it, in one transaction, where the claim or the answer has not done them.
    """
    earlier = Earlier()
    while True:
        led, turn.led = turn.led, None
        if led is None:
            async with change(app, turn.session_id, turn_no=turn.turn_no) as it:
                led = await _walk(app, it, turn, earlier)
        if led.next is None:
            if led.it.state.final:
                app.recent.forget(turn.session_id)
            return None
        if not isinstance(led.next, frozenset):
            return await _question(app, led.it, led.flow, led.next)
        earlier = await conversations.read(app, turn.session_id, led.it.state, led.next)


async def _walk(app: App, it: Change, turn: Turn, earlier: Earlier) -> _Led:
    flow = await pinned_flow(app, it.connection, it.session.flow_hash)
    return _Led(it, flow, await _steps(app, it, flow, turn, earlier))


async def _steps(
    app: App, it: Change, flow: Flow, turn: Turn, earlier: Earlier
) -> step.AskModel | step.Compact | frozenset[str] | None:
    """Walks on until the model is to be asked; None when the turn is over.

    Where a step needs the conversations of components that are not read yet it answers their names: a long log is read
    without the session's lock.
    """
    while True:
        next_ = await _next_step(it, flow)
        match next_:
            case step.AskModel() | step.Compact() as asking:
                return asking
            case step.Rest():
                if not it.state.final:
                    it.append(e.TurnEnded(turn_no=turn.turn_no))
                return None
            case step.End(transition, reason):
                it.move(transition, reason=reason)
                if not it.state.final:
                    it.append(e.TurnEnded(turn_no=turn.turn_no))
                return None
            case other:
                wanted = histories_wanted(flow, it.state, other)
                if not wanted <= earlier.components:
                    return wanted
                histories = await conversations.up_to_now(it, earlier, wanted)
                await _offer(app, it, act(app.flows, it, flow, other, histories))


async def _next_step(it: Change, flow: Flow) -> step.Step:
    """What comes next; before a model is asked, with what others say: MCP servers, and those that share a budget."""
    next_ = step.next_step(flow, it.state)
    if isinstance(next_, step.AskModel | step.CallTool) and (
        asks := await mcp_calls.listings(it, flow, next_.component)
    ):
        it.append(*asks)
        next_ = step.next_step(flow, it.state)
    if isinstance(next_, step.AskModel | step.Compact):
        if await budgets.count_children(it):
            next_ = step.next_step(flow, it.state)
        if spent := await budgets.spent_above(it):
            next_ = step.End(Transition.PAUSE, spent)
    return next_


async def _offer(app: App, it: Change, call_ids: tuple[str, ...]) -> None:
    for call_id in call_ids:
        call = it.state.calls[call_id]
        await it.connection.execute(
            insert(offers).values(
                call_id=call_id,
                subject=f"session:{it.session.id}",
                session_id=it.session.id,
                turn_no=it.state.turn_no,
                side=call.side,
                tool=call.tool,
                args=call.args,
                tags=list(it.state.created.runner_tags) if call.side == "executor" else [],
                status="waiting" if call.side == "executor" else "offered",
            )
        )
        if call.side == "server":
            await app.dispatch.server_call(it.connection, it.session.id, call_id)
    if any(it.state.calls[call_id].side == "executor" for call_id in call_ids):
        await ring(it.connection, "runners:all")


async def _question(app: App, it: Change, flow: Flow, next_: step.AskModel | step.Compact) -> Question:
    """The conversation as of now, read from its last compaction on.

    It is read without the session's lock: a person or an executor need not wait.
    """
    path, state = next_.component, it.state
    before = state.compacted.get(path)
    created = state.created
    async with app.database.transaction() as connection:
        events = await app.recent.read(
            connection, it.session.id, after=before.through if before else 0, through=state.seq
        )
        script = None
        if it.session.script_hash is not None:
            script = await _document(connection, it.session.script_hash)
        model = created.component_models.get(flow.component(path).name, created.model)
        rules = ModelRules() if script else await rules_for(connection, created.project_id, flow.name)
        room = created.context_tokens * limits.CHARACTERS_PER_TOKEN // limits.RESULTS_SHARE
        talk = bounded(conversation(path, events), room)
        cut_at = compaction.point(talk, flow.component(path), state) if isinstance(next_, step.Compact) else None
        asked = await attachments.told(connection, it.session.id, talk if cut_at is None else cut_at.question)
    return Question(
        model=model,
        script=script,
        component=path,
        conversation=asked,
        seen=state.seq,
        tools=tuple(usable.tool for usable in toolbox(flow, path, state).values()),
        cut=cut_at,
        answered=state.answers.get(path, 0),
        fallbacks=rules.chain(model) if state.retry else (),
        barred=rules.barred(model) or "",
    )


async def answered(app: App, turn: Turn, question: Question, answer: Reply) -> None:
    """Commits the model's answer with the intents of its calls.

    The steps behind it are taken in the same transaction; one that fails, or gives way to another's change, takes no
    answer with it, which was paid for.

    Raises:
        FencedError: the turn was given to another, or the session has ended; the answer is thrown away.
        UnavailableError: the database is away, and the answer is lost.
    """
    try:
        async with change(app, turn.session_id, turn_no=turn.turn_no) as it:
            await _take(app, it, question, answer)
            led = await _walk(app, it, turn, Earlier())
        turn.led = led
    except (SessionGoneError, FencedError):
        raise
    except Exception:  # `advance` meets it again
        async with change(app, turn.session_id, turn_no=turn.turn_no) as it:
            if not _has(it.state, question):
                await _take(app, it, question, answer)


def _has(state: SessionState, question: Question) -> bool:
    """Whether the answer is there: a commit may have come through though the connection broke before that was told."""
    if question.cut is not None:
        last = state.compacted.get(question.component)
        return last is not None and last.through >= question.cut.through
    return state.answers.get(question.component, 0) > question.answered


async def _take(app: App, it: Change, question: Question, answer: Reply) -> None:
    used = e.UsageRecorded(component=question.component, model=answer.model, usage=answer.usage)
    if question.cut is not None:
        it.append(used, compaction.compacted(question.component, question.cut, answer))
    else:
        flow = await pinned_flow(app, it.connection, it.session.flow_hash)
        it.append(*answer_drafts(it, flow, question.component, answer, question.seen))
        it.append(used)
    budgets.warn(it)


async def failed_to_answer(app: App, turn: Turn, component: str, error: str, retry_after: float | None) -> None:
    """The provider is away for a while: the next turn asks again; after 20 minutes the session is paused.

    `retry_after` is in seconds, as the provider wished; the back-off doubles from 1 s to 60 s without it.
    """
    async with change(app, turn.session_id, turn_no=turn.turn_no) as it:
        now = clock.now()
        last = it.state.retry
        since = last.since if last else now
        attempt = last.attempt + 1 if last else 1
        if (now - since).total_seconds() >= limits.MODEL_PATIENCE_SECONDS:
            minutes = limits.MODEL_PATIENCE_SECONDS // 60
            _pause(it, turn, f"The model's provider has not answered for {minutes} minutes: {error}")
            return
        wait = retry_after if retry_after is not None else min(60.0, 2.0 ** (attempt - 1))
        it.append(
            e.ModelRetried(
                component=component,
                attempt=attempt,
                since=since,
                retry_at=now + timedelta(seconds=min(wait, limits.MODEL_PATIENCE_SECONDS)),
                error=line(clean(error), 1_000),
            ),
            e.TurnEnded(turn_no=turn.turn_no),
        )


async def pause(app: App, turn: Turn, reason: str) -> None:
    """What passes by itself or by a cure doesn't end a session (promise 9): it pauses with the reason."""
    async with change(app, turn.session_id, turn_no=turn.turn_no) as it:
        _pause(it, turn, reason)


def _pause(it: Change, turn: Turn, reason: str) -> None:
    it.move(Transition.PAUSE, reason=line(clean(reason), limits.REASON_CHARACTERS))
    it.append(e.TurnEnded(turn_no=turn.turn_no))


async def drop(app: App, turn: Turn, reason: str) -> None:
    """The session can't go on."""
    async with change(app, turn.session_id, turn_no=turn.turn_no) as it:
        it.move(Transition.DROP, reason=line(clean(reason), limits.REASON_CHARACTERS))


async def partial(app: App, turn: Turn, text: str) -> None:
    """Overwrites the answer so far; no event, gone with the turn."""
    shown = app.redactor.text(clean(text))
    mine = select(sessions.c.id, sessions.c.turn_no, literal(shown)).where(
        sessions.c.id == turn.session_id, sessions.c.turn_no == turn.turn_no, sessions.c.turn_open
    )
    async with app.database.transaction() as connection:
        statement = upsert(partials).from_select(["session_id", "turn_no", "text"], mine)
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=[partials.c.session_id],
                set_={"turn_no": statement.excluded.turn_no, "text": statement.excluded.text},
            )
        )
        await ring(connection, f"session:{turn.session_id}")


@contextmanager
def overseen(app: App, session_id: int) -> Generator[Callable[[Turn], Coroutine[None, None, None]]]:
    """What is given a claimed turn returns when it is no longer this one's: the session was ended or the turn taken.

    Enter it before the claim: from then on no bell is missed, and there is nothing to look for at the beginning.
    """
    with app.doorbell.listener(f"turn:{session_id}") as listener:
        yield lambda turn: _until_over(app, turn, listener)


async def _until_over(app: App, turn: Turn, listener: Listener) -> None:
    while True:
        await listener.wait()
        try:
            async with app.database.transaction() as connection:
                row = (
                    await connection.execute(
                        select(sessions.c.turn_no, sessions.c.turn_open).where(sessions.c.id == turn.session_id)
                    )
                ).one_or_none()
        except UnavailableError:  # no reason to throw an answer away: the turn goes on until it is told otherwise
            await asyncio.sleep(1)
            listener.notice("", 0)
            continue
        if row is None or row.turn_no != turn.turn_no or not row.turn_open:
            return


async def revive(app: App) -> int:
    """Gives turns out again that no job has any more, and answers how many: a net that should catch nothing."""
    async with app.database.transaction() as connection:
        rows = await connection.execute(
            select(sessions.c.id, sessions.c.turn_no)
            .where(sessions.c.status.in_(("created", "running")))
            .where(sessions.c.last_activity < func.now() - timedelta(seconds=REVIVE_SECONDS))
            .where(sessions.c.turn_open | sessions.c.waiting_for["on"].astext.in_(("worker", "model")))
        )
        quiet = {row.id: row.turn_no for row in rows}
        if quiet:
            working = await app.dispatch.with_turns(connection)
            quiet = {i: no for i, no in quiet.items() if i not in working}
    revived = 0
    for session_id, turn_no in quiet.items():
        with suppress(NotFoundError):
            async with change(app, session_id) as it:
                if it.state.turn_no != turn_no:
                    continue
                if it.state.turn_open:
                    it.append(e.TurnEnded(turn_no=turn_no))
                elif it.state.wants_turn:
                    await app.dispatch.turn(it.connection, session_id, turn_no + 1, None)
                else:
                    continue
                revived += 1
    return revived


async def forget_ended(app: App) -> int:
    """Lets go of what this process keeps of sessions that another has ended or deleted, and answers of how many."""
    kept = app.recent.sessions()
    if not kept:
        return 0
    alive = select(sessions.c.id).where(sessions.c.id.in_(kept), sessions.c.status.not_in(FINAL))
    async with app.database.reading() as connection:
        ended = kept - set((await connection.execute(alive)).scalars())
    for session_id in ended:
        app.recent.forget(session_id)
    return len(ended)


async def pinned_flow(app: App, connection: AsyncConnection, flow_hash: str) -> Flow:
    """The flow that a session was started with; read from the database when this process has not seen it lately."""
    known = app.flows.known(flow_hash)
    return app.flows.pinned(await _document(connection, flow_hash)) if known is None else known


async def _document(connection: AsyncConnection, digest: str) -> str:
    return (await connection.execute(select(documents.c.text).where(documents.c.hash == digest))).scalar_one()
