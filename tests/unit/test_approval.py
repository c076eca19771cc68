import json

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from quarterdeck.core.approval import fingerprint, needs_approval

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
arguments = st.dictionaries(st.text(), values, max_size=4)


@given(arguments, arguments, st.text(), st.text())
def test_a_fingerprint_is_of_exactly_this_call(
    a: dict[str, JsonValue], b: dict[str, JsonValue], tool: str, other: str
) -> None:
    same = json.dumps([tool, a], sort_keys=True) == json.dumps([other, b], sort_keys=True)
    assert (fingerprint(tool, a) == fingerprint(other, b)) == same
    assert fingerprint(tool, dict(reversed(a.items()))) == fingerprint(tool, a)


def test_true_is_not_one() -> None:
    assert fingerprint("t", {"n": True}) != fingerprint("t", {"n": 1})


@given(
    st.sampled_from(["use_git", None]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_a_person_is_asked_unless_one_of_these_says_otherwise(
    privilege: str | None, component_asks: bool, by_component: bool, by_session: bool, by_person: bool
) -> None:
    asked = needs_approval(
        "t",
        {"n": 1},
        privilege=privilege,
        component_asks=component_asks,
        component_pre_approved=("t",) if by_component else ("other",),
        session_pre_approved=("use_git",) if by_session else ("read_files",),
        session_approvals=(fingerprint("t", {"n": 1 if by_person else 2}),),
    )
    free = not component_asks and (privilege is None or by_session)
    assert asked == (not by_component and not by_person and not free)
