from pydantic import JsonValue

from quarterdeck.core import limits
from quarterdeck.core.answer import RequestedCall
from quarterdeck.core.events import AnswerCall


def test_a_call_has_only_what_can_be_stored() -> None:
    call = RequestedCall("p\x00", "read\ud800", {"a\x00": ["b\x00", 1]})
    assert call == RequestedCall("p\ufffd", "read\ufffd", {"a\ufffd": ["b\ufffd", 1]})


def test_a_call_has_no_arguments_that_nobody_can_read_again() -> None:
    value: JsonValue = 1
    for _ in range(limits.ARGUMENT_LEVELS - 1):
        value = {"a": [value]} if isinstance(value, int) else {"a": value}
    call = RequestedCall("p", "t", {"a": value})
    assert "64 levels" in call.fault
    assert call.args == {}
    assert isinstance(value, dict)
    assert RequestedCall("p", "t", value) == RequestedCall("p", "t", value, "")
    assert RequestedCall("p", "t", value).args == value
    kept = AnswerCall(call_id="c", provider_id="p", tool="t", args=value)
    assert AnswerCall.model_validate_json(kept.model_dump_json()) == kept


def test_a_call_writes_a_large_file_and_no_larger_one() -> None:
    large: dict[str, JsonValue] = {"path": "a", "text": "\u00e4" * (limits.ARGUMENT_CHARACTERS - 100)}
    assert RequestedCall("p", "t", large).args == large
    call = RequestedCall("p" * 300, "t" * 300, {"text": "x" * limits.ARGUMENT_CHARACTERS})
    assert (call.args, len(call.tool)) == ({}, limits.TOOL_NAME_CHARACTERS)
    assert call.fault.startswith("The arguments have 524,300 characters, and 524,288 are allowed.")
