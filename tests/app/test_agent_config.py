"""What a project's agent-config.yml gives its sessions: from the default branch, once, and no more than is allowed."""

import dataclasses

import pytest

from quarterdeck.app import executors, forks, hellos, offers, projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.forks import ForkSession
from quarterdeck.core import events as e
from quarterdeck.core import protocol as p
from quarterdeck.core.agent_config import AgentConfig
from quarterdeck.store import log
from tests.app.test_merge_requests import commit
from tests.app.test_reports import HELLO, asked, calls, payloads
from tests.app.test_repository_context import created
from tests.app.test_sessions import PLANTED
from tests.conftest import Start

OURS, GITLABS = ".quarterdeck/agent-config.yml", ".gitlab/duo/agent-config.yml"
ASKS = "setup_script: make deps\nnetwork_policy:\n  allowed_domains: [rubygems.org, evil.test, mirror.test]\n"


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
    assert "evil.test, mirror.test. An administrator may allow more" in "".join(first.notes)

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
    more = await config(dataclasses.replace(app, network_hosts=("mirror.test", "*.test")), owner)
    assert more is not None
    assert more.network is not None
    assert [more.network.permits(host, 443) for host in ("rubygems.org", "evil.test", "mirror.test")] == [
        False,
        True,
        True,
    ]
    assert more.network.named == ("mirror.test",)


async def test_a_file_that_is_wrong_gives_nothing_and_says_why(
    app: App, owner: Actor, project: projects.ProjectView
) -> None:
    wrong = {
        "x: [\n": "not YAML",
        f"{ASKS}cache: {{}}\nunknown: {PLANTED}\nimage: 7\n": "6:1 image",
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
    await commit(app, sample.id, "main", "main^0", **{OURS: ASKS})
    hands = await executors.authenticate(app, start.runner_token)
    runner = (await hellos.hello(app, hands, HELLO)).runner
    session_id = await asked(app, start, 1)
    orders = offers.stream(app, hands, runner)
    (offer,) = calls(await anext(orders))
    await orders.aclose()
    assert offer.workspace.setup_script == ("make deps",)
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
