import pytest

from quarterdeck.core.access import INITIATOR_ABILITIES, LEAST_ROLE, Ability, Role, Standing, allows


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


@pytest.mark.parametrize(
    ("standing", "reads", "cancels", "deletes", "steers"),
    [
        (Standing(initiator=True, private=False, in_project=True, role=Role.DEVELOPER, admin=False), 1, 1, 1, 1),
        (Standing(initiator=True, private=False, in_project=True, role=Role.REPORTER, admin=False), 1, 1, 1, 0),
        (Standing(initiator=True, private=False, in_project=True, role=None, admin=False), 1, 1, 1, 0),
        (Standing(initiator=True, private=True, in_project=False, role=None, admin=False), 1, 1, 1, 1),
        (Standing(initiator=False, private=False, in_project=True, role=Role.OWNER, admin=False), 1, 1, 1, 0),
        (Standing(initiator=False, private=False, in_project=True, role=Role.MAINTAINER, admin=False), 1, 1, 0, 0),
        (Standing(initiator=False, private=False, in_project=True, role=Role.DEVELOPER, admin=False), 1, 0, 0, 0),
        (Standing(initiator=False, private=False, in_project=True, role=Role.REPORTER, admin=False), 0, 0, 0, 0),
        (Standing(initiator=False, private=False, in_project=True, role=None, admin=False), 0, 0, 0, 0),
        (Standing(initiator=False, private=True, in_project=True, role=Role.OWNER, admin=True), 0, 0, 0, 0),
        (Standing(initiator=False, private=False, in_project=False, role=None, admin=True), 1, 1, 1, 0),
        (Standing(initiator=False, private=False, in_project=False, role=None, admin=False), 0, 0, 0, 0),
    ],
)
def test_who_may_do_what_with_a_session(
    standing: Standing, reads: int, cancels: int, deletes: int, steers: int
) -> None:
    abilities = (Ability.READ_SESSION, Ability.CANCEL_SESSION, Ability.DELETE_SESSION)
    assert [standing.allows(ability) for ability in abilities] == [bool(reads), bool(cancels), bool(deletes)]
    assert standing.allows(Ability.HOLD_SESSION) is bool(cancels)
    assert standing.steers is bool(steers)
