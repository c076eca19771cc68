"""Limits as they are written, and as they are told."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from quarterdeck.core.session_limits import TOTALS, LimitName, Limits, ProjectLimits, Reached, Used


def test_they_are_read_as_they_are_written() -> None:
    assert Limits.parse("") == Limits()
    assert Limits.parse(" memory = 4G, processes=64 , call=90, session=2h,files=5000,output=3 M,") == Limits(
        memory=4 * 1024**3, processes=64, call=90, session=7200, files=5000, output=3 * 1024**2
    )
    for limits in (Limits(), Limits(memory=100_000_001, workspace=1024**4, call=3600, session=61)):
        assert Limits.parse(limits.words()) == limits


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("memory", "NAME=VALUE"),
        ("memory=1G,memory=2G", "the first"),
        ("memory=1X", "memory: .*K, M, G, T"),
        ("call=1G", "call: .*S, M, H, D"),
        ("processes=1K", "processes: "),
        ("memory=-1", "memory: "),
        ("memory=1", "memory: .*greater"),
        ("cpu=1", "cpu: .*there are memory, processes"),
    ],
)
def test_what_is_wrong_is_said(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Limits.parse(text)


def test_who_reaches_one_is_told_which_its_value_and_what_to_do() -> None:
    limits = Limits(memory=1024**3, call=5400)
    assert limits.value("call") == "90m"
    assert str(limits.reached("memory")).startswith("This session's limit on this runner was reached: 1G of memory")
    for name in get_args(LimitName):
        told = limits.reached(name)
        assert f"raise `{name}` in the runner's limits" in str(told)
        assert limits.value(name) in str(told)
        assert told.total is (name in TOTALS)
        assert told.total is ("The session pauses" in str(told))
    asked = limits.within(ProjectLimits(memory=64 * 1024**2, session=10**7))
    assert (asked.memory, asked.session, limits.within(None)) == (64 * 1024**2, limits.session, limits)
    assert asked.reached("memory", of=limits) == Reached(name="memory", bound="64M", of="project")
    assert limits.reached("session").pause == (
        "It has used up its 3d for all its commands together. An administrator can raise `session` in the runner's "
        "limits; then resume the session."
    )


@given(st.data())
def test_of_a_project_and_a_runner_the_stricter_holds_and_it_is_said_whose_it_is(data: st.DataObject) -> None:
    own = Limits()
    bounds = {
        name: data.draw(st.none() | st.integers(getattr(own, name) // 2, getattr(own, name) * 2), name)
        for name in get_args(LimitName)
    }
    asked = ProjectLimits(**bounds)
    both = own.within(asked)
    assert both.within(asked) == both
    for name, bound in bounds.items():
        mine = getattr(own, name)
        assert getattr(both, name) == (mine if bound is None else min(mine, bound))
        stricter = bound is not None and bound < mine
        assert both.reached(name, of=own).of == ("project" if stricter else "runner")
        assert ("in the project's limits" in str(both.reached(name, of=own))) is stricter
    assert ProjectLimits.parse(asked.words()) == asked
    assert own.within(None) == own


def test_what_is_used_adds_up_to_a_total() -> None:
    used = Used(ms=59_999, output=5) + Used(ms=1, output=1024**2 - 5)
    assert used.up("session", Limits(session=60))
    assert not used.up("session", Limits(session=61))
    assert used.up("output", ProjectLimits(output=1024**2))
    assert not used.up("output", ProjectLimits(session=1)), "nothing is asked for"


@pytest.mark.parametrize("bound", ["", "2h\n", "two", "9" * 30, "1G of <b>"])
def test_a_runner_says_no_more_than_a_bound(bound: str) -> None:
    with pytest.raises(ValidationError):
        Reached(name="call", bound=bound)
