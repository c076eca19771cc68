import pytest
from pydantic import ValidationError

from quarterdeck.core.component import AgentComponent, InputSource
from quarterdeck.core.flow import Flow
from tests.unit.world import agent, deterministic, flow

FLOW = flow([agent("a"), deterministic("d", inputs=[{"from": "context:goal", "as": "x"}])], [{"from": "a", "to": "d"}])


def test_a_flow_knows_its_parts_by_name() -> None:
    assert FLOW.id == "f/1.0.0"
    assert FLOW.component("d").name == "d"
    assert FLOW.prompt("p").prompt_template.system == "s"
    with pytest.raises(KeyError, match="none"):
        FLOW.component("none")
    with pytest.raises(KeyError, match="none"):
        FLOW.prompt("none")


def test_an_agent_reads_the_goal_unless_it_says_otherwise() -> None:
    first = FLOW.component("a")
    assert isinstance(first, AgentComponent)
    assert first.inputs == (InputSource.model_validate({"from": "context:goal"}),)
    assert first.inputs[0].variable == "goal"


def test_a_flow_is_the_same_after_json_under_the_words_of_the_registry() -> None:
    dumped = FLOW.model_dump_json(by_alias=True)
    assert '"from":"context:goal","as":"x"' in dumped
    assert Flow.model_validate_json(dumped) == FLOW
    with pytest.raises(ValidationError):
        Flow.model_validate({**FLOW.model_dump(by_alias=True), "unknown": 1})


def test_a_response_schema_is_found_by_its_id() -> None:
    schema = {"schema_id": "s", "definition": {"type": "object"}}
    its_flow = flow([agent("a", response_schema_id="s")], [], response_schemas=[schema])
    assert its_flow.response_schema("s").definition == {"type": "object"}
    with pytest.raises(KeyError):
        its_flow.response_schema("t")
