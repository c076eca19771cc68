from quarterdeck.core import events as e
from quarterdeck.core.recording import Recording, recording
from tests.unit.world import CREATED, event


def test_a_recording_has_each_components_answers_in_their_order_and_nothing_else() -> None:
    call = e.AnswerCall(call_id="c_1", provider_id="p", tool="read_file", args={"file_path": "a"})
    log = [
        event(1, CREATED),
        event(2, e.ModelAnswered(component="fix", text="one", thinking="hm", calls=(call,), model="m", opaque="o")),
        event(3, e.ModelAnswered(component="check", text="other", model="m")),
        event(4, e.ModelAnswered(component="fix", text="two", model="m")),
    ]
    found = recording(7, log)
    assert found.session == 7
    assert [answer.text for answer in found.components["fix"]] == ["one", "two"]
    assert found.components["fix"][0].thinking == "hm"
    assert [(one.tool, one.args) for one in found.components["fix"][0].calls] == [("read_file", {"file_path": "a"})]
    assert [answer.text for answer in found.components["check"]] == ["other"]
    assert Recording.model_validate_json(found.model_dump_json()) == found
    assert recording(7, log[:1]).components == {}
