"""How somebody wants to see pages, remembered by their browser: the theme and the level of detail."""

from contextvars import ContextVar
from typing import Any

from litestar import Request
from litestar.datastructures import Cookie

from quarterdeck.core.events import Level

LEVEL = "quarterdeck_level"
THEME = "quarterdeck_theme"
SYSTEM = "system"
THEMES = (SYSTEM, "light", "dark")
_YEAR = 365 * 86_400

_theme: ContextVar[str] = ContextVar("theme", default=SYSTEM)


def look(request: Request[Any, Any, Any]) -> None:
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


def remembering(level: Level) -> Cookie:
    """The cookie that remembers it. It says nothing of the person and decides nothing."""
    return _cookie(LEVEL, level.value)


def remembering_theme(wanted: str) -> Cookie:
    """The same of the theme; what is none is the system's."""
    return _cookie(THEME, wanted if wanted in THEMES else SYSTEM)


def _cookie(key: str, value: str) -> Cookie:
    return Cookie(key=key, value=value, max_age=_YEAR, path="/", httponly=True, samesite="strict")
