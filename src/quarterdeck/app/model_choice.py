"""Which model a session is pinned to when it starts: as it was named, else by the rules; never silently another."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.model_access import StoredKey
from quarterdeck.app.model_keys import stored_keys
from quarterdeck.app.model_rules import rules_for
from quarterdeck.app.session_access import may
from quarterdeck.core import limits
from quarterdeck.core.access import Ability
from quarterdeck.core.component import Prompted
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import Event, SessionCreated
from quarterdeck.core.flow import Flow
from quarterdeck.core.model_rules import ModelRules
from quarterdeck.core.recording import recording
from quarterdeck.store import log_pages

SCRIPTED, REPLAY = "scripted", "replay"
_ANSWERS, _ANSWERS_AT_ONCE = log_pages.Wanted(kinds=frozenset({"model.answered"})), 1_000


@dataclass(frozen=True)
class Choice:
    """A session's model, and what stands in its place where it is no language model."""

    model: str
    document: str | None = None
    kind: Literal["script", "replay"] = "script"
    component_models: dict[str, str] = field(default_factory=dict[str, str])
    context_tokens: int = limits.CONTEXT_TOKENS
    """What the one that reads least of them reads at once."""

    @property
    def models(self) -> set[str]:
        """All that may be asked."""
        return {self.model, *self.component_models.values()}

    @property
    def room(self) -> int:
        """How many characters files may come to that are given at once."""
        return self.context_tokens * limits.CHARACTERS_PER_TOKEN // limits.ATTACHED_SHARE


@dataclass(frozen=True)
class Wish:
    """What a start says of the model."""

    model: str | None
    script: str | None
    """The person's own."""
    shipped: str | None
    """The flow's own."""
    flow: str
    """What the start calls the flow."""


async def choose(
    app: App, connection: AsyncConnection, actor: Actor, project_id: int | None, flow: Flow, wish: Wish
) -> Choice:
    """The model for a session of `flow`.

    Raises:
        InvalidInputError: none is configured, it can't be asked, or it isn't allowed here.
        NotFoundError, ForbiddenError: the session to replay is none that the actor may read.
    """
    provider = (wish.model or "").partition(":")[0]
    if provider == REPLAY:
        return await _recorded(connection, actor, wish)
    if provider == SCRIPTED:
        return _scripted(app, wish)
    stored = await stored_keys(app, connection)
    rules = await rules_for(connection, project_id, flow.name)
    name = wish.model or rules.default or app.models.default(stored)
    if name is None:
        raise InvalidInputError(
            "No model is configured. Set ANTHROPIC_API_KEY or OPENAI_API_KEY and start the server again, "
            "store a key with `qd model key set anthropic`, or ask for the scripted model by name: --model scripted."
        )
    if name.partition(":")[0] == SCRIPTED:  # a setting of the whole server, for demonstrations
        return _scripted(app, wish)
    components = {} if wish.model else _of_components(flow, rules, name)
    _usable(app, stored, rules, (name, *components.values()))
    reads = [await app.models.context_tokens(one) for one in {name, *components.values()}]
    return Choice(name, component_models=components, context_tokens=min(reads))


async def again(app: App, connection: AsyncConnection, created: SessionCreated, flow: Flow) -> Choice:
    """The language models of a session once more, for one that goes on from it.

    Raises:
        InvalidInputError: one of them can't be asked any more, or isn't allowed here.
    """
    stored = await stored_keys(app, connection)
    rules = await rules_for(connection, created.project_id, flow.name)
    _usable(app, stored, rules, {created.model, *created.component_models.values()})
    return Choice(created.model, component_models=created.component_models, context_tokens=created.context_tokens)


def _usable(app: App, stored: Sequence[StoredKey], rules: ModelRules, names: Collection[str]) -> None:
    for one in names:
        app.models.check(one, stored)
        if reason := rules.barred(one):
            raise InvalidInputError(reason)


def _of_components(flow: Flow, rules: ModelRules, name: str) -> dict[str, str]:
    agents = [one for one in flow.components if isinstance(one, Prompted)]
    tagged = {one.name: rules.of_tags(one.model_tags) for one in agents}
    return {component: model for component, model in tagged.items() if model is not None and model != name}


def _scripted(app: App, wish: Wish) -> Choice:
    script = wish.script if wish.script is not None else wish.shipped
    if script is None:
        raise InvalidInputError(f"The flow {wish.flow} ships no script. Give one with the model, or another model.")
    if len(script.encode()) > limits.SCRIPT_BYTES:
        raise InvalidInputError(f"A script may have {limits.SCRIPT_BYTES:,} bytes; this one is larger.")
    app.check_script(script)
    return Choice(f"{SCRIPTED}:script" if wish.script is not None else f"{SCRIPTED}:{wish.flow}", script)


async def _recorded(connection: AsyncConnection, actor: Actor, wish: Wish) -> Choice:
    """The answers are copied now: what becomes of the recorded session, or who may read it, matters no more then."""
    number = (wish.model or "").partition(":")[2].strip().removeprefix("#")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise InvalidInputError(f"{wish.model!r} names no session. Use replay:NUMBER, for example replay:12.")
    session_id = int(number)
    await may(connection, actor, session_id, Ability.READ_SESSION)
    events, size, after = list[Event](), 0, 0
    while True:
        page = await log_pages.page(connection, session_id, _ANSWERS, after=after, limit=_ANSWERS_AT_ONCE)
        events += page.events
        size += len(recording(session_id, page.events).model_dump_json().encode())
        if size > limits.RECORDING_BYTES:
            raise InvalidInputError(f"The answers of session #{session_id} are too long to be given again.")
        if page.next is None:
            break
        after = page.next
    found = recording(session_id, events)
    if not found.components:
        raise InvalidInputError(f"Session #{session_id} has no answers of a model that could be given again.")
    text = found.model_dump_json()
    return Choice(f"{REPLAY}:{session_id}", text, "replay")
