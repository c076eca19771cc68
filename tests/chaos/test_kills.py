"""kill -9 of everything at every boundary of the demo: the session comes through, nothing is lost, nothing is twice."""

import signal
from typing import Any

import pytest

from tests.chaos import demo
from tests.chaos.journal import Journal
from tests.chaos.kills import VICTIMS, Plan, Victim
from tests.chaos.proof import prove
from tests.chaos.watching import watch
from tests.instance import Instance, processes_below


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("victim", VICTIMS)
def test_the_demo_comes_through_kills_of(
    victim: Victim, instance: Instance, figures: list[str], pytestconfig: pytest.Config
) -> None:
    fine = bool(pytestconfig.getoption("--chaos-all", default=False))
    plan = Plan(instance, victim, Journal(instance), fine)
    pipeline = demo.red_pipeline(instance)
    plan.counted = boundaries = _clean(instance, pipeline, plan)
    for _ in range(len(boundaries)):
        before = len(plan.done)
        _one(instance, pipeline, plan)
        if len(plan.done) == before:
            break
    figures.append(plan.figures())
    assert boundaries <= set(plan.done), "the victim was killed at every boundary"
    _end(instance)


def _clean(instance: Instance, pipeline: int, plan: Plan) -> set[str]:
    """The boundaries of a run without kills, which must be right too."""
    session_id = demo.start(instance, pipeline)
    plan.begin()
    seen: list[Any] = []
    found: set[str] = set()
    for event, _ in watch(instance, session_id):
        seen.append(event)
        found.add(plan.boundary(event["payload"]))
    found.discard("")
    prove(instance, session_id, seen)
    return found


def _one(instance: Instance, pipeline: int, plan: Plan) -> None:
    """One session with as many kills as fit in."""
    session_id = demo.start(instance, pipeline)
    plan.begin()
    seen: list[Any] = []
    for event, at in watch(instance, session_id):
        seen.append(event)
        plan.saw(event, at)
    instance.wait(lambda: _answers(instance), 60, "all processes are back")
    prove(instance, session_id, seen)
    plan.journal.look()


def _answers(instance: Instance) -> bool:
    try:
        health = instance.get("/health")
    except (OSError, ValueError, AssertionError):
        return False
    return health["workers"] > 0 and any(runner["alive"] for runner in health["runners"])


def _end(instance: Instance) -> None:
    """All sessions are cancelled with their teardown, nothing of them stays, and the server stops politely."""
    for one in instance.get("/sessions", limit=100)["items"]:
        instance.post(f"/sessions/{one['id']}/cancel", {"reason": "The test is over."})
    workspaces = instance.home / "runner" / "workspaces"
    instance.wait(lambda: not list(workspaces.iterdir()), 60, "the runner has wiped all workspaces")
    assert instance.stop(signal.SIGTERM) == 0
    left = [line for line in processes_below(1).values() if str(instance.home) in line]
    assert not left
