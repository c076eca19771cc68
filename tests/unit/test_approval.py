import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from quarterdeck.core import limits
from quarterdeck.core.approval import check_patterns, command_of, fingerprint, matches, needs_approval, pattern_of
from quarterdeck.core.errors import InvalidInputError

MAKE: dict[str, JsonValue] = {"command": "make"}
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


WORDS = st.text(st.sampled_from("ab* -"), max_size=12)


@given(WORDS, st.text(st.sampled_from("ab -"), min_size=1, max_size=12))
def test_a_pattern_matches_as_a_regular_expression_of_it_would(pattern: str, command: str) -> None:
    wanted = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), command) is not None
    assert matches(pattern, "run_command", {"command": command}) == wanted


@pytest.mark.parametrize(
    ("pattern", "command", "wanted"),
    [
        ("make test", "make test", True),
        ("make test", "make tests", False),
        ("make *", "cargo make x", False),
        ("git * --short*", "git status --short", True),
        ("git * --short*", "git status --long", False),
        ("ab*ba", "aba", False),
    ],
)
def test_a_star_stands_for_anything_between_what_is_said(pattern: str, command: str, wanted: bool) -> None:
    assert matches(pattern, "run_command", {"command": command}) is wanted


@given(st.text(), st.sampled_from(";&|$`><()\n\r\t\"'\\*?[]{}!#~^\x00ü"), st.text())
def test_what_means_something_to_a_shell_matches_nothing(before: str, sign: str, after: str) -> None:
    assert not matches("*", "run_command", {"command": f"{before}{sign}{after}"})
    assert not matches("git*", "run_git_command", {"command": "log", "args": f"{before}{sign}{after}"})


def test_only_commands_of_a_bearable_length_have_patterns() -> None:
    long = "a" * limits.PATTERN_COMMAND_CHARACTERS
    assert matches("a*", "run_command", {"command": long})
    assert not matches("a*", "run_command", {"command": long + "a"})
    assert not matches("*", "read_file", {"file_path": "a"})
    assert command_of("run_git_command", {"command": "status"}) == "git status"
    assert matches("git status*", "run_git_command", {"command": "status", "args": "--short"})


@pytest.mark.parametrize(
    ("privilege", "component_asks", "by_component", "by_session", "asked"),
    [
        ("run_commands", True, ("run_command",), (), False),
        (None, False, (), (), False),
        (None, True, (), (), True),
        ("run_commands", False, (), ("run_commands",), False),
        ("run_commands", False, (), ("read_files",), True),
    ],
)
def test_who_may_take_the_question_away(
    privilege: str | None, component_asks: bool, by_component: tuple[str, ...], by_session: tuple[str, ...], asked: bool
) -> None:
    assert asked is needs_approval(
        "run_command",
        {"command": "make"},
        privilege=privilege,
        component_asks=component_asks,
        component_pre_approved=by_component,
        session_pre_approved=by_session,
        session_approvals=(),
    )


@pytest.mark.parametrize("there", [True, False])
def test_a_pattern_takes_the_question_away(there: bool) -> None:
    asked = needs_approval(
        "run_command",
        {"command": "git status"},
        privilege="run_commands",
        component_asks=True,
        component_pre_approved=(),
        session_pre_approved=(),
        session_approvals=(),
        start_patterns=("git diff*", "git st*") if there else ("git diff*",),
    )
    assert asked is not there


@pytest.mark.parametrize(
    ("approvals", "patterns", "asked"),
    [((), (), True), ((fingerprint("run_command", MAKE),), (), False), ((), ("make*",), False), ((), ("git*",), True)],
)
def test_what_the_project_always_asks_only_a_person_in_the_session_answers(
    approvals: tuple[str, ...], patterns: tuple[str, ...], asked: bool
) -> None:
    assert asked is needs_approval(
        "run_command",
        MAKE,
        privilege="run_commands",
        component_asks=False,
        component_pre_approved=("run_command",),
        session_pre_approved=("run_commands",),
        session_approvals=approvals,
        session_patterns=patterns,
        start_patterns=("make*",),
        always_ask=("run_commands",),
    )


@pytest.mark.parametrize(
    ("patterns", "word"),
    [
        ({"read_file": ["a"]}, "read_file"),
        ({"run_command": ["make x"] * (limits.PATTERNS + 1)}, "100 patterns"),
        ({"run_command": ["m" * (limits.PATTERN_CHARACTERS + 1)]}, "256 characters"),
        ({"run_command": ["make; x*"]}, "can't be a pattern"),
        ({"run_command": [""]}, "can't be a pattern"),
        ({"run_command": ["*"]}, "any program"),
        ({"run_command": ["m* x"]}, "any program"),
        ({"run_command": [" make"]}, "any program"),
    ],
)
def test_patterns_that_can_not_be_are_refused(patterns: dict[str, list[str]], word: str) -> None:
    with pytest.raises(InvalidInputError, match=word):
        check_patterns(patterns)


def test_patterns_as_people_write_them_are_taken() -> None:
    check_patterns({"run_command": ["git status*", "make test", "npm run *"], "run_git_command": ["git log*"]})


@pytest.mark.parametrize(
    ("tool", "args", "pattern"),
    [
        ("run_command", {"command": "make test"}, "make test"),
        ("run_git_command", {"command": "log", "args": "-1"}, "git log -1"),
        ("run_command", {"command": "make; reboot"}, ""),
        ("run_command", {"command": "m" * (limits.PATTERN_COMMAND_CHARACTERS + 1)}, ""),
        ("read_file", {"file_path": "a"}, ""),
    ],
)
def test_the_narrowest_pattern_is_the_command_itself(tool: str, args: dict[str, JsonValue], pattern: str) -> None:
    assert pattern_of(tool, args) == pattern
    if pattern:
        check_patterns({tool: [pattern]})
        assert matches(pattern, tool, args)
