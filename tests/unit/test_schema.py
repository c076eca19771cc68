"""Checking what a model says by a schema that a flow's author wrote."""

import time
from functools import partial

import pytest
from pydantic import JsonValue

from quarterdeck.tools import schema


def of(**keywords: JsonValue) -> dict[str, JsonValue]:
    return {"type": "object", "properties": {"a": keywords}}


@pytest.mark.parametrize(
    ("items", "same"),
    [([1, 1.0], True), ([1, True], False), ([{"b": 1, "c": [2.0]}, {"c": [2], "b": 1}], True), (["1", 1], False)],
)
def test_items_are_unique_as_json_has_it(items: list[JsonValue], same: bool) -> None:
    assert schema.faults(of(uniqueItems=True), {"a": items}) == ["a: it has an item twice"] * same
    assert schema.faults(of(uniqueItems=False), {"a": items}) == []


def test_a_long_answer_is_checked_in_a_moment_and_some_of_its_faults_are_told() -> None:
    began = time.process_time()
    many: list[JsonValue] = [{"n": n} for n in range(8_000)]
    assert schema.faults(of(type="array", uniqueItems=True), {"a": many}) == []
    assert len(schema.faults(of(type="array", items={"type": "string"}), {"a": many})) == schema.FAULTS
    assert time.process_time() - began < 5


def test_a_number_that_cannot_be_checked_does_not_fit() -> None:
    assert schema.faults(of(multipleOf=0.01), {"a": 0.5}) == []
    assert "can't be checked" in schema.faults(of(multipleOf=0.01), {"a": 10**400})[0]


SLOW = "(a|a)*$"
LONG = "a" * 40 + "!"
DRAFT = "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (of(pattern=SLOW), {"a": LONG}),
        (of(patternProperties={SLOW: {}}), {"a": {LONG: 1}}),
        (of(patternProperties={SLOW: {}}, additionalProperties=False), {"a": {LONG: 1}}),
        (of(propertyNames={"pattern": SLOW}), {"a": {LONG: 1}}),
        ({"properties": {"a": {"not": {"pattern": SLOW}}}}, {"a": LONG}),
        (of(pattern=SLOW) | {"$schema": DRAFT}, {"a": LONG}),
        (of(**{"$schema": DRAFT}, pattern=SLOW), {"a": LONG}),
        (of(**{"$ref": "#/definitions/d"}) | {"definitions": {"d": {"$schema": DRAFT, "pattern": SLOW}}}, {"a": LONG}),
        (of(type="array", items={"pattern": SLOW}), {"a": [LONG] * 1_000}),
        ({"patternProperties": {"^(a+)+$": False}, "additionalProperties": {"pattern": SLOW}}, {"b": LONG}),
    ],
)
def test_a_slow_pattern_is_given_up(
    form: dict[str, JsonValue], value: dict[str, JsonValue], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "Searches", partial(schema.Searches, seconds=0.1))
    assert [one.partition(": the pattern")[2] for one in schema.faults(form, value)] == [f" {SLOW!r} takes too long"]


def test_patterns_find_what_they_are_meant_to() -> None:
    assert schema.faults(of(pattern=r"^\d{4}-\d\d$"), {"a": "2026-11"}) == []
    assert "does not match" in schema.faults(of(pattern=r"^\d{4}-\d\d$"), {"a": "2026"})[0]
    form = of(properties={"x": {}}, patternProperties={"^n_": {"type": "number"}}, additionalProperties=False)
    assert schema.faults(form, {"a": {"x": "1", "n_x": 1}}) == []
    assert schema.faults(form, {"a": {"y": "1", "n_x": "1"}}) == [
        "a: it may not have: 'y'",
        "a.n_x: '1' is not of type 'number'",
    ]
    others = of(additionalProperties={"type": "number"})
    assert schema.faults(others, {"a": {"y": "1", "z": 1}}) == ["a.y: '1' is not of type 'number'"]
    assert schema.faults(others, {"a": "no mapping"}) == []
    assert "can't be used" in schema.faults(of(pattern="("), {"a": "x"})[0]
