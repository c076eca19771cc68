import pytest

from quarterdeck.core.access import INITIATOR_ABILITIES, LEAST_ROLE, Ability, Role, allows


@pytest.mark.parametrize("ability", Ability)
def test_a_higher_role_has_all_of_a_lower_one(ability: Ability) -> None:
    able = [role for role in Role if allows(role, ability)]
    assert able == [role for role in sorted(Role) if role >= LEAST_ROLE[ability]]
    assert Role.OWNER in able
    assert not allows(None, ability)


def test_who_is_not_a_member_or_guest_never_changes_anything() -> None:
    able = {ability for ability in Ability if allows(Role.GUEST, ability)}
    assert able == {Ability.READ_PROJECT, Ability.READ_ISSUE}
    assert not any(allows(Role.REPORTER, a) for a in (Ability.PUSH, Ability.START_SESSION, Ability.READ_SESSION))


def test_what_stays_with_the_initiator_is_about_the_session_alone() -> None:
    assert Ability.CANCEL_SESSION in INITIATOR_ABILITIES
    assert all(ability.value.endswith("_session") for ability in INITIATOR_ABILITIES)
    assert Ability.START_SESSION not in INITIATOR_ABILITIES
