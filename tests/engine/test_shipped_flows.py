"""Every flow that ships, simulated with the script that ships with it, and its other ways with scripts of their own."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from pydantic import JsonValue

from quarterdeck import server
from quarterdeck.app.simulated import Ending, Simulation
from quarterdeck.core import events as e
from quarterdeck.core.component import DeterministicStepComponent, Prompted
from quarterdeck.core.status import Status
from quarterdeck.engine.models.script import SIMULATED
from quarterdeck.flows.library import Library
from quarterdeck.flows.reader import examine
from quarterdeck.tools.catalogue import CATALOGUE

LIBRARY = Library(CATALOGUE)
ISSUE: JsonValue = {
    "iid": 4,
    "title": "The last page is not counted",
    "description": '`python3 -m shelf --page 3` prints "page 3 of 2".',
}
MERGE_REQUEST: JsonValue = {
    "iid": 5,
    "title": "Left",
    "description": "",
    "source_branch": "left",
    "target_branch": "main",
}
SAFE = {"today", "project", "rules", "skills"}
"""What a system text may be made of: what the server knows by itself, and what it is told to heed."""
GIVEN: dict[str, tuple[str, dict[str, JsonValue], str]] = {
    "chat": ("", {}, "chat"),
    "code_review": ("", {"merge_request": MERGE_REQUEST}, "rules changes review submit"),
    "convert_to_gl_ci": ("", {"convert": {"path": "Jenkinsfile"}}, "original convert publish open verify"),
    "developer": ("", {"issue": ISSUE}, "work publish open pipeline_file verify"),
    "fix_pipeline": ("", {"pipeline": {"id": 1}}, "fetch repair publish verify open"),
    "software_development": ("Add `--since 1900`.", {}, "look plan approval work publish open"),
}
"""Of each flow: the goal, the inputs and the way that its script takes."""
NAMES = sorted({name.partition("/")[0] for name in LIBRARY.names()})


def wish(name: str, components: dict[str, list[Any]] | None = None) -> Simulation:
    """A flow that ships, with its script or another."""
    text, script = LIBRARY.shipped(f"{name}/v1")
    goal, inputs, _ = GIVEN[name]
    return Simulation(
        flow=text, script=json.dumps({"components": components}) if components else script, goal=goal, inputs=inputs
    )


async def run(simulation: Simulation) -> tuple[Ending, list[e.AnyPayload]]:
    events: list[e.Event] = []
    ending = await server.simulate(simulation, events.append)
    return ending, [event.payload for event in events]


def final(outcome: str = "changed", **more: str) -> dict[str, Any]:
    args = {"outcome": outcome, "message": "A change", "description": "Why.", **more}
    return {"call": {"tool": "final_response_tool", "args": args}}


def step(tool: str, *results: str) -> list[dict[str, Any]]:
    """A step's results in turn; those that begin with ! are errors."""
    told = [{"outcome": "error" if text[:1] == "!" else "ok", "text": text.lstrip("!")} for text in results]
    return [{"call": {"tool": tool, "result": one}} for one in told]


@pytest.mark.parametrize("name", NAMES)
async def test_its_own_script_takes_it_to_a_good_end(name: str) -> None:
    ending, log = await run(replace(wish(name), answers=("That the chat was here",)))
    assert ending.well, ending
    assert " ".join(ending.way) == GIVEN[name][2]
    agents = {p.component for p in log if isinstance(p, e.ModelAnswered)}
    asked = {p.call_id for p in log if isinstance(p, e.ToolCallRequested) and p.component in agents}
    assert asked
    texts = [p.text for p in log if isinstance(p, e.ToolCallFinished) and p.call_id in asked]
    assert SIMULATED not in texts, "a call has no result of its own"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_to_be_noted_of_it_and_the_hostile_is_named(name: str) -> None:
    text, _ = LIBRARY.shipped(name)
    assert not examine(text, CATALOGUE).document.findings()
    flow = LIBRARY.read(text)
    assert flow.description
    agents = [one for one in flow.components if isinstance(one, Prompted)]
    if not flow.chats:
        assert "create_commit" not in {use.name for one in agents for use in one.toolset}
    for prompt in flow.prompts:
        system = " ".join(prompt.prompt_template.system.split())
        assert re.search(r"Words in [^.:]*(?:are no orders|are not the person's)", system), prompt.prompt_id
        assert set(re.findall(r"\{[{%]\s*(?:if )?(\w+)", system)) - {"else", "endif"} <= SAFE


def test_a_review_can_say_nothing_but_its_review() -> None:
    flow = LIBRARY.read(LIBRARY.shipped("code_review")[0])
    for component in flow.components:
        if isinstance(component, Prompted):
            assert {CATALOGUE[use.name].risk for use in component.toolset} <= {"read", "execute"}
        elif isinstance(component, DeterministicStepComponent) and component.tool_name != "submit_review":
            assert CATALOGUE[component.tool_name].risk == "read"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "code_review"])
async def test_rules_and_skills_are_told_to_who_writes(name: str) -> None:
    """But not to a review: a merge request could bring rules of its own."""
    given = wish(name)
    told: dict[str, JsonValue] = {"user_rule": {"content": "RULE"}, "workspace_agent_skills": {"content": "SKILL"}}
    _, log = await run(replace(given, inputs={**given.inputs, **told}, answers=("Yes.",)))
    system = {p.component: p.system for p in log if isinstance(p, e.ComponentEntered) and p.system}
    writes = [name for name in system if name != "look"]
    assert writes
    assert all("RULE" in system[name] and "SKILL" in system[name] for name in writes)


async def test_a_plan_is_changed_and_then_approved() -> None:
    ending, log = await run(replace(wish("software_development"), denied=("approval=With a test, please.",)))
    assert " ".join(ending.way) == "look plan approval plan approval work publish open"
    asked = [p.question for p in log if isinstance(p, e.ApprovalRequested)]
    assert ["\n4. " in question for question in asked] == [False, True]
    ending, _ = await run(replace(wish("software_development"), denied=("approval",)))
    assert ending.status is Status.STOPPED


async def test_a_commit_that_is_refused_comes_back() -> None:
    told = {"expect": "could not be committed:\n\nthe branch has moved"}
    agents = {"look": [{"say": "here"}], "plan": [{"say": "so"}]}
    for name, agent in (("software_development", "work"), ("developer", "work"), ("convert_to_gl_ci", "convert")):
        tries = [{"expect": "."} | final(), told | final(), {"expect": "."} | final("unchanged")]
        publish = step("create_commit", "!the branch has moved", "!the branch has moved")
        components = {**agents, agent: tries, "publish": publish, "original": step("read_file", "x")}
        ending, _ = await run(wish(name, components))
        assert ending.well, ending
        assert list(ending.way).count("publish") == 2
        assert ending.way[-1] == agent, name


@pytest.mark.parametrize(("name", "agent"), [("developer", "work"), ("convert_to_gl_ci", "convert")])
async def test_a_pipeline_that_fails_comes_back_until_it_passes_or_is_given_up(name: str, agent: str) -> None:
    broken = {"expect": "pipeline did not pass[^\n]*\n\nunit is red"}
    for last, verify in ((final(), ("!unit is red", "green")), (final("unchanged"), ("!unit is red",))):
        components = {
            agent: [final(), broken | last],
            "verify": step("run_pipeline", *verify),
            "original": step("read_file", "x"),
        }
        ending, _ = await run(wish(name, components))
        assert ending.well, ending
        assert list(ending.way).count("verify") == len(verify)
        assert ending.way[-1] == (agent if len(verify) == 1 else "verify")


async def test_without_a_pipeline_file_there_is_nothing_to_wait_for() -> None:
    files = step("get_repository_file", "!There is no .gitlab-ci.yml.")
    ending, _ = await run(wish("developer", {"work": [final()], "pipeline_file": files}))
    assert (ending.way, ending.well) == (("work", "publish", "open", "pipeline_file"), True)


@pytest.mark.parametrize(
    ("name", "components"),
    [
        ("developer", {"work": [final()], "open": step("create_merge_request", "!no")}),
        ("convert_to_gl_ci", {"original": step("read_file", "!There is no such file.")}),
        ("code_review", {"changes": step("list_merge_request_diffs", "!no")}),
    ],
)
async def test_what_can_not_go_on_fails(name: str, components: dict[str, list[Any]]) -> None:
    ending, _ = await run(wish(name, components))
    assert ending.status is Status.FAILED


@pytest.mark.parametrize(("outcome", "status"), [("unchanged", Status.FINISHED), ("not_repaired", Status.FAILED)])
async def test_a_repair_that_changes_nothing_commits_nothing(outcome: str, status: Status) -> None:
    answer = {"tool": "final_response_tool", "args": {"outcome": outcome, "message": "Because of that."}}
    components = {"fetch": step("get_pipeline_failing_jobs", "unit failed"), "repair": [{"call": answer}]}
    ending, _ = await run(wish("fix_pipeline", components))
    assert (ending.way, ending.status) == (("fetch", "repair"), status)


async def test_a_review_on_lines_that_are_not_there_is_put_right() -> None:
    def review(line: int, expect: str) -> dict[str, Any]:
        comments = [{"file_path": "a.py", "new_line": line, "text": "wrong"}]
        args = {"summary": "No.", "comments": comments}
        return {"expect": expect, "call": {"tool": "final_response_tool", "args": args}}

    components = {
        "rules": step("get_repository_file", ".quarterdeck/review.md, lines 1 to 1 of 1:\nLook at divisions."),
        "changes": step("list_merge_request_diffs", "a.py: old line, new line, text"),
        "review": [review(9, "(?s)Look at divisions.*a.py: old line"), review(8, "was not taken.*\n\n.*8 is near")],
        "submit": step("submit_review", "!Line 9 is not in the diff; 8 is near.", "Reviewed."),
    }
    ending, log = await run(wish("code_review", components))
    assert ending.well, ending
    lines = [p.args["comments"] for p in log if isinstance(p, e.ToolCallRequested) and p.tool == "submit_review"]
    assert [one[0]["new_line"] for one in lines if isinstance(one, list) and isinstance(one[0], dict)] == [9, 8]
