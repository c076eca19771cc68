"""Limits as they are written, and as they are told."""

import pytest

from quarterdeck.core.session_limits import Limits


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
    assert limits.reached("memory").startswith("This session's limit on this runner was reached: 1G of memory")
    for name in Limits.model_fields:
        told = limits.reached(name)  # pyright: ignore[reportArgumentType]
        assert f"raise `{name}`" in told
        assert limits.value(name) in told  # pyright: ignore[reportArgumentType]
