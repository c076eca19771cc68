"""What their browser remembers of somebody: theme, level of detail, long lines, times, and when they last looked."""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, get_args

from litestar import Request
from litestar.datastructures import Cookie

from quarterdeck.core.events import Level

LEVEL = "quarterdeck_level"
THEME = "quarterdeck_theme"
SYSTEM = "system"
THEMES = (SYSTEM, "light", "dark")
LOOK = "quarterdeck_look"
VISIT = "quarterdeck_visit"
VISIT_SECONDS = 30 * 60
"""Who looks again within this time is still looking."""
_VISIT = re.compile(r"([0-9]{1,10})[.]([0-9]{1,10})")
"""When somebody looked before this visit, and when they looked last."""
FIRST_SECONDS = 7 * 86_400
"""Before a first visit, what ended in this time is new."""
Times = Literal["since", "utc", "none"]
_YEAR = 365 * 86_400

_theme: ContextVar[str] = ContextVar("theme", default=SYSTEM)


def use_theme(request: Request[Any, Any, Any]) -> None:
    """Chooses the theme of what is rendered from here on, as the browser remembers it."""
    wanted = request.cookies.get(THEME, "")
    _theme.set(wanted if wanted in THEMES else SYSTEM)


def theme() -> str:
    """The theme of what is rendered now."""
    return _theme.get()


def level_of(request: Request[Any, Any, Any]) -> Level:
    """The level of detail: what the URL asks for, else what was asked for last."""
    wanted = request.query_params.get("level") or request.cookies.get(LEVEL, "")
    return Level(wanted) if wanted in set(Level) else Level.CONCISE


@dataclass(frozen=True)
class Look:
    """How lines and times of a log are shown."""

    wrap: bool = True
    times: Times = "since"
    """Since the session's start, by the clock, or not at all."""

    @property
    def classes(self) -> str:
        """The same as classes of a page."""
        return f"times-{self.times}" + ("" if self.wrap else " nowrap")


def look_of(request: Request[Any, Any, Any]) -> Look:
    """As it was chosen last."""
    times, _, wrap = request.cookies.get(LOOK, "").partition(".")
    return look(times, wrap=wrap != "nowrap")


def look(times: str, *, wrap: bool) -> Look:
    """What a form or a cookie says; the usual times where it says none that there are."""
    return Look(wrap, next((one for one in get_args(Times) if one == times), "since"))


def visit(request: Request[Any, Any, Any], now: int) -> tuple[int, Cookie]:
    """When somebody looked before this visit, in seconds since the epoch, and the cookie that remembers this one."""
    known = _VISIT.fullmatch(request.cookies.get(VISIT, ""))
    before, latest = (int(known[1]), int(known[2])) if known else (0, now - FIRST_SECONDS)
    since = before if known and now - latest < VISIT_SECONDS else latest
    return since, _cookie(VISIT, f"{since}.{now}")


def remembering(what: Level | Look) -> Cookie:
    """The cookie that remembers it. It says nothing of the person and decides nothing."""
    if isinstance(what, Level):
        return _cookie(LEVEL, what.value)
    return _cookie(LOOK, f"{what.times}.{'' if what.wrap else 'no'}wrap")


def remembering_theme(wanted: str) -> Cookie:
    """The same of the theme; what is none is the system's."""
    return _cookie(THEME, wanted if wanted in THEMES else SYSTEM)


def _cookie(key: str, value: str) -> Cookie:
    return Cookie(key=key, value=value, max_age=_YEAR, path="/", httponly=True, samesite="strict")
