"""What of a session's page stands beside its log and changes with it: header, open questions, composer."""

import json
from dataclasses import dataclass

from quarterdeck.app.session_rights import SessionRights
from quarterdeck.app.session_views import SessionView
from quarterdeck.core.status import AWAITING, FINAL, Status
from quarterdeck.doors.sse import message
from quarterdeck.doors.web.rendering import fragment, glyph


@dataclass(frozen=True)
class Parts:
    """The parts as HTML, and the page's title."""

    title: str
    header: str
    waiting: str
    composer: str

    @property
    def message(self) -> bytes:
        """The same as a server-sent event."""
        return message("parts", json.dumps(self.__dict__))


def parts(session: SessionView, rights: SessionRights) -> Parts:
    """The parts for somebody with these rights."""
    final = session.status in FINAL
    values: dict[str, object] = {
        "session": session,
        "rights": rights,
        "final": final,
        "paused": session.status is Status.PAUSED,
        "asks": session.status in AWAITING,
    }
    number = f"#{session.id} {session.title} · Quarterdeck"
    return Parts(
        title=f"{glyph(session.status)} {number}" if session.status in AWAITING or final else number,
        header=fragment("parts/session_header.html", **values),
        waiting=fragment("parts/session_waiting.html", **values),
        composer=fragment("parts/session_composer.html", **values),
    )
