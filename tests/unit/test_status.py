import pytest

from quarterdeck.core.errors import IllegalTransitionError
from quarterdeck.core.status import AWAITING, FINAL, GROUPS, TABLE, Status, StatusGroup, Transition, after, human


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("transition", Transition)
def test_a_transition_leads_to_its_target_or_is_refused_by_name(status: Status, transition: Transition) -> None:
    sources, target = TABLE[transition]
    if status in sources or status is target:
        assert after(status, transition) is target
    else:
        with pytest.raises(IllegalTransitionError) as refused:
            after(status, transition)
        assert transition.value in refused.value.message
        assert human(status) in refused.value.message
        assert refused.value.code == "illegal_transition"


def test_nothing_leads_out_of_an_end_and_an_end_can_be_reached_from_all_else() -> None:
    assert {Status.FINISHED, Status.FAILED, Status.STOPPED} == FINAL
    for sources, _ in TABLE.values():
        assert sources.isdisjoint(FINAL)
    for end in (Transition.DROP, Transition.STOP):
        assert TABLE[end][0] == set(Status) - FINAL


def test_what_waits_for_a_person_goes_on_and_cannot_be_paused() -> None:
    for status in AWAITING:
        assert after(status, Transition.RESUME) is Status.RUNNING
        with pytest.raises(IllegalTransitionError):
            after(status, Transition.PAUSE)
    assert after(Status.IDLE, Transition.RESUME) is Status.RUNNING
    assert Status.IDLE not in AWAITING


def test_every_status_is_in_a_group_and_every_group_has_one() -> None:
    assert list(GROUPS) == list(Status)
    assert set(GROUPS.values()) == set(StatusGroup)
    assert {s for s in Status if GROUPS[s] is StatusGroup.AWAITING_INPUT} == AWAITING
    assert human(Status.TOOL_CALL_APPROVAL_REQUIRED) == "tool call approval required"
