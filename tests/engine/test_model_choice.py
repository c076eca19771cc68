"""Which model a session asks: by name, by the rules, in another's place, or from a recording."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from typing_extensions import override

from quarterdeck import server
from quarterdeck.app import deletion, model_rules, projects, session_log, sessions, steering
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.model_rules import ChangeRules
from quarterdeck.app.projects import AddProject
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.access import Role
from quarterdeck.core.answer import Reply, RequestedCall
from quarterdeck.core.errors import ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.status import Status
from quarterdeck.core.usage import Usage
from quarterdeck.engine.brain import Brain
from quarterdeck.engine.desk import Desk
from quarterdeck.engine.models import access
from quarterdeck.engine.models.access import ModelKeys
from quarterdeck.engine.models.model import Model, ModelRejectedError, ModelUnavailableError, OnText, Request
from quarterdeck.engine.worker import Worker
from quarterdeck.settings import Settings
from quarterdeck.store.tables import users
from tests.conftest import Start

FLOW = """
version: v1
environment: ambient
name: talk
components:
  - {name: think, type: AgentComponent, prompt_id: talk, inputs: ["context:goal"], toolset: [todo_write],
     model_tags: [unheard-of, deep]}
  - {name: tell, type: AgentComponent, prompt_id: talk, inputs: ["context:goal"]}
routers:
  - {from: think, to: tell}
  - {from: tell, to: end}
flow: {entry_point: think}
prompts:
  - {prompt_id: talk, name: talk, prompt_template: {system: Be brief., user: "{{ goal }}"}}
"""


@pytest.fixture
async def keyed(app: App, start: Start, home: Path, database_url: str) -> Any:
    """The same database, with keys of three providers in the environment."""
    del app, start
    keys = {f"{name}_API_KEY": f"key-of-{name}" for name in ("OPENAI", "GROQ", "MISTRAL")}
    assembled = server.assemble(Settings.model_validate({"home": home, **keys}), database_url)
    assembled.doorbell.start()
    yield assembled
    await assembled.doorbell.stop()
    await assembled.database.close()


async def begin(app: App, actor: Actor, **more: Any) -> sessions.SessionView:
    request = {"project": "sample", "flow_yaml": FLOW, "goal": "Say hello.", **more}
    return await sessions.start(app, actor, sessions.StartSession.model_validate(request))


async def rule(app: App, actor: Actor, **change: Any) -> model_rules.RulesView:
    return await model_rules.change(app, actor, ChangeRules.model_validate(change))


async def created(app: App, actor: Actor, session_id: int) -> e.SessionCreated:
    first = (await session_log.events(app, actor, session_id))[0].payload
    assert isinstance(first, e.SessionCreated)
    return first


async def test_the_narrowest_rule_names_the_model_and_what_was_named_comes_first(keyed: App, owner: Actor) -> None:
    assert (await begin(keyed, owner)).model.startswith("openai:")
    await rule(keyed, owner, default="groq:instance")
    assert (await begin(keyed, owner)).model == "groq:instance"
    await rule(keyed, owner, project="sample", default="groq:project")
    assert (await begin(keyed, owner)).model == "groq:project"
    await rule(keyed, owner, flow="talk", default="groq:flow")
    await rule(keyed, owner, flow="other", default="groq:other")
    assert (await begin(keyed, owner)).model == "groq:flow"
    await rule(keyed, owner, project="sample", flow="talk", default="groq:both")
    assert (await begin(keyed, owner)).model == "groq:both"
    assert (await begin(keyed, owner, model="mistral:named")).model == "mistral:named"
    left = await rule(keyed, owner, project="sample", flow="talk", default=None)
    assert left.default is None
    assert (await begin(keyed, owner)).model == "groq:flow"
    shown = await model_rules.show(keyed, owner)
    assert {(one.project, one.flow, one.default) for one in shown.rules} == {
        (None, "", "groq:instance"), ("sample", "", "groq:project"),
        (None, "talk", "groq:flow"), (None, "other", "groq:other"),
    }  # fmt: skip
    assert {one.provider for one in shown.providers if one.source} == {"openai", "groq", "mistral"}


async def test_a_components_tag_has_its_model_unless_the_session_names_one(keyed: App, owner: Actor) -> None:
    await rule(keyed, owner, tags={"deep": "mistral:deep", "else": "groq:else"}, default="groq:plain")
    session = await begin(keyed, owner)
    assert session.model == "groq:plain"
    assert (await created(keyed, owner, session.id)).component_models == {"think": "mistral:deep"}
    brain = Recorded()
    await finished(keyed, owner, session.id, brain)
    assert brain.asked == [("mistral:deep", "think"), ("groq:plain", "tell")]
    answers = [one.payload for one in await session_log.events(keyed, owner, session.id)]
    assert [p.model for p in answers if isinstance(p, e.ModelAnswered)] == ["mistral:deep", "groq:plain"]
    named = await begin(keyed, owner, model="groq:named")
    assert (await created(keyed, owner, named.id)).component_models == {}


async def test_a_project_only_narrows_what_the_instance_allows(keyed: App, owner: Actor) -> None:
    await rule(keyed, owner, allowed=["groq:*", "mistral:small"])
    await rule(keyed, owner, project="sample", allowed=["groq:a*", "openai:*"])
    assert (await begin(keyed, owner, model="groq:able")).model == "groq:able"
    for name, told in (("groq:b", "groq:a"), ("mistral:small", "groq:a"), ("openai:x", r"groq:\*, mistral:small")):
        with pytest.raises(InvalidInputError, match=f"{name} is not allowed here. Allowed are: .*{told}"):
            await begin(keyed, owner, model=name)
    session = await begin(keyed, owner, model="groq:able")
    await rule(keyed, owner, allowed=["mistral:*"])
    await until(keyed, owner, session.id, Status.PAUSED, Recorded())
    assert "groq:able is not allowed here" in (await sessions.show(keyed, owner, session.id)).reason


async def test_who_may_change_which_rule(keyed: App, owner: Actor) -> None:
    stranger = Actor(owner.user_id + 1, "bo", "Bo", "", admin=False)
    with pytest.raises(ForbiddenError, match="Only administrators"):
        await rule(keyed, stranger, default="groq:x")
    with pytest.raises(NotFoundError):
        await rule(keyed, stranger, project="sample", default="groq:x")
    for change, told in (
        ({"default": "mystery:x"}, "no known provider"),
        ({"default": "scripted:x"}, "no known provider"),
        ({"fallbacks": {"groq:a": ["groq:a"]}}, "twice"),
        ({"fallbacks": {"groq:a": ["groq:b"]}, "project": "sample"}, "are the instance's"),
        ({"allowed": ["groq:*"], "flow": "talk"}, "name no flow"),
    ):
        with pytest.raises(InvalidInputError, match=told):
            await rule(keyed, owner, **change)
    await rule(keyed, owner, project="sample", default="groq:secret-plan")
    assert (await model_rules.show(keyed, stranger)).rules == []


@dataclass
class Recorded:
    """Models that answer, but for those in `away`; it keeps who was asked."""

    away: dict[str, int] = field(default_factory=dict[str, int])
    rejected: tuple[str, ...] = ()
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def model(self, name: str, script: str | None) -> Model:
        if script is not None:
            return access.model(name, script, ModelKeys())
        return _One(self, name)


@dataclass
class _One(Model):
    of: Recorded
    name: str

    @override
    async def answer(self, request: Request, on_text: OnText) -> Reply:
        self.of.asked.append((self.name, request.component))
        await on_text("Hel")
        if self.name in self.of.rejected:
            raise ModelRejectedError(f"{self.name} is not there.")
        if self.of.away.get(self.name, 0) > 0:
            self.of.away[self.name] -= 1
            request.meter.usage = Usage(requests=1, input_tokens=5, output_tokens=1, cost=None, estimated=True)
            raise ModelUnavailableError(f"{self.name} is away.", retry_after=0.05)
        return Reply("Hello.", "", (), "", self.name, Usage(requests=1, input_tokens=3), 1)


async def until(app: App, actor: Actor, session_id: int, status: Status, brain: Recorded) -> None:
    stop = asyncio.Event()
    work = asyncio.create_task(Worker(app, Brain(app, brain.model), Desk(app), concurrency=4).run(stop))
    try:
        async with asyncio.timeout(60):
            while (await sessions.show(app, actor, session_id)).status is not status:
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        await asyncio.wait((work,), timeout=60)


async def finished(app: App, actor: Actor, session_id: int, brain: Recorded) -> list[e.AnyPayload]:
    await until(app, actor, session_id, Status.FINISHED, brain)
    return [event.payload for event in await session_log.events(app, actor, session_id)]


async def test_another_answers_only_where_it_was_named_and_after_a_second_try(keyed: App, owner: Actor) -> None:
    await rule(keyed, owner, fallbacks={"groq:first": ["mistral:gone", "mistral:second"]}, allowed=["*"])
    session = await begin(keyed, owner, model="groq:first")
    brain = Recorded(away={"groq:first": 2}, rejected=("mistral:gone",))
    log = await finished(keyed, owner, session.id, brain)
    assert [name for name, _ in brain.asked] == [
        "groq:first", "groq:first", "mistral:gone", "mistral:second", "groq:first",
    ]  # fmt: skip
    assert [p.model for p in log if isinstance(p, e.ModelAnswered)] == ["mistral:second", "groq:first"]
    assert len([p for p in log if isinstance(p, e.ModelRetried)]) == 1
    used = [(p.model, p.usage.estimated) for p in log if isinstance(p, e.UsageRecorded)]
    assert used == [("groq:first", True), ("groq:first", True), ("mistral:second", False), ("groq:first", False)]
    total = (await sessions.show(keyed, owner, session.id)).usage
    assert (total.requests, total.input_tokens, total.estimated, total.cost) == (4, 16, True, None)


async def test_without_a_chain_nobody_stands_in(keyed: App, owner: Actor) -> None:
    await rule(keyed, owner, fallbacks={"groq:else": ["mistral:second"]})
    session = await begin(keyed, owner, model="groq:first")
    brain = Recorded(away={"groq:first": 3})
    await finished(keyed, owner, session.id, brain)
    assert {name for name, _ in brain.asked} == {"groq:first"}


async def test_a_stopped_answer_leaves_what_it_used(keyed: App, owner: Actor) -> None:
    begun = asyncio.Event()

    class Endless(Model):
        @override
        async def answer(self, request: Request, on_text: OnText) -> Reply:
            begun.set()
            try:
                await asyncio.sleep(600)
            finally:
                request.meter.usage = Usage(requests=1, input_tokens=40, output_tokens=2, cost=None, estimated=True)
            raise AssertionError

    session = await begin(keyed, owner, model="groq:first")
    stop = asyncio.Event()
    brain = Brain(keyed, lambda _name, _script: Endless())
    work = asyncio.create_task(Worker(keyed, brain, Desk(keyed), concurrency=4).run(stop))
    try:
        await asyncio.wait_for(begun.wait(), 60)
        await steering.cancel(keyed, owner, session.id)
        async with asyncio.timeout(60):
            while not (await sessions.show(keyed, owner, session.id)).usage.estimated:
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        await asyncio.wait((work,), timeout=60)
    view = await sessions.show(keyed, owner, session.id)
    assert (view.status, view.usage.input_tokens, view.usage.cost) == (Status.STOPPED, 40, None)


async def test_a_recorded_session_is_given_again_and_marked(keyed: App, owner: Actor) -> None:
    @dataclass
    class Acting(Recorded):
        @override
        def model(self, name: str, script: str | None) -> Model:
            if script is not None:
                return access.model(name, script, ModelKeys())
            return _Acts(self, name)

    class _Acts(_One):
        @override
        async def answer(self, request: Request, on_text: OnText) -> Reply:
            reply = await super().answer(request, on_text)
            plan = RequestedCall("p1", "todo_write", {"items": [{"text": "one {thing} {{more}}", "status": "pending"}]})
            first = request.component == "think" and request.answered == 0
            return Reply("Planned.", "Hm.", (plan,), "sealed", self.name, reply.usage, 1) if first else reply

    first = await begin(keyed, owner, model="groq:first")
    original = await finished(keyed, owner, first.id, Acting())
    again = await begin(keyed, owner, model=f"replay:{first.id}")
    assert (again.scripted, again.model) == (True, f"replay:{first.id}")
    await deletion.delete_session(keyed, owner, first.id)
    repeated = await finished(keyed, owner, again.id, Recorded())

    def said(log: list[e.AnyPayload]) -> list[Any]:
        return [
            (p.component, p.text, p.thinking, [(c.tool, c.args) for c in p.calls])
            for p in log
            if isinstance(p, e.ModelAnswered)
        ]

    assert said(repeated) == said(original)
    assert [p.model for p in repeated if isinstance(p, e.ModelAnswered)] == [f"replay:{first.id}"] * 3
    assert [p.items for p in repeated if isinstance(p, e.PlanChanged)] == [
        p.items for p in original if isinstance(p, e.PlanChanged)
    ]
    assert (await sessions.show(keyed, owner, again.id)).usage.cost == 0


async def test_a_recording_that_ends_too_early_pauses_with_the_reason(keyed: App, owner: Actor) -> None:
    first = await begin(keyed, owner, model="groq:first")
    await finished(keyed, owner, first.id, Recorded())
    longer = FLOW
    for word in ("name", "to", "from"):
        longer = longer.replace(f"{word}: tell", f"{word}: more")
    again = await begin(keyed, owner, flow_yaml=longer, model=f"replay:{first.id}")
    await until(keyed, owner, again.id, Status.PAUSED, Recorded())
    reason = (await sessions.show(keyed, owner, again.id)).reason
    assert f"session #{first.id} has no answers of 'more'; it has some of think, tell" in reason


async def test_only_what_may_be_read_and_has_answers_can_be_replayed(keyed: App, owner: Actor) -> None:
    first = await begin(keyed, owner, model="groq:first")
    for name in (f"replay:{first.id}", "replay:x", "replay:", f"replay:{'9' * 30}"):
        with pytest.raises(InvalidInputError):
            await begin(keyed, owner, model=name)
    with pytest.raises(NotFoundError):
        await begin(keyed, owner, model="replay:9999")
    await finished(keyed, owner, first.id, Recorded())
    await projects.add(keyed, owner, AddProject(path="elsewhere", sample=True))
    async with keyed.database.transaction() as connection:
        number = (await connection.execute(insert(users).values(username="bo").returning(users.c.id))).scalar_one()
    stranger = Actor(number, "bo", "Bo", "", admin=False)
    await projects.set_member(keyed, owner, "elsewhere", "bo", Role.DEVELOPER)
    with pytest.raises(NotFoundError):
        await begin(keyed, stranger, project="elsewhere", model=f"replay:{first.id}")


async def test_a_session_knows_how_much_its_model_reads_at_once(keyed: App, owner: Actor) -> None:
    async def context(model: str) -> int:
        view = await begin(keyed, owner, model=model)
        first = (await session_log.events(keyed, owner, view.id))[0].payload
        assert isinstance(first, e.SessionCreated)
        return first.context_tokens

    assert await context("openai:gpt-4o") == 128_000
    assert await context("openai:gpt-4.1") >= 1_000_000
    assert await context("groq:never-heard-of") == limits.CONTEXT_TOKENS
