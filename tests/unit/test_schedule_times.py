"""Schedules: no run twice, none lost, and what the clock's changes do."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.app.schedule_times import check, following, upcoming
from quarterdeck.core.errors import InvalidInputError

BERLIN = ZoneInfo("Europe/Berlin")


def local(cron: str, after: datetime, count: int = 3) -> list[str]:
    return [f"{at.astimezone(BERLIN):%m-%d %H:%M}" for at in upcoming(cron, "Europe/Berlin", after, count)]


def test_the_hour_that_autumn_has_twice_runs_once() -> None:
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert local("30 2 * * *", before) == ["10-25 02:30", "10-26 02:30", "10-27 02:30"]
    assert local("0 * 25 10 *", before, 4) == ["10-25 00:00", "10-25 01:00", "10-25 02:00", "10-25 03:00"]


def test_the_hour_that_spring_leaves_out_runs_at_its_end() -> None:
    assert local("30 2 * * *", datetime(2027, 3, 27, 12, tzinfo=UTC)) == ["03-28 03:00", "03-29 02:30", "03-30 02:30"]


@pytest.mark.parametrize(
    ("cron", "zone", "words"),
    [
        ("x", "UTC", "no schedule"),
        ("@daily", "UTC", "no schedule"),
        ("* * * * * *", "UTC", "no schedule"),
        ("60 * * * *", "UTC", "no schedule"),
        ("0 0 30 2 *", "UTC", "never comes"),
        ("* * * * *", "UTC", "every 5 minutes"),
        ("0,2 6 * * *", "UTC", "every 5 minutes"),
        ("0 6 * * *", "Mars/Olympus", "no time zone"),
        ("0 6 * * *", "../etc/passwd", "no time zone"),
    ],
)
def test_what_is_no_schedule_says_why(cron: str, zone: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        check(cron, zone)


def test_a_leap_day_is_a_schedule() -> None:
    check("0 0 29 2 *", "UTC")
    check("*/5 * * * *", "UTC")


@given(
    st.builds(
        "{} {} * * {}".format,
        st.sampled_from(["0", "30", "*/15", "5,35"]),
        st.sampled_from(["*", "2", "3", "*/6", "1-4"]),
        st.sampled_from(["*", "0", "1-5"]),
    ),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    st.integers(1_770_000_000, 1_830_000_000),
)
def test_runs_come_in_order_and_no_wall_time_twice(cron: str, zone: str, after: int) -> None:
    start = datetime.fromtimestamp(after, UTC)
    times = upcoming(cron, zone, start, 30)
    assert times == sorted(set(times))
    assert times[0] > start
    walls = [at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) for at in times]
    assert len(set(walls)) == len(walls)
    # Asked from any moment in between, the next is the same.
    for sooner, later in pairwise(times[:6]):
        assert following(cron, zone, sooner + (later - sooner) / 2) == later
        assert following(cron, zone, later - timedelta(seconds=1)) == later
