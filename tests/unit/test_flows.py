"""The reader of flows: what it takes, what it refuses and where, and the flows that ship."""

import re
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.app.outside import FlowLibrary
from quarterdeck.core import context, step
from quarterdeck.core import events as e
from quarterdeck.core.component import AgentComponent, Compaction
from quarterdeck.core.errors import InvalidInputError, NotFoundError
from quarterdeck.core.flow import Flow
from quarterdeck.core.fold import begin
from quarterdeck.core.limits import FLOW_BYTES
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import Status, Transition
from quarterdeck.core.versions import bounds, newest, version
from quarterdeck.flows import prompts
from quarterdeck.flows.library import Library
from quarterdeck.flows.reader import read_flow
from quarterdeck.flows.sources import CONTEXT
from quarterdeck.tools.catalogue import CATALOGUE

LIBRARY: FlowLibrary = Library(CATALOGUE)
NOW = datetime(2026, 1, 2, tzinfo=UTC)

GOOD = """\
version: "v1"
environment: ambient
name: lookout
components:
  - name: look
    type: DeterministicStepComponent
    tool_name: list_dir
    inputs:
      - {from: ".", as: directory, literal: true}
  - name: think
    type: AgentComponent
    prompt_id: p
    inputs: ["context:goal", {from: "context:look.tool_responses", as: files, optional: true}]
    toolset: [read_file, {run_command: {timeout_seconds: 5}}]
    max_cycles: {threshold: 7, iteration_warning_offset: 2}
    compaction: {max_recent_messages: 3}
    pre_approved_tools: [read_file]
    ui_log_events: [on_agent_final_answer]
routers:
  - from: look
    condition:
      input: context:look.execution_result
      routes: {success: think, default_route: abort}
  - {from: think, to: end}
flow: {entry_point: look}
prompts:
  - prompt_id: p
    prompt_template: {system: Be brief., user: "{{ goal }}: {{ files }}", placeholder: history}
    params: {timeout: 60}
"""


def faults_of(text: str) -> list[str]:
    """The lines of the refusal, without its heading."""
    with pytest.raises(InvalidInputError) as caught:
        read_flow(text, CATALOGUE)
    return caught.value.message.splitlines()[1:]


def test_a_flow_is_read_in_all_the_ways_of_writing() -> None:
    flow = read_flow(GOOD, CATALOGUE)
    assert (flow.id, flow.entry_point) == ("lookout/0.0.0", "look")
    look, think = flow.components
    assert look.inputs[0].literal
    assert isinstance(think, AgentComponent)
    assert [(source.source, source.variable) for source in think.inputs] == [
        ("context:goal", "goal"),
        ("context:look.tool_responses", "files"),
    ]
    assert [(use.name, use.fixed) for use in think.toolset] == [
        ("read_file", {}),
        ("run_command", {"timeout_seconds": 5}),
    ]
    assert (think.max_cycles, think.iteration_warning_offset) == (7, 2)
    assert think.compaction == Compaction(max_recent_messages=3)
    assert LIBRARY.render(flow, "think", {"goal": "G", "files": None}) == ("Be brief.", "G:")
    assert read_flow(GOOD.replace("name: lookout\n", ""), CATALOGUE).name == "custom"


def test_all_faults_are_told_at_once_and_in_order() -> None:
    text = (
        GOOD.replace("tool_name: list_dir", "tool_name: list_di")
        .replace("prompt_id: p\n    inputs", "prompt_id: q\n    retries: 3\n    inputs")
        .replace("read_file, {run", "read_fil, {run")
        .replace("timeout_seconds: 5", "timeout_seconds: x")
        .replace("default_route: abort", "default_route: abord")
        .replace("entry_point: look", "entry_point: lok")
    )
    assert faults_of(text) == [
        "7:5 components[0].tool_name: there is no tool 'list_di'. Known here: list_dir, list_issues.",
        "12:5 components[1].prompt_id: there is no prompt 'q'. Known here: p.",
        "13:5 components[1].retries: unknown key.",
        "15:15 components[1].toolset[0]: there is no tool 'read_fil'. Known here: read_file, read_files.",
        "15:40 components[1].toolset[1].run_command.timeout_seconds: Input should be a valid integer, "
        "unable to parse string as an integer.",
        "18:26 components[1].pre_approved_tools[0]: 'read_file' is not in the toolset. Known here: read_fil.",
        "24:32 routers[0].condition.routes.default_route: there is no component 'abord'. Known here: abort.",
        "26:8 flow.entry_point: there is no component 'lok'. Known here: look.",
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('version: "v1"', "version: v2", "1:1 version: Input should be 'v1'."),
        ("ambient", "chatty", "2:1 environment: there is no environment 'chatty'. Known here: chat."),
        ("ambient", "chat-partial", "components: a chat-partial flow has one component, this one has 2."),
        ("name: lookout", "nam: x", "3:1 nam: unknown key. Known here: name."),
        ("name: lookout", "response_schemas: [{}]", "3:20 response_schemas[0].schema_id: Field required."),
        ("DeterministicStep", "Supervisor", "6:5 components[0].type: a supervisor has no type of its own."),
        ("AgentComponent", "AgentComponet", "11:5 components[1].type: unknown component type 'AgentComponet'."),
        ("prompt_id: p\n    i", "subagents: [{name: look}]\n    prompt_id: p\n    i", "'look' is no AgentComponent."),
        ("prompt_id: p\n    i", "prompt_id: p\n    response_schema_id: s\n    i", "there is no response schema 's'."),
        ("prompt_id: p\n    i", "prompt_id: p\n    prompt_version: 1\n    i", "prompts from a registry are not supp"),
        ("name: think", "name: look", "components[1].name: there are two components called 'look'."),
        ("name: think", "name: th.ink", "a component's name has at least one character, and no ':' or '.'."),
        ("name: think", "name: goal", "components[1].name: 'goal' has a meaning of its own"),
        ("to: end", "to: edn", "24:19 routers[1].to: there is no component 'edn'. Known here: end."),
        ("from: think", "from: thinks", "routers[1].from: there is no component 'thinks'. Known here: think."),
        ("from: think,", "from: look,", "routers[1].from: 'look' has a router already"),
        ("to: end", "too: end", "routers[1].too: unknown key. Known here: to."),
        ("success: think", "success: end", "10:5 components[1].name: no way leads from 'look' to 'think'."),
        ("input: context:look.ex", "input: conversation_history:think.ex", "a router reads context or status only."),
        ('["context:goal"', '["contxt:goal"', "'contxt:goal' reads from 'contxt', which is no target."),
        ('["context:goal"', '["context:gaol"', "there is no 'gaol' in the context. Known here: goal."),
        ('tool_responses", as', 'tool_response", as', "'look' has no output 'tool_response'."),
        ('["context:goal"', '["context:inputs.x.y"', "the flow has no input 'x'. Declare it under flow.inputs"),
        ('["context:goal"', '["conversation_history:look"', "'look' is no agent and has no conversation."),
        ('as: directory, ', "", "components[0].inputs[0]: a literal needs a name. Add `as: name`."),
        ("as: directory", "as: folder", "inputs[0]: list_dir has no parameter 'folder'. Known here: directory."),
        ("timeout_seconds: 5", "seconds: 5", "run_command.seconds: unknown key. Known here: timeout_seconds."),
        ("threshold: 7", "threshold: 0", "max_cycles: must be a whole number, 1 or more."),
        ("on_agent_final_answer", "on_answer", "there is no log event 'on_answer'."),
        ("{{ files }}", "{{ file }}", "user: the template uses 'file', which is no input of the component"),
        ("{{ files }}", "{{ files", "prompts[0].prompt_template.user: the template doesn't parse:"),
        ("{{ files }}", "{{ files.__class__ }}", "the template reads .__class__, but values are plain data"),
        ("timeout: 60", "model: x", "prompts[0].params.model: 'model' is not supported yet."),
        ("{entry_point: look}", "{}", "25:1 flow: it has no entry_point."),
        ("flow: {", "flow: &f {", "25:7 flow: anchors and aliases are not read."),
        ("name: lookout", "name: a\nname: b", "4:1 name: the key 'name' is there twice; the first is on line 3."),
        ("look}", "look", "not YAML:"),
        ("name: lookout", "name: !!python/object:os.system x", "the tag !!python/object:os.system is not read."),
        ("Be brief.", "x" * FLOW_BYTES, f"at most {FLOW_BYTES:,} are read."),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(old: str, new: str, fault: str) -> None:
    assert old in GOOD
    found = faults_of(GOOD.replace(old, new, 1))
    assert any(fault in line for line in found), found


@pytest.mark.parametrize(
    "text", ["", "- 1", "x", "[" * 5_000, "a: \x00", "1: {2: [3, {4: 5}]}", "components: 3\nflow: 4"]
)
def test_what_is_no_flow_is_refused(text: str) -> None:
    assert faults_of(text)


@given(st.text(max_size=200) | st.text("{}[]:,-&*!|>'\"%@ \nab1", max_size=200))
def test_no_text_makes_the_reader_fall_over(text: str) -> None:
    with pytest.raises(InvalidInputError, match="can't be used"):
        read_flow(text, CATALOGUE)


def state_in(component: str, value: str) -> SessionState:
    """A session that has just left `component`, whose output is `value`."""
    created = e.SessionCreated(
        goal="g", title="t", flow="f/1.0.0", model="m", scripted=True, project_id=1, initiator_id=1, initiator="i",
        origin="api",
    )  # fmt: skip
    state = begin(e.Event(session=1, seq=1, at=NOW, level=e.Level.FULL, payload=created))
    state.status, state.component, state.component_done = Status.RUNNING, component, True
    state.context = {component: {"final_answer": value}}
    return state


NAMES = ("a", "b", "c")
ROUTE_KEYS = st.sampled_from(["yes", "no", "true", "1", "", "default_route"]) | st.text(max_size=5)


@given(st.dictionaries(ROUTE_KEYS, st.sampled_from([*NAMES, "end", "abort"]), min_size=1), ROUTE_KEYS)
def test_a_router_goes_where_its_routes_say(routes: dict[str, str], value: str) -> None:
    flow = Flow.model_validate(
        {
            "name": "f",
            "version": "1.0.0",
            "components": [{"type": "AgentComponent", "name": name, "prompt_id": "p"} for name in NAMES],
            "entry_point": "a",
            "routers": [{"from": "a", "condition": {"input": {"from": "context:a.final_answer"}, "routes": routes}}],
        }
    )
    target = routes.get(value, routes.get("default_route"))
    match step.next_step(flow, state_in("a", value)):
        case step.Enter(component=name):
            assert name == target
            assert name in NAMES
        case step.End(transition=Transition.FINISH):
            assert target == "end"
        case step.End(transition=Transition.DROP, reason=reason):
            assert (target == "abort" and "aborted" in reason) or (target is None and repr(value) in reason)
        case other:
            pytest.fail(f"a router answers {other}")


def test_the_linter_knows_the_context_that_the_core_gives() -> None:
    assert set(context.initial(state_in("a", ""))) == set(CONTEXT)


def test_a_list_says_what_a_flow_runs_on() -> None:
    chat = LIBRARY.shipped("chat")[0]
    for text, environment, workspace in (
        (GOOD, "ambient", True),
        (chat, "chat-partial", True),
        (f"{chat}coding_environment: none\n", "chat-partial", False),
        (GOOD.replace("list_dir", "list_dri"), "", False),
    ):
        found = LIBRARY.examine(text)
        assert (found.environment, found.workspace, bool(found.faults)) == (environment, workspace, not environment)


def test_the_flow_that_ships() -> None:
    assert "fix_pipeline/1.0.0" in LIBRARY.names()
    text, script = LIBRARY.shipped("fix_pipeline/v1")
    assert LIBRARY.shipped("fix_pipeline/1.0.0") == (text, script) == LIBRARY.shipped("fix_pipeline")
    assert script is not None
    flow = LIBRARY.read(text)
    assert flow.id == "fix_pipeline/1.0.0"
    assert [component.name for component in flow.components] == ["fetch", "repair", "publish", "verify", "open"]
    given: dict[str, object] = {"goal": "G", "failing_jobs": "LOG", "verification": None, "rules": None, "skills": None}
    bare, first = LIBRARY.render(flow, "repair", given)
    ruled, _ = LIBRARY.render(flow, "repair", {**given, "rules": "RULES {{ goal }}", "skills": "SKILLS"})
    assert ruled.startswith(bare.rstrip())
    assert ruled.index("never override") < ruled.index("RULES {{ goal }}") < ruled.index("SKILLS")
    again = LIBRARY.render(flow, "repair", {**given, "verification": "STILL RED"})[1]
    assert ("LOG" in first, "LOG" in again, "STILL RED" in again) == (True, False, True)
    assert LIBRARY.read(text + "# changed\n").id == "fix_pipeline/0.0.0"
    for unknown in ("fix_pipline/v1", "fix_pipeline/v2", "fix_pipeline/1.0.1", "fix_pipeline/x", "../v1", ""):
        with pytest.raises(NotFoundError, match="There is no flow"):
            LIBRARY.shipped(unknown)


@pytest.mark.parametrize(
    ("constraint", "low", "high"),
    [
        ("1.2.3", (1, 2, 3), (1, 2, 4)),
        ("^1.2.3", (1, 2, 3), (2, 0, 0)),
        ("^0.2.3", (0, 2, 3), (0, 3, 0)),
        ("^0.0.3", (0, 0, 3), (0, 0, 4)),
        ("~1.2.3", (1, 2, 3), (1, 3, 0)),
        ("~1", (1, 0, 0), (2, 0, 0)),
        (">=1.2", (1, 2, 0), None),
        ("v1", (1, 0, 0), (2, 0, 0)),
    ],
)
def test_constraints(constraint: str, low: tuple[int, ...], high: tuple[int, ...] | None) -> None:
    assert bounds(constraint) == (low, high)


def test_the_newest_fitting_version_is_taken() -> None:
    there = ["1.0.0", "1.10.0", "1.9.9", "2.0.0"]
    assert (newest(there, "v1"), newest(there, "~1.9.0"), newest(there, ">=1"), newest(there, "^3")) == (
        "1.10.0", "1.9.9", "2.0.0", None,
    )  # fmt: skip
    for wrong in ("", "1.x", "<2", "latest", "1.2.3.4"):
        with pytest.raises(InvalidInputError):
            bounds(wrong)
    with pytest.raises(InvalidInputError):
        version("1.0")


def test_the_page_about_flows_has_a_flow_that_works_and_every_flow_that_ships() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "flows.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert read_flow(example, CATALOGUE).name == "lookout"
    assert all(f"## {name.partition('/')[0]}\n" in page for name in LIBRARY.names())
    assert all(f"`{word}`" in page for word in (*CONTEXT[:-1], *prompts.FILTERS) if word != "d")


def test_a_pinned_flow_is_read_whatever_the_rules_are_now() -> None:
    library = Library(CATALOGUE)
    old = library.shipped("fix_pipeline/v1")[0].replace("- grep\n", "- a_tool_of_an_older_version\n")
    with pytest.raises(InvalidInputError, match="a_tool_of_an_older_version"):
        library.read(old)
    digest = sha256(old.encode()).hexdigest()
    assert library.known(digest) is None
    flow = library.pinned(old)
    assert library.pinned(old) is flow is library.known(digest)
    assert [one.name for one in flow.components] == ["fetch", "repair", "publish", "verify", "open"]
    with pytest.raises(InvalidInputError, match="can't be used"):
        library.pinned("version: v1")
