"""The time by the database's clock, which all processes share: a machine whose own clock is wrong changes nothing.

It is asked every few seconds and carried on in between by a clock that nobody sets. What the database's clock jumps by
is noticed, and that the machine has slept, which makes no jump of it: much that is renewed in time looks old after
either. There is one database to a process, so the clock is the module's.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

ASK_SECONDS = 10.0
JUMP = timedelta(seconds=5)
"""By so much no clock is corrected that goes right."""
PROMPT_SECONDS = 0.02
"""An answer that took longer may be from anywhen in between; it is used where there is no better one."""
BELIEVED_SECONDS = 24 * 3600.0
"""A jump ahead that nobody has put right for so long is taken for the time."""
_ASK = text("select clock_timestamp()")


def elapsed() -> float:
    """Seconds by a clock that is never set; where the system has one, it goes on while the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def awake() -> float:
    """The same without the time that the machine slept, where the system tells them apart."""
    return time.monotonic()


@dataclass
class _Known:
    """What time it was when `elapsed` was so much."""

    at: datetime
    elapsed: float

    def now(self) -> datetime:
        """What time it is, if nobody has set the clock since."""
        return self.at + timedelta(seconds=elapsed() - self.elapsed)


@dataclass
class _Clock:
    asked: float | None = None
    asked_awake: float = 0.0
    told: _Known | None = None
    jumped: float | None = None
    """When the database's clock last jumped, or the machine was last seen to have slept."""
    trusted: _Known | None = None
    ahead_since: float | None = None


_clock = _Clock()


def due() -> bool:
    """Whether it is time to ask again."""
    return _clock.asked is None or elapsed() - _clock.asked >= ASK_SECONDS


async def ask(connection: AsyncConnection) -> None:
    """Asks the database what time it is."""
    began = elapsed()
    at = (await connection.execute(_ASK)).scalar_one()
    slept = _has_slept()
    _clock.asked, _clock.asked_awake = elapsed(), awake()
    took = _clock.asked - began
    known = _Known(at.astimezone(UTC) + timedelta(seconds=took / 2), _clock.asked)
    jumped = _clock.told is not None and abs(known.now() - _clock.told.now()) > JUMP + timedelta(seconds=took)
    if jumped or slept:
        _clock.jumped = _clock.asked
    if _clock.told is None or jumped or took < PROMPT_SECONDS:
        _clock.told = known
    if _clock.trusted is None:
        _clock.trusted = _clock.told


def _has_slept() -> bool:
    """Whether the machine has since it asked last; its runner then had no time to be heard of."""
    if _clock.asked is None:
        return False
    return elapsed() - _clock.asked - (awake() - _clock.asked_awake) > JUMP.total_seconds()


def now() -> datetime:
    """The time by the database's clock; by this machine's as long as it was never asked."""
    return datetime.now(UTC) if _clock.told is None else _clock.told.now()


def steady(seconds: float) -> bool:
    """Whether the clock has not jumped, and the machine not slept, for so long."""
    return _clock.jumped is None or elapsed() - _clock.jumped > seconds


def cautious() -> datetime:
    """The time for what can't be undone: what the clock has jumped ahead lately is left out."""
    at = now()
    if _clock.trusted is None or at <= _clock.trusted.now() + JUMP:
        _clock.trusted, _clock.ahead_since = _Known(at, elapsed()), None
        return at
    if _clock.ahead_since is None:
        _clock.ahead_since = elapsed()
    if elapsed() - _clock.ahead_since > BELIEVED_SECONDS:
        _clock.trusted = _Known(at, elapsed())
    return _clock.trusted.now()
