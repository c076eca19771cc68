"""Patterns of others hold nothing up, and what an author may write is found."""

import pytest

from quarterdeck.core import patterns
from quarterdeck.tools import searches


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{1,3}(\.\d{1,3}){3}$",
        r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        r"^(?:[a-z]{1,63}\.){1,10}[a-z]{2,}$",
        r"^(?=.*\d)[^{}()]*\{x\}$",
        r"[)]{500}[:/]",
        r".{1,10000}",
    ],
)
def test_usual_patterns_can_be_used(pattern: str) -> None:
    assert patterns.fault(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "missing )"),
        ("a**", "multiple repeat"),
        ("(" * 2_000 + ")" * 2_000, ""),
        ("a{99999999999}", "too large"),
        ("(?:a|b){100000000}", "more than 20,000 parts"),
        ("(?:(?:a{1000}){1000}){1000}", "more than 20,000 parts"),
        ("((a?){,1000}){1000,}", "more than 20,000 parts"),
        ("a{1000}" * 30, "more than 20,000 parts"),
        ("(?x)(?:a{1000}) {1000}", "not supported"),
        ("(?i-x:a)(?sx:(?:a{1000}) {1000})", "not supported"),
        ("(?:a{1000})(?#)b{1000}", "not supported"),
        ("(?:cats){e}", "no count"),
    ],
)
def test_what_could_fill_the_memory_or_means_something_else_cannot(pattern: str, why: str) -> None:
    assert why in patterns.fault(pattern)
    assert patterns.fault(pattern)
    with pytest.raises(searches.SearchError, match="can't be used"):
        searches.Searches().found(pattern, "a")


def test_searches_share_their_time() -> None:
    shared = searches.Searches(seconds=0.3)
    assert shared.found("b", "abc")
    assert not shared.found("^b", "abc")
    with pytest.raises(searches.SearchError, match="takes too long"):
        shared.found("(a|a)*$", "a" * 40 + "!")
    with pytest.raises(searches.SearchError, match="takes too long"):
        shared.found("b", "abc")
