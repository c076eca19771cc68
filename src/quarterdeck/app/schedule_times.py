"""When a schedule runs: cron expressions in a time zone, and what the clock's changes do to them."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from quarterdeck.core.errors import InvalidInputError

SHOWN = 5
SOONEST = timedelta(minutes=5)
"""Runs are no closer together."""
_CHANCE = re.compile(r"(?<![A-Za-z])[HhRr](?![A-Za-z])")
"""Letters that croniter puts a number for, another one each time that it is asked."""
_EXAMPLE = "Its five parts are minute, hour, day of the month, month and day of the week: `30 6 * * 1-5`."


def check(cron: str, timezone: str) -> None:
    """Raises InvalidInputError for what is no schedule, never comes, or comes too often."""
    from croniter import croniter

    if timezone not in available_timezones():
        raise InvalidInputError(f"There is no time zone {timezone[:100]!r}. Use a name such as Europe/Berlin or UTC.")
    if len(cron) > 200 or len(cron.split()) != 5 or _CHANCE.search(cron) or not croniter.is_valid(cron):
        raise InvalidInputError(f"{cron[:100]!r} is no schedule. {_EXAMPLE}")
    times = upcoming(cron, timezone, datetime(2026, 1, 1, tzinfo=UTC), 30)
    if not times:
        raise InvalidInputError(f"{cron!r} is a time that never comes.")
    if any(later - sooner < SOONEST for sooner, later in pairwise(times)):
        raise InvalidInputError(f"A schedule runs every {SOONEST.seconds // 60} minutes at most; {cron!r} is more.")


def following(cron: str, timezone: str, after: datetime) -> datetime | None:
    """The first run behind `after`, in UTC; None when there is none in the next years.

    What falls into the hour that spring leaves out runs at its end. What falls into the hour that autumn has twice
    runs in the first of the two alone.
    """
    from croniter import CroniterBadDateError, croniter

    zone = ZoneInfo(timezone)
    times = croniter(cron, after.astimezone(zone), max_years_between_matches=10)
    try:
        while True:
            found: datetime = times.get_next(datetime)
            # Asked anew of the zone: whether this wall time comes twice, and is the second of them.
            if found.astimezone(UTC).astimezone(zone).fold == 0:
                return found.astimezone(UTC)
    except CroniterBadDateError:
        return None


def upcoming(cron: str, timezone: str, after: datetime, count: int = SHOWN) -> list[datetime]:
    """The next runs behind `after`."""
    found: list[datetime] = []
    while len(found) < count and (at := following(cron, timezone, found[-1] if found else after)) is not None:
        found.append(at)
    return found
