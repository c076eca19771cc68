from datetime import timedelta

import pytest
from pydantic import JsonValue

from quarterdeck.core.context import value_of, values
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.flow import InputSource
from quarterdeck.core.fold import begin
from quarterdeck.core.state import SessionState
from tests.unit.world import CREATED, NOON, event


def state() -> SessionState:
    begun = begin(event(1, CREATED, at=NOON + timedelta(hours=11, minutes=59)))
    begun.context["agent"] = {"final_answer": "yes", "deep": {"er": [1]}}
    return begun


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"from": "context:goal"}, "mend it"),
        ({"from": "context:project_id"}, 1),
        ({"from": "context:current_date"}, "2026-11-23"),
        ({"from": "context:primary_branch"}, "main"),
        ({"from": "context:workload_branch"}, "quarterdeck/f-1"),
        ({"from": "context:inputs.a.b"}, [1, None]),
        ({"from": "context:agent.final_answer"}, "yes"),
        ({"from": "context:agent.deep.er"}, [1]),
        ({"from": "context:agent"}, {"final_answer": "yes", "deep": {"er": [1]}}),
        ({"from": "status"}, "created"),
        ({"from": "context:goal", "literal": True}, "context:goal"),
        ({"from": "context:agent.none", "optional": True}, None),
        ({"from": "context:goal.part", "optional": True}, None),
    ],
)
def test_a_source_names_a_value(source: dict[str, JsonValue], expected: JsonValue) -> None:
    assert value_of(InputSource.model_validate(source), state()) == expected


@pytest.mark.parametrize("path", ["context:none", "context:agent.none", "context:goal.part", "context:inputs.a.b.0"])
def test_a_path_that_leads_nowhere_says_which_part_is_missing(path: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        value_of(InputSource.model_validate({"from": path}), state())
    assert path in refused.value.message
    assert repr(path.rpartition(".")[2].rpartition(":")[2]) in refused.value.message


def test_all_of_the_context_can_be_read() -> None:
    whole = value_of(InputSource.model_validate({"from": "context"}), state())
    assert isinstance(whole, dict)
    assert {"goal", "inputs", "agent"} <= whole.keys()


def test_inputs_are_called_as_they_are_named_or_by_the_end_of_their_path() -> None:
    sources = ({"from": "context:goal", "as": "task"}, {"from": "context:agent.final_answer"}, {"from": "status"})
    assert values(tuple(map(InputSource.model_validate, sources)), state()) == {
        "task": "mend it",
        "final_answer": "yes",
        "status": "created",
    }


def test_another_components_conversation_is_an_input_where_it_is_given() -> None:
    sources = tuple(
        InputSource.model_validate(source)
        for source in ({"from": "conversation_history:agent", "as": "talk"}, {"from": "context:goal"})
    )
    assert values(sources, state()) == {"goal": "mend it"}
    assert values(sources, state(), {"agent": "person: hello"}) == {"talk": "person: hello", "goal": "mend it"}
    assert values(sources, state(), {}) == {"talk": "", "goal": "mend it"}
