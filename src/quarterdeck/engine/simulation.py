"""A simulation: the scripted model answers, the script says what calls come to, and nothing is touched."""

from collections import Counter
from itertools import count

from quarterdeck.app.outside import FlowLibrary
from quarterdeck.app.simulated import Asked, Ending, Show, SimulatedSession, Simulation
from quarterdeck.core import events as e
from quarterdeck.core.state import Call
from quarterdeck.core.status import Transition
from quarterdeck.engine.models.model import ModelRejectedError, ModelUnavailableError, Request
from quarterdeck.engine.models.script import SIMULATED, CallResult
from quarterdeck.engine.models.scripted import ScriptedModel

ATTEMPTS = 1_000
"""How often a model that is away is asked again; a script's step fails no more often."""
ANSWERS = 10_000
"""Whatever a script says, a simulation comes to an end."""

_NUMBERS = count(-1, -1)
"""Sessions that there are not: the scripted model counts the failures of each."""


async def simulate(flows: FlowLibrary, wish: Simulation, show: Show) -> Ending:
    """Runs the flow to its end; `show` is told each event.

    Raises:
        InvalidInputError: the flow or the script can't be used, or the inputs don't fit.
    """
    model = ScriptedModel("scripted:script", wish.script, hasty=True) if wish.script is not None else None
    session = SimulatedSession(flows, flows.read(wish.flow), wish, show)
    simulated = _Simulated(session, model)
    for _ in range(ANSWERS):
        match session.advance():
            case None:
                return session.ending()
            case Asked() as asked:
                if not await simulated.answer(asked):
                    return session.ending()
            case offered:
                simulated.finish(offered)
    session.move(Transition.DROP, reason=f"The simulation was given up after {ANSWERS:,} answers and calls.")
    return session.ending()


class _Simulated:
    def __init__(self, session: SimulatedSession, model: ScriptedModel | None) -> None:
        self._session = session
        self._model = model
        self._number = next(_NUMBERS)
        self._results: dict[str, CallResult] = {}
        self._visits: Counter[str] = Counter()

    async def answer(self, asked: Asked) -> bool:
        """The model's answer; False when there is none, and the session is paused as a real one would be."""
        try:
            await self._answer(asked)
        except ModelRejectedError as error:
            self._session.move(Transition.PAUSE, reason=error.message)
            return False
        return True

    async def _answer(self, asked: Asked) -> None:
        if self._model is None:
            raise ModelRejectedError(f"{asked.component!r} asks a model, and there is no script that answers.")
        talk = asked.conversation
        request = Request(
            asked.component,
            talk.system,
            tuple(talk.messages),
            asked.tools,
            self._number,
            compacted=talk.compacted,
            compacting=asked.cut is not None,
        )
        for attempt in range(1, ATTEMPTS + 2):
            try:
                reply = await self._model.answer(request, _unheard)
                break
            except ModelUnavailableError as error:
                self._away(asked.component, attempt, error.message)
        else:
            raise ModelRejectedError("The script never answers.")
        self._session.answered(asked, reply)
        if asked.cut is not None:
            return
        results = await self._model.results(request)
        made = [event.payload for event in self._session.events if isinstance(event.payload, e.ModelAnswered)]
        self._results = {call.call_id: result for call, result in zip(made[-1].calls, results, strict=True)}

    def _away(self, component: str, attempt: int, error: str) -> None:
        last = self._session.state.retry
        now = self._session.events[-1].at
        since = last.since if last else now
        self._session.append(
            e.ModelRetried(component=component, attempt=attempt, since=since, retry_at=now, error=error)
        )

    def finish(self, offered: dict[str, Call]) -> None:
        """Ends calls that were offered, as the script says."""
        for call_id, call in offered.items():
            result = self._results.get(call_id) or self._of_step(call)
            self._session.called(call_id, result.outcome, result.text)

    def _of_step(self, call: Call) -> CallResult:
        """What the call of a component without a model comes to, by how often it was made."""
        results = self._model.results_of(call.component, call.tool) if self._model is not None else ()
        visit = self._visits[call.component]
        self._visits[call.component] += 1
        return results[visit] if visit < len(results) else CallResult(text=SIMULATED)


async def _unheard(_text: str) -> None:
    return None
