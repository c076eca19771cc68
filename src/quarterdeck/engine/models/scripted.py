"""The scripted model: answers from a script instead of a language model, and drives real tools with what it is told.

It keeps no state: where it is in the script, and what it has captured, is read off the conversation again each time,
so that any worker goes on from there.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from quarterdeck.core.events import Outcome
from quarterdeck.core.history import Answered, Message, Result, Results, Said
from quarterdeck.core.text import cut
from quarterdeck.core.usage import Usage
from quarterdeck.engine.models import memory
from quarterdeck.engine.models.model import (
    ModelRejectedError,
    ModelUnavailableError,
    OnText,
    Reply,
    Request,
    RequestedCall,
)
from quarterdeck.engine.models.script import (
    CAPTURE_CHARACTERS,
    Call,
    CallResult,
    Failure,
    Script,
    Step,
    argument,
    filled,
    pattern,
    read_script,
)
from quarterdeck.engine.models.searches import Search, searching

REPEATS = 3
"""How often a step is given again when an executor died under one of its calls."""
PIECES = 20
SHOWN_CHARACTERS = 600
"""How much of what came a mismatch shows."""

_FAILED: Counter[tuple[int, str, int]] = Counter()
"""How often a step has failed in this process, by session, component and step: no failure is in the conversation."""


class ScriptedModel:
    """Implements `Model` from the YAML of a script; `name` is `scripted:<name>`."""

    def __init__(self, name: str, script: str, *, hasty: bool = False) -> None:
        """A `hasty` one doesn't wait where the script says so.

        Raises:
            InvalidInputError: every fault of the script and its line.
        """
        self._name = name
        self._hasty = hasty
        self._script: Script = read_script(script)

    async def answer(self, request: Request, on_text: OnText) -> Reply:
        """The next step's answer.

        Raises:
            ModelRejectedError: what came isn't what the step expects, the script has ended, or the step says so.
            ModelUnavailableError: the step says so.
        """
        began = time.monotonic()
        step, reading = await self._read(request)
        if request.compacting:
            return self._reply(memory.written(reading.number, reading.captured), (), began)
        if step.fail is not None:
            self._fail(step.fail, (request.session, request.component, reading.number))
        text = filled(step.say, reading.captured)
        await _speak(text, 0 if self._hasty else step.delay, on_text)
        calls = tuple(
            RequestedCall(
                f"{request.component}-{reading.answers + 1}-{index}", call.tool, _args(call, reading.captured)
            )
            for index, call in enumerate(step.call, 1)
        )
        return self._reply(text, calls, began)

    def _reply(self, text: str, calls: tuple[RequestedCall, ...], began: float) -> Reply:
        return Reply(
            text=text,
            thinking="",
            calls=calls,
            opaque="",
            model=self._name,
            usage=Usage(requests=1),
            duration_ms=round((time.monotonic() - began) * 1_000),
        )

    async def results(self, request: Request) -> tuple[CallResult, ...]:
        """What the calls of the answer to `request` come to in a simulation."""
        step, reading = await self._read(request)
        return tuple(
            call.result.model_copy(update={"text": filled(call.result.text, reading.captured)}) for call in step.call
        )

    def results_of(self, component: str, tool: str) -> tuple[CallResult, ...]:
        """What the calls of a component without a model come to in a simulation, in turn."""
        steps = self._script.components.get(component, ())
        calls = [call for step in steps for call in step.call if call.tool == tool]
        return tuple(call.result.model_copy(update={"text": filled(call.result.text, {})}) for call in calls)

    async def _read(self, request: Request) -> "tuple[Step, _Reading]":
        """The step that answers the request; a subagent's steps are those of its path, else of its name."""
        path = request.component
        name = path.split(":")[-2] if ":" in path else path
        steps = self._script.components.get(path, self._script.components.get(name))
        if steps is None:
            known = ", ".join(self._script.components)
            raise ModelRejectedError(f"The script has no answers for {path!r}; it has some for {known}.")
        async with searching() as search:
            reading = _Reading(path, steps, search)
            reading.remember(request)
            return await reading.next(request.messages[:-1] if request.compacting else request.messages), reading

    def _fail(self, failure: Failure, step: tuple[int, str, int]) -> None:
        if _FAILED[step] >= failure.times:
            return
        _FAILED[step] += 1
        match failure.kind:
            case "unavailable":
                raise ModelUnavailableError(failure.message, retry_after=failure.retry_after)
            case "rejected":
                raise ModelRejectedError(failure.message)


@dataclass
class _Reading:
    """A walk through the conversation beside the script."""

    component: str
    steps: tuple[Step, ...]
    search: Search
    number: int = 0
    """The step given last, counted from 1."""
    answers: int = 0
    captured: dict[str, str] = field(default_factory=dict[str, str])
    _seen: list[Message] = field(default_factory=list[Message])
    _repeats: int = 0

    def remember(self, request: Request) -> None:
        """Goes on from what was captured before the conversation was compacted."""
        first = request.messages[0] if request.compacted else None
        if isinstance(first, Said):
            self.number, self.captured = memory.read(first.text)
            self.answers = request.compacted

    async def next(self, messages: Sequence[Message]) -> Step:
        """The step that answers the conversation as it stands."""
        rounds = _rounds(messages)
        step: Step | None = None
        if self.number:  # the answer that stands first behind the memory was given by a step that it knows of
            next(rounds)
            step = self.steps[self.number - 1]
        before = self.answers
        for seen, came in rounds:
            again = step is not None and _interrupted(came)
            self._repeats = self._repeats + 1 if again else 0
            if self._repeats > REPEATS:
                raise ModelRejectedError(
                    f"{self._step()}: its calls were interrupted {self._repeats} times; the script gives them up."
                )
            if not again:
                step = await self._advance(seen, _text(came))
            self.answers = before + sum(isinstance(message, Answered) for message in seen)
        if step is None:
            raise ModelRejectedError("There is nothing in the conversation that a script could answer.")
        return step

    async def _advance(self, seen: Sequence[Message], came: str) -> Step:
        while self.number < len(self.steps):
            step = self.steps[self.number]
            self.number += 1
            if step.when is not None and await self._found(step.when, came) is None:
                continue
            if step.expect is not None and await self._found(step.expect, came) is None:
                raise self._mismatch(f"{step.expect!r} was expected", came)
            for name, capture in step.capture.items():
                text = _result_of(capture.of, seen) if capture.of else came
                found = await self._found(capture.pattern, text)
                if found is None or len(found) > CAPTURE_CHARACTERS:
                    problem = "nothing" if found is None else f"more than {CAPTURE_CHARACTERS:,} characters"
                    raise self._mismatch(f"{problem} to capture as {name!r} with {capture.pattern!r}", text)
                self.captured[name] = found
            return step
        raise ModelRejectedError(
            f"The script has ended: it has {len(self.steps)} steps for {self.component!r}, and all are used. "
            f"What came is: {cut(came, SHOWN_CHARACTERS)}"
        )

    async def _found(self, text: str, came: str) -> str | None:
        return await self.search(pattern(text, self.captured), came)

    def _mismatch(self, what: str, came: str) -> ModelRejectedError:
        return ModelRejectedError(f"{self._step()}: {what}, but what came begins: {came[:SHOWN_CHARACTERS]}")

    def _step(self) -> str:
        return f"Step {self.number} of {self.component!r} in the script"


def _rounds(messages: Sequence[Message]) -> Iterator[tuple[Sequence[Message], list[Said | Results]]]:
    """What the model saw each time it was asked, now included: everything up to then, and what came since it spoke."""
    came: list[Said | Results] = []
    for index, message in enumerate(messages):
        if isinstance(message, Answered):
            yield messages[:index], came
            came = []
        else:
            came.append(message)
    yield messages, came


def _interrupted(came: Sequence[Said | Results]) -> bool:
    results = [result for message in came if isinstance(message, Results) for result in message.results]
    return any(result.outcome is Outcome.INTERRUPTED for result in results)


def _text(came: Sequence[Said | Results]) -> str:
    return "\n".join(
        text
        for message in came
        for text in ([message.text] if isinstance(message, Said) else [result.text for result in message.results])
    )


def _result_of(tool: str, seen: Sequence[Message]) -> str:
    """The text of the newest result of `tool`; empty when there is none."""
    found: list[Result] = [
        result for message in seen if isinstance(message, Results) for result in message.results if result.tool == tool
    ]
    return found[-1].text if found else ""


def _args(call: Call, captured: dict[str, str]) -> dict[str, JsonValue]:
    return {name: _value(value, captured) for name, value in call.args.items()}


def _value(value: JsonValue, captured: dict[str, str]) -> JsonValue:
    match value:
        case str():
            return argument(value, captured)
        case dict():
            return {name: _value(inside, captured) for name, inside in value.items()}
        case list():
            return [_value(inside, captured) for inside in value]
        case _:
            return value


async def _speak(text: str, delay: float, on_text: OnText) -> None:
    """Gives `text` out in pieces, spread over `delay` seconds."""
    pieces = min(PIECES, len(text)) or 1
    for piece in range(1, pieces + 1):
        await asyncio.sleep(delay / pieces)
        if text:
            await on_text(text[: len(text) * piece // pieces])
