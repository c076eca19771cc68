"""What passes the gate of the log: secrets are taken out of values and names, never the names of an event's fields."""

from quarterdeck.app.change import redacted
from quarterdeck.core import events as e
from quarterdeck.core.redaction import REDACTED, Redactor
from quarterdeck.store.log import Draft

PLANTED = "ghp_" + "a1B2" * 9


def test_the_name_of_an_argument_is_redacted_and_that_of_a_field_is_not() -> None:
    # "provider_id" and "component" are secrets here by chance, and fields of the event.
    redactor = Redactor(["provider_id", "component"])
    call = e.AnswerCall(call_id="c_1", provider_id="p", tool="t", args={PLANTED: {"component": [PLANTED, 1]}})
    answered = e.ModelAnswered(component="work", text="my component", calls=(call,), model="m", opaque=PLANTED)
    clean = redacted(redactor, Draft(answered, e.Level.FULL))
    assert isinstance(clean, Draft)
    assert isinstance(clean.payload, e.ModelAnswered)
    assert clean.payload.calls[0].args == {REDACTED: {REDACTED: [REDACTED, 1]}}
    assert (clean.payload.text, clean.payload.component, clean.level) == (f"my {REDACTED}", "work", e.Level.FULL)
    assert clean.payload.opaque == PLANTED, "what a provider wants back unread is no text"
