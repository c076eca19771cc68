"""What a project's agent-config.yml gives its sessions: from the default branch, once, and no more than is allowed."""

import dataclasses
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import QueuePool, select

from quarterdeck.app import chats, child_sessions, executors, forks, hellos, network, offers, projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.chats import StartChat
from quarterdeck.app.forks import ForkSession
from quarterdeck.app.network import EditNetwork
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.access import Role
from quarterdeck.core.agent_config import AgentConfig
from quarterdeck.core.errors import ForbiddenError, InvalidInputError
from quarterdeck.core.network import GROUPS, Groups, rules
from quarterdeck.store import log
from quarterdeck.store.database import Database
from quarterdeck.store.tables import sessions
from tests.app.test_mcp import person
from tests.app.test_merge_requests import commit
from tests.app.test_reports import HELLO, asked, calls, payloads
from tests.app.test_repository_context import created
from tests.app.test_sessions import PLANTED
from tests.conftest import Start

OURS, GITLABS = ".quarterdeck/agent-config.yml", ".gitlab/duo/agent-config.yml"
ASKS = "setup_script: make deps\nnetwork_policy:\n  allowed_domains: [rubygems.org, evil.test, git.test]\n"


@dataclasses.dataclass(frozen=True)
class Said:
    """A machine whose tools were asked already."""

    hosts: Groups

    async def found(self) -> Groups:
        return self.hosts

    def told(self) -> Groups:
        return self.hosts


@pytest.fixture
def app(app: App) -> App:
    """On a machine whose pip has a mirror, and that has no npm."""
    return dataclasses.replace(app, registries=Said({"pypi": ("mirror.test",), "npm": (), "apt": ("deb.test",)}))


@pytest.fixture
async def project(app: App, owner: Actor) -> projects.ProjectView:
    made = await projects.add(app, owner, projects.AddProject(path="group/app"))
    await commit(app, made.id, "main", None, **{OURS: ASKS, GITLABS: "setup_script: theirs\n"})
    return made


async def config(app: App, actor: Actor, **more: str) -> AgentConfig | None:
    return (await created(app, actor, **more))[1].agent_config


async def test_the_default_branch_alone_says_it(app: App, owner: Actor, project: projects.ProjectView) -> None:
    head = await app.forge.commit_of(project.id, "main")
    wide = "setup_script: steal\nnetwork_policy: {allowed_domains: ['*']}\n"
    await commit(app, project.id, "wide", "main", **{OURS: wide})
    first = await config(app, owner, ref="wide")
    assert first is not None
    assert (first.path, first.commit, first.setup_script) == (OURS, head, ("make deps",))
    assert first.network is not None
    assert first.network.permits("rubygems.org", 443)
    assert not first.network.permits("evil.test", 443)
    assert not first.network.permits("x.test", 443)
    assert "evil.test, git.test. An administrator may allow more" in "".join(first.notes)

    await commit(app, project.id, "main", "main^0", **{OURS: wide})
    later = await config(app, owner)
    assert later is not None
    assert later.setup_script == ("steal",)


async def test_what_may_be_asked_for_is_the_administrators(
    app: App, owner: Actor, project: projects.ProjectView
) -> None:
    nothing = await config(dataclasses.replace(app, network_hosts=()), owner)
    assert nothing is not None
    assert nothing.network is not None
    assert not nothing.network.permits("rubygems.org", 443)
    more = await config(dataclasses.replace(app, network_hosts=("git.test", "*.test")), owner)
    assert more is not None
    assert more.network is not None
    assert [more.network.permits(host, 443) for host in ("rubygems.org", "evil.test", "git.test")] == [
        False,
        True,
        True,
    ]
    assert more.network.named == ("git.test",)


async def test_one_word_is_the_hosts_that_this_machine_or_the_administrator_says(
    app: App, owner: Actor, project: projects.ProjectView
) -> None:
    asks = "network_policy: {allowed_domains: [pypi, npm, own, hex], denied_domains: [apt]}\n"
    await commit(app, project.id, "main", "main^0", **{OURS: asks})
    defined = {"own": ("git.test:8443",), "hex": ("hex.test",)}
    app = dataclasses.replace(app, network_groups=defined)
    found = await config(app, owner)
    assert found is not None
    policy = found.network
    assert policy is not None
    # A runner knows no groups, and may be older than they are.
    assert policy.allowed == ("mirror.test", "git.test:8443", "hex.test")
    assert policy.denied == ("deb.test",)
    assert all(len(rules(text)) == 1 for texts in (policy.allowed, *policy.within) for text in texts)
    assert [policy.permits("mirror.test", 443), policy.permits("git.test", 8443)] == [True, True]
    assert not any(policy.permits(host, 443) for host in (*GROUPS["hex"], "deb.test", "pypi", "npm"))
    # What an administrator wrote out may be in a private network, what a tool said may not.
    assert policy.named == ("git.test:8443", "hex.test")
    assert found.notes == (
        "This server knows no hosts for npm. An administrator may say them: QUARTERDECK_NETWORK_GROUPS.",
    )
    narrow = await config(dataclasses.replace(app, network_hosts=("pypi", "hex")), owner)
    assert narrow is not None
    assert narrow.network is not None
    assert narrow.network.named == ("hex.test",)
    assert narrow.network.within[0] == ("mirror.test", "hex.test")
    assert "only a part of: own. " in narrow.notes[1]
    view = await network.show(app, owner)
    assert view.hosts == ("registries",)
    assert (view.groups["pypi"], view.groups["npm"], view.groups["own"]) == (("mirror.test",), (), ("git.test:8443",))


async def test_a_project_lets_its_sessions_ask_for_less_and_never_for_more(
    app: App, owner: Actor, project: projects.ProjectView, start: Start
) -> None:
    async def permitted() -> list[bool]:
        found = await config(app, owner)
        assert found is not None
        assert found.network is not None
        told.append("".join(found.notes))
        return [found.network.permits(host, 443) for host in ("rubygems.org", "mirror.test")]

    told = list[str]()
    await commit(app, project.id, "main", "main^0", **{OURS: "network_policy: {allowed_domains: [rubygems, pypi]}\n"})
    at_first = await network.show_project(app, owner, project.id)
    assert (at_first.project_hosts, await permitted(), told[-1]) == (("server",), [True, True], "")
    edit = network.edit_project
    view = await edit(app, owner, project.path, EditNetwork(hosts=(" PyPI", "pypi")))
    assert view.project_hosts == (await network.show_project(app, owner, project.id)).project_hosts == ("pypi",)
    assert (await permitted(), "The project allows no part or only a part of: rubygems." in told[-1]) == (
        [False, True],
        True,
    )
    # The server's setting may become narrower later than the project's.
    narrow = dataclasses.replace(app, network_hosts=("rubygems",))
    found = await config(narrow, owner)
    assert found is not None
    assert found.network is not None
    assert not any(found.network.permits(host, 443) for host in ("rubygems.org", "mirror.test"))
    await edit(app, owner, project.id, EditNetwork(hosts=("none",)))
    assert await permitted() == [False, False]
    await edit(app, owner, project.id, EditNetwork(hosts=("server",)))
    assert await permitted() == [True, True]
    for wrong, said in {"git.test": "doesn't allow git.test", "*": "doesn't allow", "http://x": "is no host"}.items():
        with pytest.raises(InvalidInputError, match=said):
            await edit(app, owner, project.id, EditNetwork(hosts=(wrong,)))
    with pytest.raises(InvalidInputError, match="alone"):
        await edit(app, owner, project.id, EditNetwork(hosts=("none", "pypi")))
    # All groups are not all that the server allows.
    wider = dataclasses.replace(app, network_hosts=("registries", "git.internal:443", "*.corp.example"))
    asks = "network_policy: {allowed_domains: [rubygems, 'git.internal:443', '*.corp.example']}\n"
    await commit(app, project.id, "main", "main^0", **{OURS: asks})
    places = {("rubygems.org", 443): True, ("git.internal", 443): False, ("x.corp.example", 443): False}
    for hosts in (("registries",), ("registries", "server")):
        await edit(wider, owner, project.id, EditNetwork(hosts=hosts))
        found = await config(wider, owner)
        assert found is not None
        assert found.network is not None
        for place, permits in places.items():
            assert found.network.permits(*place) is (permits or "server" in hosts), (hosts, place)
    developer = await person(app, start, "developer-token-3", Role.DEVELOPER)
    maintainer = await person(app, start, "maintainer-token-3", Role.MAINTAINER)
    with pytest.raises(ForbiddenError):
        await edit(app, developer, "sample", EditNetwork(hosts=()))
    assert (await edit(app, maintainer, "sample", EditNetwork(hosts=("pypi",)))).project_hosts == ("pypi",)


@dataclasses.dataclass
class Unasked:
    """A machine whose tools were not asked yet, and are not while a transaction is open."""

    database: Database
    asked: int = 0

    async def found(self) -> Groups:
        pool = self.database.engine.pool
        assert isinstance(pool, QueuePool)
        assert pool.checkedout() == 0
        self.asked += 1
        return {"pypi": ("mirror.test",)}

    def told(self) -> Groups | None:
        return {"pypi": ("mirror.test",)} if self.asked else None


async def test_no_transaction_waits_for_a_tool(app: App, owner: Actor, project: projects.ProjectView) -> None:
    await commit(app, project.id, "main", "main^0", **{OURS: "network_policy: {allowed_domains: [hex, mirror.test]}\n"})
    unasked = dataclasses.replace(app, registries=Unasked(app.database), network_hosts=("hex", "mirror.test"))
    await edit_network(app, owner, project, "none")
    first, created_first = await created(unasked, owner)
    assert unasked.registries == Unasked(app.database), "nothing here may stand for what a tool says"
    assert created_first.agent_config is not None

    await edit_network(app, owner, project, "server")
    wish = child_sessions.Wish("fix_pipeline/v1", inputs={"pipeline": {"id": 1}})
    script = "components: {work: [{say: x}]}"
    chat = StartChat(message="m", project=project.id, model="scripted", script="components: {chat: [{say: x}]}")
    starts: tuple[Callable[[App], Awaitable[object]], ...] = (
        lambda app: created(app, owner),
        lambda app: chats.start(app, owner, chat),
        lambda app: forks.fork(app, owner, first, ForkSession(model="scripted", script=script)),
        lambda app: child_sessions.start(app, owner, first, "c_1", wish),
    )
    for begin in starts:
        tools = Unasked(app.database)
        await begin(dataclasses.replace(app, registries=tools))
        assert tools.asked == 1
    async with app.database.transaction() as connection:
        numbers = (await connection.execute(select(sessions.c.id).order_by(sessions.c.id))).all()
        firsts = [(await log.read(connection, number.id, limit=1))[0].payload for number in numbers]
    assert [number.id for number in numbers] == list(range(first, first + 5)), "what is begun again takes no number"
    for payload in firsts[1:]:
        assert isinstance(payload, e.SessionCreated)
        assert payload.agent_config is not None
        assert payload.agent_config.network is not None
        assert payload.agent_config.network.permits("mirror.test", 443)


async def edit_network(app: App, owner: Actor, project: projects.ProjectView, *hosts: str) -> None:
    await network.edit_project(app, owner, project.id, EditNetwork(hosts=hosts))


async def test_a_file_that_is_wrong_gives_nothing_and_says_why(
    app: App, owner: Actor, project: projects.ProjectView
) -> None:
    wrong = {
        "x: [\n": "not YAML",
        f"{ASKS}cache: {{paths: [x]}}\nunknown: {PLANTED}\nimage: 7\n": "6:1 image",
        f"setup_script: {'x' * 70_000}\n": "65,536",
    }
    for text, told in wrong.items():
        await commit(app, project.id, "main", "main^0", **{OURS: text})
        found = await config(app, owner)
        assert found is not None
        assert told in found.notes[0]
        assert (found.setup_script, found.network) == ((), None)
        assert PLANTED not in found.model_dump_json()


async def test_gitlabs_file_is_read_where_ours_is_not(app: App, owner: Actor) -> None:
    made = await projects.add(app, owner, projects.AddProject(path="group/app"))
    await commit(app, made.id, "main", None, text="x")
    assert await config(app, owner) is None
    await commit(app, made.id, "main", "main^0", **{GITLABS: "setup_script: [a, b]\nimage: x\n"})
    found = await config(app, owner)
    assert found is not None
    assert (found.path, found.setup_script, found.network) == (GITLABS, ("a", "b"), None)
    assert "image" in found.notes[0]


async def test_it_goes_out_with_each_call_and_what_came_of_it_is_in_the_log(app: App, start: Start) -> None:
    sample = await projects.show(app, start.owner, "sample")
    cache = "cache: {key: {prefix: k, files: [f]}, paths: [x]}\n"
    await commit(app, sample.id, "main", "main^0", **{OURS: ASKS + cache})
    await commit(app, sample.id, "other", "main", text="other")
    hands = await executors.authenticate(app, start.runner_token)
    runner = (await hellos.hello(app, hands, HELLO)).runner
    session_id = await asked(app, start, 1)
    orders = offers.stream(app, hands, runner)
    (offer,) = calls(await anext(orders))
    await asked(app, start, 1, ref="other")
    (of_other,) = calls(await anext(orders))
    await orders.aclose()
    assert offer.workspace.setup_script == ("make deps",)
    kept, read = offer.workspace.cache, of_other.workspace.cache
    assert kept is not None
    assert read is not None
    assert (kept.key, kept.files, kept.paths, kept.save, len(kept.scope)) == ("k", ("f",), ("x",), True, 32)
    assert read == kept.model_copy(update={"save": False}), "another branch is given it, and writes nothing of it"
    assert offer.workspace.network is not None
    assert offer.workspace.network.permits("rubygems.org", 443)

    refused = tuple(p.Refusal(host=f"h{n}.test\n", port=1, reason="x\0", count=2) for n in range(100))
    result = p.Result(
        turn_no=offer.turn_no, lease_epoch=offer.lease_epoch, begun=True, outcome=e.Outcome.OK, text="",
        refused=refused, setup=p.SetupReport(outcome=e.Outcome.ERROR, text="no\0 make", exit_code=2, duration_ms=5),
    )  # fmt: skip
    for _ in range(2):  # a repeated one comes to the same
        await executors.result(app, hands, offer.call_id, result)
    told = await payloads(app, session_id)
    setups = [one for one in told if isinstance(one, e.SetupFinished)]
    assert setups == [e.SetupFinished(outcome=e.Outcome.ERROR, text="no\ufffd make", exit_code=2, duration_ms=5)]
    hosts = [one for one in told if isinstance(one, e.NetworkRefused)]
    assert len(hosts) == 20
    assert (hosts[0].host, hosts[0].count, hosts[0].call_id) == ("h0.test", 2, offer.call_id)
    async with app.database.transaction() as connection:
        levels = {one.kind: one.level for one in await log.read(connection, session_id)}
    assert levels["setup.finished"] is e.Level.RESULT


async def test_a_fork_asks_anew(app: App, owner: Actor, project: projects.ProjectView) -> None:
    number, _ = await created(app, owner)
    await commit(app, project.id, "main", "main^0", **{OURS: "setup_script: other\n"})
    request = ForkSession(model="scripted", script="components: {work: [{say: x}]}")
    fork = await forks.fork(app, owner, number, request)
    async with app.database.transaction() as connection:
        first = (await log.read(connection, fork.id, limit=1))[0].payload
    assert isinstance(first, e.SessionCreated)
    assert first.agent_config is not None
    assert (first.agent_config.setup_script, first.agent_config.network) == (("other",), None)
