"""What page is looked at, and how the right sidebar stands beside it, as the browser remembers it."""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from litestar import Request

RAIL = "quarterdeck_rail"
FOLLOWS = "chat"
_FOLLOWED = re.compile(r"([1-9][0-9]{0,17})\.([0-9]{1,18})", re.ASCII)
_OPEN = re.compile(r"(sessions|chat|history|closed)(?::([1-9][0-9]{0,17}))?", re.ASCII)


@dataclass(frozen=True)
class Place:
    """How far a page has a chat that is open on it."""

    chat: int
    after: int


@dataclass(frozen=True)
class Sight:
    """What is looked at, and how the right sidebar stands beside it."""

    address: str = ""
    """The page's path and query."""
    open: str = ""
    """The section of the sidebar that is open: `sessions`, `chat`, `history`, `closed`; empty where nobody chose."""
    chat: int = 0
    """The chat that goes on in the sidebar; 0 is none."""
    follows: Place | None = None
    """Of a stream: the chat that it tells of beside what is the page's own."""


_NOWHERE = Sight()
_sight: ContextVar[Sight] = ContextVar("sight", default=_NOWHERE)


def see(request: Request[Any, Any, Any]) -> None:
    """What is rendered from here on is this page. The cookie is written by a script: it decides nothing."""
    kept = _OPEN.fullmatch(request.cookies.get(RAIL, ""))
    address = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    followed = _FOLLOWED.fullmatch(request.query_params.get(FOLLOWS, ""))
    place = Place(int(followed[1]), int(followed[2])) if followed else None
    opened, chat = (kept[1], int(kept[2] or 0)) if kept else ("", 0)
    _sight.set(Sight(address, opened, chat, place))


def sight() -> Sight:
    """What is looked at now."""
    return _sight.get()
