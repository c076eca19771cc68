"""Tools of MCP servers: what is taken of a stranger's list, and what a session remembers of having asked."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core import events as e
from quarterdeck.core import mcp, step
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.fold import apply, begin
from quarterdeck.core.state import SessionState
from quarterdeck.core.status import Transition
from quarterdeck.tools.mcp import Told, allows, as_tool, listed, told, tools_of
from quarterdeck.tools.tool import Privilege
from tests.unit.world import CREATED, agent, deterministic, event, flow, moved

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def tool(name: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def names(*raw: Any, room: int = mcp.PINNED_CHARACTERS, allowed: tuple[str, ...] = ()) -> list[str]:
    return [one.name for one in listed("s", raw, room=room, allowed=allowed).tools]


def test_a_tools_name_tells_its_server() -> None:
    assert mcp.tool_name("tracker", "issue.search") == "mcp__tracker__issue_search"
    assert mcp.server_of("mcp__tracker__issue_search") == "tracker"
    assert mcp.server_of("mcp__t-1__a__b") == "t-1"
    assert [mcp.server_of(name) for name in ("read_file", "mcp__", "mcp__x", "mcp__x__", "mcp__X__y")] == [""] * 5
    assert len(mcp.tool_name("a" * 24, "b" * 128)) == mcp.NAME_CHARACTERS
    assert [mcp.is_mcp(name) for name in ("mcp__a__b", mcp.LIST_TOOLS, "grep")] == [True, True, False]


def test_what_can_be_used_of_a_list_is_taken_in_its_order() -> None:
    found = listed(
        "s",
        [
            tool("b", description="Does\x1b[2J b.\u202e\U000e0041", annotations={"readOnlyHint": True}),
            tool("a"),
            tool("a"),
            "no tool",
            tool(7),
            tool(""),
            tool("x\ny"),
            tool("x" * 129),
            tool("array", inputSchema={"type": "array"}),
            tool("elsewhere", inputSchema={"type": "object", "$ref": "https://example.com/schema"}),
            tool("wrong", inputSchema={"type": "object", "properties": 3}),
            tool("large", inputSchema={"type": "object", "description": "x" * mcp.SCHEMA_CHARACTERS}),
            tool("hidden", inputSchema={"type": "object", "properties": {"\u202e": {}}}),
            tool("deep", inputSchema=json.loads('{"not":' * 30 + "{}" + "}" * 30)),
            tool("none", inputSchema=None),
        ],
        room=mcp.PINNED_CHARACTERS,
    )
    assert [(one.remote, one.description, one.read_only) for one in found.tools] == [
        ("b", "Does[2J b.", True),
        ("a", "", False),
    ]
    assert found.left_out == 13


def test_lists_are_bounded() -> None:
    many = [tool(f"t{number}") for number in range(10_000)]
    found = listed("s", many, room=mcp.PINNED_CHARACTERS)
    assert (len(found.tools), found.left_out) == (mcp.PINNED_TOOLS, 10_000 - mcp.PINNED_TOOLS)
    long = listed("s", [tool(f"t{n}", description="x" * 100_000) for n in range(80)], room=8_000)
    assert sum(len(one.model_dump_json()) for one in long.tools) <= 8_000
    assert all(len(one.description) <= mcp.DESCRIPTION_CHARACTERS for one in long.tools)
    assert long.tools
    assert names(*many, room=0) == []


def test_what_nobody_allowed_is_not_there_and_not_counted() -> None:
    found = listed("s", [tool("read_a"), tool("write_a")], allowed=("read_*",), room=10_000)
    assert ([one.remote for one in found.tools], found.left_out) == (["read_a"], 0)
    assert allows((), "anything")
    assert not allows(("a?",), "a")


@given(st.lists(JSON | st.fixed_dictionaries({"name": st.text(max_size=9), "inputSchema": JSON}), max_size=8))
def test_no_list_does_harm(raw: list[Any]) -> None:
    found = listed("s", raw, room=10_000)
    assert len(found.tools) + found.left_out == len(raw)
    for one in found.tools:
        assert one.form["type"] == "object"
        assert len(one.name) <= mcp.NAME_CHARACTERS


@given(st.dictionaries(st.sampled_from(["content", "structuredContent", "isError"]), JSON))
def test_any_result_is_a_text(result: dict[str, Any]) -> None:
    assert told(result).text


def test_results() -> None:
    content: list[Any] = [
        {"type": "text", "text": "one"},
        {"type": "image", "mimeType": "image/png", "data": "abcd"},
        {"type": "resource", "resource": {"uri": "file:///a", "text": "two"}},
        {"type": "resource_link", "uri": "https://example.com/a"},
        {"type": "new"},
    ]
    assert told({"content": content, "isError": True}) == Told(
        "one\n[image of 4 characters left out]\ntwo\nhttps://example.com/a\n[left out: it is no text]", failed=True
    )
    assert told({"content": [], "structuredContent": {"a": 1}}) == Told('{"a": 1}', failed=False)
    assert told({}) == Told("The tool answered nothing.", failed=False)


def test_a_strangers_schema_is_shown_and_not_run() -> None:
    """Its `pattern` would take for ever on these arguments, and its reference would never end."""
    form = {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}},
        "required": ["a"],
        "anyOf": [{"$ref": "#"}],
    }
    (found,) = listed("s", [tool("t", inputSchema=form)], room=10_000).tools
    usable = as_tool("s", mcp.McpPin(server_id=1, side="server", seq=1), found)
    assert usable.schema() == form
    usable.parse({"a": "a" * 64 + "!"})
    with pytest.raises(InvalidInputError, match="mcp__s__t don't fit: a: missing"):
        usable.parse({})
    assert usable.privilege is Privilege.RUN_MCP_TOOLS
    assert (usable.side, usable.risk, usable.needs) == ("server", "write", "session")


def asked(call_id: str, *, side: e.Side = "server", component: str = "work") -> e.ToolCallRequested:
    return e.ToolCallRequested(
        call_id=call_id,
        component=component,
        tool=mcp.LIST_TOOLS,
        args={"server": "s", "id": 7},
        side=side,
        asks=False,
        listing=True,
    )


def running(component: str) -> SessionState:
    state = begin(event(1, CREATED))
    add(state, moved(state, Transition.START), e.ComponentEntered(component=component, system="s", user="u"))
    return state


def add(state: SessionState, *payloads: e.AnyPayload) -> None:
    for payload in payloads:
        apply(state, event(state.seq + 1, payload, at=datetime(2026, 11, 24, tzinfo=UTC)))


@pytest.mark.parametrize("kind", ["agent", "step"])
def test_asking_for_tools_is_nothing_that_the_component_did(kind: str) -> None:
    work = agent("work") if kind == "agent" else deterministic("work")
    its = flow([work], [{"from": "work", "to": "end"}])
    state = running("work")
    before = step.next_step(its, state)
    assert isinstance(before, step.AskModel | step.CallTool)
    add(state, asked("c_1"))
    assert step.next_step(its, state) == step.OfferCalls(("c_1",))
    add(state, e.ToolCallsOffered(call_ids=("c_1",)))
    assert state.in_flight
    assert step.next_step(its, state) == step.Rest()
    one = mcp.McpTool(name="mcp__s__t", remote="t", description="", form={"type": "object"})
    add(
        state,
        e.McpToolsPinned(server="s", server_id=7, side="server", tools=(one,)),
        e.ToolCallFinished(call_id="c_1", tool=mcp.LIST_TOOLS, outcome=e.Outcome.OK, text="t"),
    )
    assert step.next_step(its, state) == before
    assert (state.calls, state.visit_calls, state.mcp["s"].tools) == ({}, 0, (one,))
    assert list(tools_of(state.mcp)) == ["mcp__s__t"]


def test_why_there_are_none_is_remembered() -> None:
    state = running("work")
    add(state, asked("c_1"), e.ToolCallsOffered(call_ids=("c_1",)))
    add(state, e.ToolCallFinished(call_id="c_1", tool=mcp.LIST_TOOLS, outcome=e.Outcome.INTERRUPTED, text="It died."))
    assert state.mcp["s"] == mcp.McpPin(fault="It died.", seq=state.seq)
    assert (state.warnings, state.unanswered) == (1, True)
    assert tools_of(state.mcp) == {}


def test_a_model_that_names_the_listing_changes_nothing() -> None:
    state = running("work")
    forged = asked("c_1").model_copy(update={"listing": False})
    add(state, forged, e.ToolCallFinished(call_id="c_1", tool=mcp.LIST_TOOLS, outcome=e.Outcome.ERROR, text="no"))
    assert state.mcp == {}
    assert "c_1" in state.calls
