"""Checking what a model says by a schema that a flow's author wrote."""

import time

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
    began = time.monotonic()
    many: list[JsonValue] = [{"n": n} for n in range(8_000)]
    assert schema.faults(of(type="array", uniqueItems=True), {"a": many}) == []
    assert len(schema.faults(of(type="array", items={"type": "string"}), {"a": many})) == schema.FAULTS
    assert time.monotonic() - began < 5


def test_a_number_that_cannot_be_checked_does_not_fit() -> None:
    assert schema.faults(of(multipleOf=0.01), {"a": 0.5}) == []
    assert "can't be checked" in schema.faults(of(multipleOf=0.01), {"a": 10**400})[0]
