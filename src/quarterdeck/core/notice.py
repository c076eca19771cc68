"""What a person is told of their sessions: the kinds, their rules, and the words for each channel."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from quarterdeck.core.status import AWAITING, Status, human
from quarterdeck.core.text import line

TITLE_CHARACTERS = 200
DETAIL_CHARACTERS = 500
CALM_SECONDS = 30
"""How long a question waits before it is sent elsewhere: who sits before it answers sooner."""


class NoticeKind(StrEnum):
    """Why somebody is told."""

    NEEDS_INPUT = "needs_input"
    FAILED = "failed"
    OVER_BUDGET = "over_budget"
    PAUSED = "paused"
    FINISHED = "finished"
    WEBHOOK_DISABLED = "webhook_disabled"


OF_SESSIONS = tuple(one for one in NoticeKind if one is not NoticeKind.WEBHOOK_DISABLED)
"""The kinds that people have rules for."""
WAITING = frozenset({NoticeKind.NEEDS_INPUT, NoticeKind.PAUSED, NoticeKind.OVER_BUDGET})
"""What is over as soon as the session goes on."""
OF_CHILDREN = WAITING
"""Of a session that works for another one only what a person has to do; how it ended is told to that one."""


class Rules(BaseModel):
    """Which kinds a person is told of."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    flows: tuple[NoticeKind, ...] = Field(
        default=(NoticeKind.NEEDS_INPUT, NoticeKind.FAILED, NoticeKind.OVER_BUDGET, NoticeKind.PAUSED),
        max_length=len(OF_SESSIONS),
        description="Of sessions of flows, and of those from elsewhere.",
    )
    chats: tuple[NoticeKind, ...] = Field(
        default=(), max_length=len(OF_SESSIONS), description="Of chats and sessions in editors; nothing at first."
    )

    def want(self, kind: NoticeKind, *, private: bool, child: bool) -> bool:
        """Whether to tell of it."""
        return kind in (self.chats if private else self.flows) and not (child and kind not in OF_CHILDREN)


def kind_of(status: Status) -> NoticeKind | None:
    """The kind of a session that came to `status`; None where nobody is told.

    A pause is told only where the server made it, which its event says; `idle` is work that is done and can go on.
    """
    if status in AWAITING:
        return NoticeKind.NEEDS_INPUT
    match status:
        case Status.FAILED:
            return NoticeKind.FAILED
        case Status.PAUSED:
            return NoticeKind.PAUSED
        case Status.FINISHED | Status.IDLE:
            return NoticeKind.FINISHED
        case _:
            return None


@dataclass(frozen=True)
class Notice:
    """One message to one person."""

    kind: NoticeKind
    what: str
    """The session's title, or the webhook's address."""
    where: str
    """The project's path; empty for none."""
    detail: str
    """Why, as far as that is known."""
    url: str
    number: int = 0
    """The session's; 0 for none."""
    status: Status | None = None

    @property
    def subject(self) -> str:
        """One line."""
        number = f" #{self.number}" if self.number else ""
        return f"{_LEADS[self.kind]}:{number} {line(self.what, TITLE_CHARACTERS)}"

    @property
    def text(self) -> str:
        """The whole, as plain text."""
        where = f"Project {self.where}" if self.where else ""
        parts = (self.subject, self._why, where, self.url)
        return "\n".join(part for part in parts if part) + "\n"

    @property
    def slack(self) -> dict[str, JsonValue]:
        """The body for an incoming webhook of Slack, or of what takes the same; nothing in it mentions anybody."""
        number = f"#{self.number} " if self.number else ""
        linked = f"<{self.url}|{number}{_plain(line(self.what, TITLE_CHARACTERS))}>"
        lines = [f"*{_LEADS[self.kind]}*: {linked}", _plain(self._why)]
        blocks: list[JsonValue] = [
            {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(one for one in lines if one)}}
        ]
        if self.where:
            blocks.append({"type": "context", "elements": [{"type": "plain_text", "text": _plain(self.where)}]})
        return {"text": _plain(self.subject), "blocks": blocks}

    @property
    def _why(self) -> str:
        asked = _ASKED.get(self.status) if self.status else None
        return asked or line(self.detail, DETAIL_CHARACTERS)


_LEADS = {
    NoticeKind.NEEDS_INPUT: "Needs you",
    NoticeKind.FAILED: "Failed",
    NoticeKind.OVER_BUDGET: "Over budget",
    NoticeKind.PAUSED: "Paused by itself",
    NoticeKind.FINISHED: "Done",
    NoticeKind.WEBHOOK_DISABLED: "Webhook disabled",
}
_ASKED = {status: f"{human(status).capitalize()}." for status in AWAITING}


def _plain(text: str) -> str:
    """Without what such a receiver takes for markup that links or names somebody."""
    for sign, instead in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("@", "@\u200b"),
        ("|", "\u00a6"),
        ("](", "] ("),
    ):
        text = text.replace(sign, instead)
    return text
