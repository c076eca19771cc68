"""Triggers: which events they wait for, what their filters let pass, and what goals come of them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core import limits
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.trigger import ACTIONS, EventType, Subject, fits, goal, source
from quarterdeck.core.trigger_filter import CONDITIONS, All, AnyOf, Condition, Operator, holds, read, written

ISSUE = Subject(kind="issue", id=70, number=7)
PAYLOAD: dict[str, Any] = {
    "object_attributes": {"status": "failed", "iid": 7, "draft": False, "at": "2026-10-02T10:00:00Z"},
    "labels": [{"title": "bug"}, {"title": "ui"}, {"other": 1}],
    "names": ["a", "b", 1],
    "nothing": None,
}


def test_a_trigger_waits_for_some_actions_or_all() -> None:
    wanted = {EventType.PIPELINE: ("failed",), EventType.WORK_ITEM: ()}
    assert fits(wanted, EventType.PIPELINE, "failed")
    assert not fits(wanted, EventType.PIPELINE, "success")
    assert fits(wanted, EventType.WORK_ITEM, "closed")
    assert not fits(wanted, EventType.MENTION, "")
    assert set(ACTIONS) <= set(EventType)


def test_goals_are_in_the_forms_that_flows_expect() -> None:
    def told(type_: EventType, subject: Subject | None = ISSUE, **payload: Any) -> str:
        return goal(type_, text="@bot look", subject=subject, payload=payload)

    assert told(EventType.MENTION) == "Input: @bot look\nContext: {Issue IID: 7}"
    assert told(EventType.MENTION, ISSUE.model_copy(update={"kind": "merge_request"})).endswith("{MergeRequest IID: 7}")
    assert told(EventType.MENTION, None) == "Input: @bot look"
    assert (told(EventType.ASSIGN), told(EventType.ASSIGN_REVIEWER), told(EventType.ASSIGN, None)) == ("7", "7", "")
    assert told(EventType.SCHEDULE) == ""
    assert json.loads(told(EventType.PIPELINE, a="ü")) == {"a": "ü"}
    assert len(told(EventType.WEBHOOK, a="x" * 2 * limits.GOAL_CHARACTERS)) <= limits.GOAL_CHARACTERS
    long = goal(EventType.MENTION, text="y" * 2 * limits.GOAL_CHARACTERS, subject=ISSUE, payload={})
    assert len(long) <= limits.GOAL_CHARACTERS
    assert [source(one) for one in (EventType.SCHEDULE, EventType.ASSIGN, EventType.PUSH)] == [
        "scheduled", "human", "system",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "operator", "value", "passes"),
    [
        ("object_attributes.status", "eq", "failed", True),
        ("object_attributes.status", "ne", "failed", False),
        ("object_attributes.draft", "eq", 0, False),
        ("object_attributes.draft", "eq", False, True),
        ("object_attributes.iid", "gt", 6, True),
        ("object_attributes.iid", "lt", 6.5, False),
        ("object_attributes.iid", "gt", "6", False),
        ("object_attributes.draft", "lt", True, False),
        ("object_attributes.at", "gt", "2026-10-01", True),
        ("object_attributes.status", "contains", "ail", True),
        ("object_attributes.iid", "contains", "7", False),
        ("object_attributes.status", "not_contains", "ail", False),
        ("object_attributes.status", "in", ["failed", "canceled"], True),
        ("object_attributes.status", "not_in", ["success"], True),
        ("object_attributes.status.more", "eq", None, True),
        ("labels.title", "contains", "ui", True),
        ("labels.title", "contains", "docs", False),
        ("labels.1.title", "eq", "ui", True),
        ("labels.9.title", "eq", None, True),
        ("labels.99999999999999999999", "eq", None, True),
        ("names", "contains", True, False),
        ("names", "contains", 1, True),
        ("nothing", "eq", None, True),
        ("missing", "ne", "x", True),
    ],
)
def test_conditions(field: str, operator: Operator, value: Any, passes: bool) -> None:
    assert holds(Condition(field=field, operator=operator, value=value), PAYLOAD) is passes


def test_no_filter_lets_everything_pass() -> None:
    assert read("  ") is None
    assert holds(None, {})
    assert written(None) == ""
    assert holds(All(all=()), {})


def test_groups_hold_as_their_parts_do() -> None:
    yes = Condition(field="names", operator="contains", value="a")
    no = Condition(field="names", operator="contains", value="z")
    assert holds(AnyOf(any=(no, yes)), PAYLOAD)
    assert not holds(AnyOf(any=(no, no)), PAYLOAD)
    assert not holds(All(all=(yes, no)), PAYLOAD)
    assert read(written(All(all=(AnyOf(any=(yes, no)),)))) == All(all=(AnyOf(any=(yes, no)),))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "This is no filter"),
        ("[]", "This is no filter"),
        ('{"all": [1]}', "This is no filter"),
        ('{"all": [{"field": "a", "operator": "like", "value": 1}]}', "operator"),
        ('{"any": []}', "at least 1"),
        ('{"all": [], "any": []}', "no filter"),
        ('{"all": []}, "x": 1, "y": {"a": 1}', "no filter"),
        ('{"field": "a", "operator": "eq", "value": 1}', "A filter is a group"),
        ('{"all":[' * 12 + "]}" * 12, "groups 10 deep"),
        (
            '{"all":[' + ",".join(['{"field":"a","operator":"eq","value":1}'] * (CONDITIONS + 1)) + "]}",
            "100 conditions",
        ),
        ('{"all": [' + " " * 9_000 + "]}", "8,192 bytes"),
        ('{"all":[' * 800 + "]}" * 800, "no filter"),
    ],
)
def test_what_is_no_filter_says_why(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        read(text)


scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "ab", "b"])
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
payloads = st.dictionaries(st.sampled_from(["a", "b"]), values | st.dictionaries(st.just("c"), values), max_size=2)
fields = st.sampled_from(["a", "b", "a.c", "b.0", "b.c"])
OPPOSITES: dict[Operator, Operator] = {"eq": "ne", "contains": "not_contains", "in": "not_in"}
conditions = st.builds(Condition, field=fields, operator=st.sampled_from(list(OPPOSITES)), value=values)
groups = st.recursive(
    conditions,
    lambda inner: (
        st.builds(All, all=st.lists(inner, max_size=3).map(tuple))
        | st.builds(AnyOf, any=st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


def reverse(part: Any) -> Any:
    match part:
        case Condition():
            return part.model_copy(update={"operator": OPPOSITES[part.operator]})
        case All(all=()):
            return None
        case All():
            inside = [reverse(one) for one in part.all]
            return None if None in inside else AnyOf(any=tuple(inside))
        case _:
            inside = [reverse(one) for one in part.any]
            return None if None in inside else All(all=tuple(inside))


@given(groups, payloads)
def test_the_reverse_of_a_filter_lets_pass_what_it_does_not(part: Any, payload: dict[str, Any]) -> None:
    opposite = reverse(part)
    if opposite is not None:
        assert holds(opposite, payload) is not holds(part, payload)


@given(groups, payloads)
def test_what_is_written_is_read_again(part: Any, payload: dict[str, Any]) -> None:
    group = All(all=(part,))
    again = read(written(group))
    assert again == group
    assert holds(again, payload) is holds(part, payload)
