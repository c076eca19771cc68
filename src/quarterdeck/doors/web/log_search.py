"""Search in a session's log: what was found, and the way from one place to the next."""

from dataclasses import dataclass
from urllib.parse import urlencode

from quarterdeck.app import session_search
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_search import Hit
from quarterdeck.core import search
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.search import Query

HITS = 100
"""Of one page of them."""
WORDS_CHARACTERS = 200


@dataclass(frozen=True)
class Found:
    """What the words are in, in the order of the log, and where among that the page stands."""

    session_id: int
    words: str
    query: Query | None = None
    problem: str = ""
    """Why the words can't be searched for."""
    hits: tuple[Hit, ...] = ()
    cursor: str = ""
    """Where this page of hits begins; empty for the first."""
    next: str = ""
    """Where the following page begins; empty behind the last."""
    at: int | None = None

    @property
    def place(self) -> int:
        """Which of the hits the page stands at, from 1; 0 at none of them."""
        return next((n for n, hit in enumerate(self.hits, 1) if hit.seq == self.at), 0)

    @property
    def before(self) -> Hit | None:
        """The last hit before where the page stands."""
        return next((hit for hit in reversed(self.hits) if self.at is not None and hit.seq < self.at), None)

    @property
    def behind(self) -> Hit | None:
        """The first one behind it, or of all."""
        return next((hit for hit in self.hits if self.at is None or hit.seq > self.at), None)

    def url(self, hit: Hit) -> str:
        """The log around a hit, with its words marked."""
        return f"/sessions/{hit.session_id}?{self._query(self.cursor, at=str(hit.seq))}#e{hit.seq}"

    @property
    def more(self) -> str:
        """The following page of hits."""
        return f"/sessions/{self.session_id}?{self._query(self.next)}"

    def _query(self, cursor: str, **more: str) -> str:
        return urlencode({"q": self.words, **({"hits": cursor} if cursor else {}), **more})


async def find(app: App, actor: Actor, session_id: int, words: str, *, cursor: str, at: int | None) -> Found | None:
    """What the search in the log finds; None where nothing is looked for."""
    words = words[:WORDS_CHARACTERS]
    if not words.strip():
        return None
    try:
        query = search.query(words)
        found = await session_search.find_within(app, actor, session_id, words, after=cursor or None, limit=HITS)
    except QuarterdeckError as error:
        return Found(session_id, words, problem=error.message)
    return Found(session_id, words, query, hits=found.items, cursor=cursor, next=found.next or "", at=at)
