"""Scripts for the scripted model: what it answers, step by step, and what it takes from what it was told."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from quarterdeck.core import limits
from quarterdeck.core.events import Outcome
from quarterdeck.flows.document import Document, Path, read

PATTERN_CHARACTERS = 1_000
CAPTURE_CHARACTERS = 4_096
DELAY_SECONDS = 3_600
SCRIPTS = 64
"""So many are kept as they were read."""
SIMULATED = "(simulated)"
"""What a call comes to in a simulation when its script doesn't say."""

_PLACEHOLDER = re.compile(r"\{\{(#?[A-Za-z_]\w*)\}\}|\{#?([A-Za-z_]\w*)\}")
_NUMBER = re.compile(r"\{#([A-Za-z_]\w*)\}")


def filled(text: str, captured: dict[str, str], shape: Callable[[str], str] = str) -> str:
    """`text` with `{name}` replaced by what was captured, and `{{name}}` by `{name}`."""

    def put(match: re.Match[str]) -> str:
        name = match[2]
        return f"{{{match[1]}}}" if name is None else shape(captured.get(name, match[0]))

    return _PLACEHOLDER.sub(put, text)


def argument(text: str, captured: dict[str, str]) -> str | int:
    """As `filled`; what is `{#name}` and nothing else becomes a whole number, if one was captured."""
    text_of = filled(text, captured)
    return int(text_of) if _NUMBER.fullmatch(text) and re.fullmatch(r"-?[0-9]{1,18}", text_of) else text_of


def pattern(text: str, captured: dict[str, str]) -> str:
    """The regular expression in `text`; what was captured stands in it for itself. `^` and `$` are those of a line."""
    return filled(text, captured, re.escape)


def _compiles(text: str) -> str:
    try:
        re.compile(pattern(text, {}))
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"no regular expression: {error}") from error
    return text


def _one_group(text: str) -> str:
    groups = re.compile(pattern(text, {})).groups
    if groups != 1:
        raise ValueError(f"must have one group, the part to keep; it has {groups}")
    return text


def _listed(value: object) -> object:
    return [cast("object", value)] if isinstance(value, dict) else value


def _pattern_alone(value: object) -> object:
    return {"pattern": value} if isinstance(value, str) else value


def _text_alone(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


Pattern = Annotated[str, Field(max_length=PATTERN_CHARACTERS), AfterValidator(_compiles)]
Words = Annotated[str, Field(max_length=limits.MESSAGE_CHARACTERS)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Capture(_Part):
    """What to keep of a text: the group of `pattern`; `of` is a tool whose newest result it is, else what came last."""

    pattern: Annotated[Pattern, AfterValidator(_one_group)]
    of: str = ""


class CallResult(_Part):
    """What a call comes to in a simulation."""

    outcome: Outcome = Outcome.OK
    text: str = ""


class Call(_Part):
    """A tool call to make; `result` is for simulations alone, a real tool has its own."""

    tool: str
    args: dict[str, JsonValue] = {}
    result: Annotated[CallResult, BeforeValidator(_text_alone)] = CallResult(text=SIMULATED)


class Failure(_Part):
    """Instead of answering, fail: `times` times in each worker, then go on with the step."""

    kind: Literal["unavailable", "rejected"]
    message: str = "The script says so."
    times: int = Field(default=1, ge=1, le=1_000)
    retry_after: float | None = Field(default=None, ge=0, le=DELAY_SECONDS)


class Step(_Part):
    """One answer."""

    when: Pattern | None = None
    """The step is left out when what came doesn't match."""
    expect: Pattern | None = None
    capture: dict[str, Annotated[Capture, BeforeValidator(_pattern_alone)]] = {}
    say: Words = ""
    call: Annotated[tuple[Call, ...], BeforeValidator(_listed), Field(max_length=limits.CALLS_PER_ANSWER)] = ()
    delay: float = Field(default=0, ge=0, le=DELAY_SECONDS)
    """Seconds that the answer takes."""
    fail: Failure | None = None


class Script(_Part):
    """The answers of each component, in turn."""

    components: dict[str, tuple[Step, ...]] = Field(min_length=1)


@lru_cache(maxsize=SCRIPTS)
def read_script(text: str) -> Script:
    """The script in `text`; a session's every turn asks for it, and to read it takes longer than the turn.

    Raises:
        InvalidInputError: every fault, one a line, as `line:column path: what. hint`.
    """
    document = read(text, limits.SCRIPT_BYTES)
    if not document.faults and not isinstance(document.value, dict):
        document.fault((), "a script is a mapping with components, each with a list of steps")
    document.refuse("The script")
    try:
        script = Script.model_validate(document.value)
    except ValidationError as error:
        known = {name for model in (Script, Step, Call, CallResult, Capture, Failure) for name in model.model_fields}
        document.fitting_faults((), error.errors(include_url=False), known)
        document.refuse("The script")
        raise
    for name, steps in script.components.items():
        _placeholders(document, steps, ("components", name))
    document.refuse("The script")
    return script


def _placeholders(document: Document, steps: tuple[Step, ...], path: Path) -> None:
    """Every `{name}` must have been captured before it is used."""
    known: set[str] = set()
    for index, step in enumerate(steps):
        for at, text in _before_capture(step):
            _unknown(document, text, known, (*path, index, *at))
        for name, capture in step.capture.items():
            _unknown(document, capture.pattern, known, (*path, index, "capture", name))
            known.add(name)
        for at, text in _after_capture(step):
            _unknown(document, text, known, (*path, index, *at))


def _unknown(document: Document, text: str, known: set[str], path: Path) -> None:
    for _, name in _PLACEHOLDER.findall(text):
        if name and name not in known:
            hint = document.closest(name, known) or f"For the braces themselves write {{{{{name}}}}}"
            document.fault(path, f"{{{name}}} was not captured before", hint)


def _before_capture(step: Step) -> Iterator[tuple[Path, str]]:
    for key, text in (("when", step.when), ("expect", step.expect)):
        if text is not None:
            yield (key,), text


def _after_capture(step: Step) -> Iterator[tuple[Path, str]]:
    yield ("say",), step.say
    for index, call in enumerate(step.call):
        yield from _texts(call.args, ("call", index, "args"))
        yield ("call", index, "result"), call.result.text


def _texts(value: JsonValue, path: Path) -> Iterator[tuple[Path, str]]:
    match value:
        case str():
            yield path, value
        case dict():
            for key, inside in value.items():
                yield from _texts(inside, (*path, key))
        case list():
            for index, inside in enumerate(value):
                yield from _texts(inside, (*path, index))
        case _:
            return
