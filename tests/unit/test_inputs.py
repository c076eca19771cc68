"""What a flow wants to be started with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from quarterdeck.core.component import AgentComponent
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.flow import Flow, FlowInput
from quarterdeck.core.inputs import pinned_inputs

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
    assert pinned_inputs(FLOW, inputs) == inputs


@pytest.mark.parametrize(
    ("inputs", "faults"),
    [
        ({"pipeline": []}, ["pipeline.id is missing"]),
        ({}, ["pipeline.id is missing (which one)"]),
        ({"pipeline": 3}, ["pipeline is no envelope"]),
        ({"pipeline": {"id": True, "note": 1}}, ["pipeline.id should be of the type integer", "pipeline.note should"]),
        ({"pipeline": {"id": 1, "metadata": {"version": "2.0.0"}}}, ["no version that fits ^1.0.0, only 2.0.0."]),
        ({"pipeline": {"id": 1, "metadata": {"version": "two"}}}, ["pipeline.metadata.version: 'two' is no version."]),
    ],
)
def test_every_fault_is_told_at_once(inputs: dict[str, JsonValue], faults: list[str]) -> None:
    with pytest.raises(InvalidInputError, match="wants/1") as raised:
        pinned_inputs(FLOW, inputs)
    assert all(fault in raised.value.message for fault in faults)


def envelope(number: tuple[int, int, int]) -> dict[str, JsonValue]:
    return {"id": 1, "metadata": {"version": ".".join(map(str, number))}}


SMALL = st.integers(0, 3)


@given(st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=1, unique=True))
def test_the_highest_envelope_that_fits_is_pinned(numbers: list[tuple[int, int, int]]) -> None:
    inputs: dict[str, JsonValue] = {"pipeline": [envelope(number) for number in numbers], "other": [1]}
    fitting = [number for number in numbers if number[0] == 1]
    if fitting:
        assert pinned_inputs(FLOW, inputs) == {"pipeline": envelope(max(fitting)), "other": [1]}
    else:
        with pytest.raises(InvalidInputError, match="no version that fits"):
            pinned_inputs(FLOW, inputs)


def test_an_envelope_without_a_version_is_the_first() -> None:
    plain: dict[str, JsonValue] = {"id": 1}
    assert pinned_inputs(FLOW, {"pipeline": [plain, envelope((0, 9, 9))]})["pipeline"] == plain
    assert pinned_inputs(FLOW, {"pipeline": [plain, envelope((1, 0, 1))]})["pipeline"] == envelope((1, 0, 1))
    assert pinned_inputs(FLOW, {"pipeline": [{**plain, "metadata": 3}]})["pipeline"] == {**plain, "metadata": 3}


@pytest.mark.parametrize(
    ("written", "good", "bad"),
    [
        ("date", ["2026-01-31"], ["2026-02-30", "20260131", "soon"]),
        ("date-time", ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00+01:00"], ["2026-01-31T12:00:00", "noon"]),
        (
            "uri",
            ["https://example.com/a", "urn:isbn:1"],
            ["example.com", "https://", "http://a b", "https:///a", "https://?", "1a:b", ""],
        ),
        ("email", ["ada@example.com"], ["ada", "a da@example.com", "@"]),
        ("uuid", ["7F2B0A58-0F6C-4B8E-9B1C-0E8A5D9C1D11"], ["7f2b0a580f6c4b8e9b1c0e8a5d9c1d11", "x"]),
        ("hostname", ["anything at all"], []),
    ],
)
def test_formats(written: str, good: list[str], bad: list[str]) -> None:
    flow = FLOW.model_copy(
        update={"inputs": (FlowInput(category="c", input_schema={"f": {"type": "string", "format": written}}),)}
    )
    for text in good:
        assert pinned_inputs(flow, {"c": {"f": text}}) == {"c": {"f": text}}
    for text in bad:
        with pytest.raises(InvalidInputError, match=f"c.f should be a {written}"):
            pinned_inputs(flow, {"c": {"f": text}})
