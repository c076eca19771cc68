"""The pictures of flows: everything that a flow has is in them, and what is too large is left to the table."""

import pytest

from quarterdeck.core.flow import ABORT, END
from quarterdeck.doors.web import graph
from quarterdeck.doors.web.flow_drawing import START, Plan, draw, kind, turns
from quarterdeck.flows.library import Library
from quarterdeck.flows.reader import examine
from quarterdeck.tools.catalogue import CATALOGUE

LIBRARY = Library(CATALOGUE)
AGENT = "{{name: {name}, type: AgentComponent, prompt_id: p, toolset: [read_file]{more}}}"


def plan_of(components: list[str], routers: list[str]) -> Plan:
    lists = {"components": components, "routers": routers}
    text = "".join(f"{name}: [{', '.join(them)}]\n" for name, them in lists.items())
    prompts = '[{prompt_id: p, prompt_template: {system: s, user: "{{ goal }}"}}]'
    head = "version: v1\nenvironment: ambient\nflow: {entry_point: a}\n"
    return Plan.draft(examine(f"{head}prompts: {prompts}\n{text}", CATALOGUE).draft)


@pytest.mark.parametrize("name", LIBRARY.names())
def test_a_flow_that_ships_is_drawn_whole(name: str) -> None:
    flow = LIBRARY.read(LIBRARY.shipped(name)[0])
    plan = Plan.of(flow)
    drawn = draw(plan)
    assert drawn is not None
    ways = turns(plan)
    ends = {way.target for way in ways} & {END, ABORT}
    assert len(drawn.boxes) == len(flow.components) + len(ends) + 1
    assert len(drawn.lines) == len(ways) + 1, "and the one from the start"
    shown = {box.name for box in drawn.boxes}
    assert {one.name for one in flow.components} <= shown
    values = {value for router in flow.routers if router.condition for value in router.condition.routes}
    told = ", ".join(line.label for line in drawn.lines).split(", ")
    assert values - {"default_route"} <= set(told)
    assert all(kind(one) for one in flow.components)


def test_ways_to_one_component_are_one_line_and_agents_delegate() -> None:
    lead = AGENT.format(name="a", more=", subagents: [{name: b}]")
    routes = "{x: end, y: end, default_route: a}"
    router = f"{{from: a, condition: {{input: context:goal, routes: {routes}}}}}"
    plan = plan_of([lead, AGENT.format(name="b", more="")], [router])
    found = [(way.target, way.label, way.words) for way in turns(plan)]
    assert found == [("b", "delegates", "delegates to"), (END, "x, y", "goal is x, y"), ("a", "else", "else")]
    drawn = draw(plan)
    assert drawn is not None
    assert [line.look for line in drawn.lines] == ["way", "way delegates", "way", "way back"]
    alone = plan_of([AGENT.format(name="a", more="")], [])
    assert [way.target for way in turns(alone)] == [END], "where no router leads on, it ends"
    assert START not in {way.source for way in turns(alone)}


def test_what_is_missing_is_drawn_as_missing_and_names_are_cut() -> None:
    long, wide = "n" * 300, "船" * 40
    plan = plan_of(
        [AGENT.format(name=name, more="") for name in ("a", long, wide)],
        [f"{{from: a, to: {long}}}", f"{{from: {long}, to: nowhere}}"],
    )
    drawn = draw(plan)
    assert drawn is not None
    found = {box.look: box for box in drawn.boxes}
    assert found["missing"].name == "nowhere"
    assert all(len(box.name) <= 26 and box.width < 300 for box in drawn.boxes)
    assert sum(box.name.endswith("…") for box in drawn.boxes) == 2


def test_what_is_too_large_is_not_drawn() -> None:
    assert draw(Plan((), (), "")) is None
    names = ["a", *(f"n{place}" for place in range(graph.NODES))]
    assert draw(plan_of([AGENT.format(name=name, more="") for name in names], [])) is None
