"""How somebody wants to see pages, remembered by their browser: the level of detail."""

from typing import Any

from litestar import Request
from litestar.datastructures import Cookie

from quarterdeck.core.events import Level

LEVEL = "quarterdeck_level"
_YEAR = 365 * 86_400


def level_of(request: Request[Any, Any, Any]) -> Level:
    """The level of detail: what the URL asks for, else what was asked for last."""
    wanted = request.query_params.get("level") or request.cookies.get(LEVEL, "")
    return Level(wanted) if wanted in set(Level) else Level.CONCISE


def remembering(level: Level) -> Cookie:
    """The cookie that remembers it. It says nothing of the person and decides nothing."""
    return Cookie(key=LEVEL, value=level.value, max_age=_YEAR, path="/", httponly=True, samesite="strict")
