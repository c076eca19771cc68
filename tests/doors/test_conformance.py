"""Whatever a program sends, the API answers what its description says, and never with a fault of the server.

The examples are the same each time, so that a landing doesn't hang on chance. To look further:
`pytest tests/doors/test_conformance.py --hypothesis-profile=search` takes others, and more of them.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.specs.openapi import checks

from tests.conftest import PERSON
from tests.doors.conftest import Running

_CHECKS: Any = checks
CHECKS = [
    cast("Any", schemathesis).checks.not_a_server_error,
    _CHECKS.status_code_conformance,
    _CHECKS.content_type_conformance,
    _CHECKS.response_schema_conformance,
]
ENDLESS = "/(stream|changes|replay)$"
"""Streams stay open."""
ELSEWHERE = "/(executor/.*|keys/.*|test|ask)$"
"""What only executors use; and what asks a server that is named, which chance might find."""

FLOW = """
version: v1
environment: ambient
name: one
components: [{name: friend, type: AgentComponent, prompt_id: p, toolset: [todo_write]}]
routers: [{from: friend, to: end}]
flow: {entry_point: friend}
prompts: [{prompt_id: p, prompt_template: {system: s, user: "{{ goal }}"}}]
"""
SCRIPTED = {"project": "sample", "model": "scripted", "script": "components: {friend: [{say: unused}]}"}
STARTS: dict[str, dict[str, str]] = {
    "POST /api/v1/sessions": {**SCRIPTED, "flow_yaml": FLOW, "goal": "Look."},
    "POST /api/v1/chats": {"project": "sample", "model": "scripted", "message": "Look."},
}


@cast("Any", schemathesis).serializer("application/x-ndjson")
def ndjson(_context: object, value: object) -> bytes:
    """Whatever was drawn for a file's lines, as they are sent."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.fixture
def schema(running: Running) -> Iterator[Any]:
    asking: Any = schemathesis
    config = asking.Config.from_dict(
        {
            "headers": {"Authorization": f"Bearer {PERSON}"},
            # What was answered must not change what is drawn next, or no example comes twice.
            "phases": {
                "fuzzing": {"extra-data-sources": {"responses": False}, "error-feedback": {"enabled": False}},
                "stateful": {"link-calibration": False},
            },
        }
    )
    whole = asking.openapi.from_url(f"{running.url}/api/v1/openapi.json", config=config)
    return whole.exclude(path_regex=ENDLESS).exclude(path_regex=ELSEWHERE)


def examples(few: int, steps: int = 50) -> settings:
    searching = settings.get_current_profile_name() == "search"
    return settings(
        max_examples=200 if searching else few,
        stateful_step_count=steps,
        derandomize=not searching,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


def harmless(case: Any) -> Any:
    """The case, which copies no repository from anywhere."""
    if isinstance(case.body, dict):
        cast("dict[str, object]", case.body).pop("source", None)
    return case


def fruitful(case: Any) -> None:
    """Makes a case of what is there, where chance would find nothing: the sample project, and sessions that start."""
    if "project" in (case.path_parameters or {}):
        case.path_parameters["project"] = "sample"
    if case.operation.label in STARTS:
        case.body = STARTS[case.operation.label]


def test_each_operation(schema: Any) -> None:
    answered: Counter[int] = Counter()

    def ask(case: Any) -> None:
        answered[harmless(case).call_and_validate(checks=CHECKS).status_code] += 1

    for found in schema.get_all_operations():
        examples(4)(given(case=found.ok().as_strategy())(ask))()
    assert {200, 201, 400, 404} <= set(answered), answered


def test_one_operation_after_another(schema: Any) -> None:
    answered: Counter[str] = Counter()
    machine: Any = schema.include(path_regex="/(sessions|chats)").as_state_machine()

    class Program(machine):
        def before_call(self, case: Any) -> None:
            fruitful(harmless(case))

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            answered[f"{case.operation.label} {response.status_code}"] += 1
            case.validate_response(response, checks=CHECKS)

    # Each program is drawn apart: what may follow depends on answers, and those on time and on what others left, so
    # that the same beginning needn't go on the same way; drawn together, that is an error of its own.
    for number in range(15):
        seed(number)(Program).run(settings=examples(2, steps=20))
    of_sessions = [label for label in answered if "{session_id}" in label and label.endswith("200")]
    assert len(of_sessions) > 3, answered
