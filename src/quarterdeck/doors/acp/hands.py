"""The editor behind a connection as an executor: takes offers of its folder's sessions, and reports like any other.

What begins stands on the server before it does, which is this executor's journal; a connection that is lost loses its
lease like a runner that died, and the calls that had begun are interrupted.
"""

import asyncio
import hashlib
import time
from contextlib import suppress
from typing import Any

import structlog
from acp import helpers

import quarterdeck
from quarterdeck.app import editors, executors, hellos, offers
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.editors import AttachEditor
from quarterdeck.app.executors import Hands as Holder
from quarterdeck.core import protocol as p
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.events import Outcome
from quarterdeck.core.text import clean
from quarterdeck.doors.acp.bodies import Bodies, Done
from quarterdeck.doors.acp.terminals import Terminals

CALLS_AT_ONCE = 4
_log = structlog.get_logger(__name__)


class Hands:
    """One folder of one connection."""

    def __init__(self, app: App, actor: Actor, client: Any, name: str, folder: str) -> None:
        self._app, self._actor, self._client, self._name, self._folder = app, actor, client, name, folder
        self.number = 0
        """Of the executor, once it is attached."""
        self._holder = Holder(0)
        self._sessions: dict[int, str] = {}
        self._terminals: dict[int, Terminals] = {}
        self._held: dict[str, int] = {}
        self._prepared: dict[str, int] = {}
        """The lease for which the server was told that the folder is there."""
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._of: dict[str, str] = {}
        """The subjects of the calls that run."""
        self._over = False
        self._early: dict[int, list[p.Offer]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def attach(self) -> int:
        """Introduces the folder, once, and takes offers from then on; answers the executor's number."""
        if self.number:
            return self.number
        instance = hashlib.sha256(f"acp {self._name} {self._folder}".encode()).hexdigest()[:32]
        told = AttachEditor(kind="client", name=self._name, instance=instance, folder=self._folder)
        attached = await editors.attach(self._app, self._actor, told)
        self._holder = await executors.authenticate(self._app, attached.token)
        hello = p.Hello(
            protocol=p.PROTOCOL_VERSION, version=quarterdeck.__version__, name=self._name, instance=instance,
            kind="client", capacity=CALLS_AT_ONCE, isolation="none", capabilities={"sandbox": "none"},
        )  # fmt: skip
        await hellos.hello(self._app, self._holder, hello)
        self.number = attached.executor
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._beat())]
        return self.number

    def open(self, number: int, session_id: str) -> None:
        """The session is open in the editor under that id: what it was offered before is taken now."""
        self._sessions[number] = session_id
        self._terminals.setdefault(number, Terminals(self._client, session_id, self._folder))
        for offer in self._early.pop(number, []):
            self._begin(offer)

    def close(self, number: int) -> None:
        """The editor has it open no more."""
        self._sessions.pop(number, None)

    async def end(self) -> None:
        """The connection is over."""
        self._over = True
        for task in (*self._tasks, *self._calls.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._calls.values(), return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(p.HEARTBEAT_SECONDS)
            held = tuple(p.Held(subject=subject, lease_epoch=epoch) for subject, epoch in self._held.items())
            with suppress(QuarterdeckError):
                beat = p.Heartbeat(runner=self.number, held=held)
                for subject in (await executors.heartbeat(self._app, self._holder, beat)).lost:
                    await self._lose(subject)

    async def _listen(self) -> None:
        while True:
            try:
                async for orders in offers.stream(self._app, self._holder, self.number):
                    for order in orders:
                        await self._take(order)
                return  # another window took the folder over
            except QuarterdeckError as error:
                _log.info("editor's stream ended", fault=error.message)
                await asyncio.sleep(1)

    async def _take(self, order: offers.Order) -> None:
        match order:
            case p.Offer():
                self._begin(order)
            case p.Cancel() if order.call_id:
                await self._stop_call(order)
            case p.Cancel():
                await self._tear_down(order)
            case p.Wipe():
                self._held.pop(order.subject, None)
            case p.Drained():
                pass

    def _begin(self, offer: p.Offer) -> None:
        number = int(offer.subject.partition(":")[2])
        if number not in self._sessions:
            self._early.setdefault(number, []).append(offer)
        elif offer.call_id not in self._calls:
            self._held[offer.subject] = offer.lease_epoch
            self._of[offer.call_id] = offer.subject
            self._calls[offer.call_id] = asyncio.create_task(self._carry_out(offer, number))
            self._calls[offer.call_id].add_done_callback(lambda _: self._forget(offer.call_id))

    def _forget(self, call_id: str) -> None:
        self._calls.pop(call_id, None)
        self._of.pop(call_id, None)

    async def _carry_out(self, offer: p.Offer, number: int) -> None:
        began = time.monotonic()
        turn_no, epoch = offer.turn_no, offer.lease_epoch
        size = 0

        async def printed(text: str) -> None:
            nonlocal size
            data = text.encode("utf-8", "replace")
            size = (
                await executors.output(self._app, self._holder, offer.call_id, offer.lease_epoch, size, data)
            ).next_offset

        async def shown(terminal: str) -> None:
            update = helpers.update_tool_call(offer.call_id, content=[helpers.tool_terminal_ref(terminal)])
            await self._client.session_update(session_id=self._sessions[number], update=update)

        try:
            if self._prepared.get(offer.subject) != epoch:
                ready = p.Prepared(lease_epoch=epoch, base_commit=offer.workspace.commit, isolation="none")
                await executors.prepared(self._app, self._holder, offer.subject, ready)
                self._prepared[offer.subject] = epoch
            await executors.started(
                self._app, self._holder, offer.call_id, p.Started(turn_no=turn_no, lease_epoch=epoch)
            )
            bodies = Bodies(self._client, self._sessions[number], self._folder, self._terminals[number], shown, printed)
            outcome, text, code = await _done(bodies, offer)
        except asyncio.CancelledError:
            outcome, text, code = Outcome.CANCELLED, "The call was cancelled while it ran, and killed.", None
            if self._over or offer.subject not in self._held:
                raise
        except QuarterdeckError as error:
            _log.info("call not begun", call_id=offer.call_id, fault=error.message)
            return
        result = p.Result(
            turn_no=turn_no, lease_epoch=epoch, begun=True, outcome=outcome, text=clean(text), exit_code=code,
            output_bytes=size, duration_ms=int((time.monotonic() - began) * 1000),
        )  # fmt: skip
        with suppress(QuarterdeckError):  # fenced: somebody else has said how it ended
            await executors.result(self._app, self._holder, offer.call_id, result)

    async def _stop_call(self, order: p.Cancel) -> None:
        if task := self._calls.get(order.call_id):
            await self._kill(order.subject)
            task.cancel()

    async def _kill(self, subject: str) -> int:
        terminals = self._terminals.get(int(subject.partition(":")[2]))
        return await terminals.kill() if terminals else 0

    async def _tear_down(self, order: p.Cancel) -> None:
        """Kills all terminals of the session; what an editor says of its processes is all that can be known."""
        began = time.monotonic()
        killed = await self._lose(order.subject)
        proof = p.Teardown(
            lease_epoch=order.lease_epoch, killed=killed, left=0, method="terminal/kill",
            duration_ms=(time.monotonic() - began) * 1000,
        )  # fmt: skip
        with suppress(QuarterdeckError):
            await executors.teardown(self._app, self._holder, order.subject, proof)

    async def _lose(self, subject: str) -> int:
        killed = await self._kill(subject)
        self._held.pop(subject, None)
        for call_id in [one for one, of in self._of.items() if of == subject]:
            self._calls[call_id].cancel()
        return killed


async def _done(bodies: Bodies, offer: p.Offer) -> Done:
    """How a call ended; whatever goes wrong in the editor is told to the model."""
    body = bodies.tools.get(offer.tool)
    if body is None or offer.mcp is not None:
        return Outcome.ERROR, f"An editor can't carry out {offer.tool}; it is there on runners.", None
    try:
        return await body(offer.args)
    except QuarterdeckError as error:
        return Outcome.ERROR, error.message, None
    except Exception as error:
        return Outcome.ERROR, f"The editor refused: {error}", None
