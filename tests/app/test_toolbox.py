"""Which tools a component has: the flow's, less what its session may not or what makes no sense in it."""

import pytest

from quarterdeck.app import sessions
from quarterdeck.app.application import App
from quarterdeck.app.sessions import StartSession
from quarterdeck.app.toolbox import toolbox
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import SessionCreated
from quarterdeck.core.flow import Flow
from quarterdeck.core.fold import begin
from quarterdeck.core.state import SessionState
from tests.conftest import Start
from tests.unit.world import CREATED, agent, event, flow

TOOLS = ("read_file", "run_command", "get_pipeline", "create_issue", "todo_write", "clarification_question")


def with_tools(**more: str) -> Flow:
    return flow([agent("a", toolset=[{"name": name} for name in TOOLS])], [], **more)


def names(its_flow: Flow, **created: object) -> set[str]:
    first = SessionCreated.model_validate({**CREATED.model_dump(), **created})
    state: SessionState = begin(event(1, first))
    return set(toolbox(its_flow, "a", state))


def test_a_session_has_the_tools_that_make_sense_in_it() -> None:
    assert names(with_tools()) == set(TOOLS)
    assert names(with_tools(), may_ask=False) == set(TOOLS) - {"clarification_question"}
    assert names(with_tools(), project_id=None) == {"todo_write", "clarification_question"}
    assert names(with_tools(coding_environment="none")) == set(TOOLS) - {"read_file", "run_command"}
    some = names(with_tools(), privileges=("read_only_files", "read_only_gitlab"))
    assert some == {"read_file", "get_pipeline", "todo_write", "clarification_question"}


def test_subagents_are_named_to_the_model() -> None:
    lead = flow([agent("a", subagents=[{"name": "b"}]), agent("b", description="Reads.")], [])
    tools = toolbox(lead, "a", begin(event(1, CREATED)))
    assert set(tools) == {"delegate_task", "final_response_tool"}
    assert "b: Reads." in tools["delegate_task"].tool.description
    with pytest.raises(InvalidInputError, match="agent"):
        tools["delegate_task"].tool.parse({"agent": "c", "task": "x"})


async def test_what_is_approved_beforehand_is_some_of_what_the_session_may(app: App, start: Start) -> None:
    wish = StartSession.model_validate({
        "project": "sample", "flow": "fix_pipeline/v1", "model": "scripted", "inputs": {"pipeline": {"id": 1}},
        "privileges": ["read_only_files"], "pre_approved": ["run_commands"],
    })  # fmt: skip
    with pytest.raises(InvalidInputError, match="run_commands"):
        await sessions.start(app, start.owner, wish)
    made = await sessions.start(app, start.owner, wish.model_copy(update={"pre_approved": None}))
    assert made.flow == "fix_pipeline/1.0.0"
