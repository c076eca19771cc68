from quarterdeck.core.answer import RequestedCall


def test_a_call_has_only_what_can_be_stored() -> None:
    call = RequestedCall("p\x00", "read\ud800", {"a\x00": ["b\x00", 1]})
    assert call == RequestedCall("p\ufffd", "read\ufffd", {"a\ufffd": ["b\ufffd", 1]})
