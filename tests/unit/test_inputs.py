"""What a flow wants to be started with."""

import pytest
from pydantic import JsonValue

from quarterdeck.core.component import AgentComponent
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.flow import Flow, FlowInput
from quarterdeck.core.inputs import check_inputs

FLOW = Flow(
    name="wants",
    version="1.0.0",
    components=(AgentComponent(type="AgentComponent", name="a", prompt_id="p"),),
    entry_point="a",
    inputs=(
        FlowInput(
            category="pipeline",
            input_schema={
                "id": {"type": "integer", "description": "which one"},
                "note": {"type": "string", "optional": True},
                "fast": {"type": "boolean", "optional": True},
                "other": {"type": "unheard of", "optional": True},
            },
        ),
    ),
)


@pytest.mark.parametrize(
    "inputs",
    [
        {"pipeline": {"id": 1}},
        {"pipeline": {"id": 1, "note": "x", "fast": True, "other": [], "more": 1}, "else": 2},
    ],
)
def test_what_fits_is_taken(inputs: dict[str, JsonValue]) -> None:
    check_inputs(FLOW, inputs)


@pytest.mark.parametrize(
    ("inputs", "faults"),
    [
        ({}, ["pipeline.id is missing (which one)"]),
        ({"pipeline": 3}, ["pipeline.id is missing"]),
        ({"pipeline": {"id": True, "note": 1}}, ["pipeline.id should be of the type integer", "pipeline.note should"]),
    ],
)
def test_every_fault_is_told_at_once(inputs: dict[str, JsonValue], faults: list[str]) -> None:
    with pytest.raises(InvalidInputError, match="wants/1") as raised:
        check_inputs(FLOW, inputs)
    assert all(fault in raised.value.message for fault in faults)
