"""Whatever a model asks for comes to events and offers that can be read again, or is told as its fault."""

from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from quarterdeck.app.calls import intents
from quarterdeck.app.toolbox import Usable
from quarterdeck.core import events as e
from quarterdeck.core import limits
from quarterdeck.core.answer import RequestedCall
from quarterdeck.core.component import AgentComponent
from quarterdeck.core.fold import apply, begin
from quarterdeck.core.protocol import Offer
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import Transition
from quarterdeck.tools.catalogue import CATALOGUE
from quarterdeck.tools.tool import FreeArgs, Tool
from tests.unit.test_protocol import WORKSPACE
from tests.unit.world import CREATED, agent, event, flow, moved

FLOW = flow([agent("lead", subagents=[{"name": "reader"}], max_delegations=2), agent("reader")], [])
FORMS: dict[str, dict[str, JsonValue]] = {
    "numbers": {
        "type": "object",
        "required": ["n"],
        "properties": {"n": {"multipleOf": 0.01, "maximum": 1e300}, "all": {"uniqueItems": True}},
    },
    "patterns": {
        "type": "object",
        "patternProperties": {"(a|a)*$": {"pattern": r"^(\w+\s?)*$"}, "^[a-z]{1,20}$": {"type": ["string", "null"]}},
        "additionalProperties": {"$ref": "#"},
    },
    "either": {"oneOf": [{"required": ["a"]}, {"not": {"required": ["b"]}}], "propertyNames": {"maxLength": 3}},
}
FINAL = CATALOGUE["final_response_tool"]
TOOLS: dict[str, Tool] = {
    **CATALOGUE,
    **{name: replace(FINAL, name=name, args=FreeArgs, form=form) for name, form in FORMS.items()},
}

SECRET = "glpat-" + "Zx9" * 8
names = st.one_of(
    st.text(st.characters(exclude_categories=[]), max_size=20),
    st.sampled_from(["", "a" * 60 + "!", "\ud800", "\x00", "agent", "../x", "-1", '"', "{{ goal }}"]),
    st.sampled_from(["x" * 9_000, "\u00e4\n" * 150_000, "\U0001f600" * 300_000]),
)
plain = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats(allow_nan=False, allow_infinity=False)
scalars = cast("st.SearchStrategy[JsonValue]", plain | names | st.just(SECRET))


def inside(values: st.SearchStrategy[JsonValue]) -> st.SearchStrategy[JsonValue]:
    return cast(
        "st.SearchStrategy[JsonValue]", st.lists(values, max_size=4) | st.dictionaries(names, values, max_size=4)
    )


def within(value: JsonValue) -> JsonValue:
    return {"a": value}


def nested(depth: int, leaf: JsonValue) -> JsonValue:
    for _ in range(depth):
        leaf = within(leaf)
    return leaf


def repeated(item: JsonValue, times: int) -> JsonValue:
    return [item] * times


VALUES: st.SearchStrategy[JsonValue] = st.one_of(
    scalars,
    st.recursive(scalars, inside, max_leaves=12),
    st.builds(nested, st.sampled_from([60, 62, 63, 64, 200, 900]), scalars),
    st.builds(repeated, scalars.filter(lambda one: len(str(one)) < 100), st.sampled_from([100, 5_000])),
)


@st.composite
def arguments(draw: st.DrawFn, tool: Tool) -> dict[str, JsonValue]:
    """Some of the tool's own names with any values, and names that it doesn't have."""
    form = tool.schema().get("properties", {})
    own = sorted(form) if isinstance(form, dict) else []
    known = draw(st.dictionaries(st.sampled_from(own), VALUES)) if own else {}
    return known | draw(st.dictionaries(names, VALUES, max_size=2))


def at_work() -> SessionState:
    state = begin(event(1, CREATED))
    apply(state, event(2, moved(state, Transition.START)))
    apply(state, event(3, e.ComponentEntered(component="lead", system="s", user="u")))
    return state


def again(read: e.Event) -> e.Event:
    return e.Event.model_validate_json(read.model_dump_json())


@pytest.mark.parametrize("name", sorted(TOOLS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_arguments_come_to_what_can_be_read_again(name: str, data: st.DataObject) -> None:
    state, tool = at_work(), TOOLS[name]
    component = cast("AgentComponent", FLOW.component("lead"))
    given_args = data.draw(st.lists(arguments(tool), min_size=1, max_size=3))
    asked = tuple((f"c_{place}", RequestedCall("p", name, args)) for place, args in enumerate(given_args))
    answer = tuple(e.AnswerCall(call_id=i, provider_id="p", tool=c.tool, args=c.args) for i, c in asked)
    drafts = intents(component, {name: Usable(tool, {})}, state, Redactor([SECRET]), asked)
    for payload in (e.ModelAnswered(component="lead", text="", calls=answer, model="m"), *(d.payload for d in drafts)):
        one = event(state.seq + 1, payload)
        assert again(one) == one
        apply(state, one)
        if isinstance(payload, e.ToolCallFinished):
            assert len(payload.text) <= limits.RESULT_CHARACTERS + 100
        if isinstance(payload, e.ToolCallRequested):
            offer = Offer(
                call_id=payload.call_id, subject="session:1", lease_epoch=1, tool=payload.tool, args=payload.args,
                workspace=WORKSPACE,
            )  # fmt: skip
            assert Offer.model_validate_json(offer.model_dump_json()) == offer
    assert list(state.calls) == [call_id for call_id, _ in asked]
    assert SessionState.model_validate_json(state.model_dump_json()) == state
    for call_id, call in state.calls.items():
        assert call.outcome is not None or SECRET not in str(call.args), call_id
