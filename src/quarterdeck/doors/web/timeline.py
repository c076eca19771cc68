"""A session's events as a timeline: one card for a call and its end, and what only Full shows folded in groups."""

import json
import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from jinja2 import Template
from markupsafe import Markup

from quarterdeck.app.session_lists import SessionRow
from quarterdeck.app.signals import EventSignal, OutputSignal, PartialSignal, Signal
from quarterdeck.core import events as e
from quarterdeck.core.events import Event, Level
from quarterdeck.doors.export.entries import Entry, entry, line
from quarterdeck.doors.export.terminal import plain
from quarterdeck.doors.sse import chunk, message
from quarterdeck.doors.web import languages, texts
from quarterdeck.doors.web.printing import Printing
from quarterdeck.doors.web.rendering import TEMPLATES, fragment
from quarterdeck.tools.catalogue import CATALOGUE

EXCERPT_LINES = 20
"""Of what a call came to; a link leads to the rest."""
DEEPEST = 3
"""How far in agents of agents and sessions of sessions stand."""
EXCERPT_CHARACTERS = 20_000
"""Of what a call was given; the entry's own page has the rest."""
_NUMBER = re.compile(r"#[0-9]{1,18}")
_NONE: Mapping[int, SessionRow] = {}


@dataclass(frozen=True)
class Lens:
    """How a timeline is looked at. Who have the same lens are sent the same bytes."""

    session_id: int
    began: datetime
    level: Level
    language: str
    depth: int = 0
    """Within how many sessions it is shown; 0 is the page's own."""

    def anchor(self, seq: int) -> str:
        """The name of an entry on the page."""
        return f"s{self.session_id}-e{seq}" if self.depth else f"e{seq}"


class Printed(NamedTuple):
    """What a call came to, as far as it is shown."""

    text: str
    first: int
    """The number of its first line; 0 where that is not known, or it is the only one."""
    lines: int
    """Of all of it."""


@dataclass
class Item:
    """An event as a template has it; `p` is the payload."""

    event: Event
    entry: Entry
    begun: "Item | None" = None
    """Of a call: when somebody began it."""
    end: "Item | None" = None
    """Of a call: how it ended."""
    whole: bool = False
    """Nothing is left out: the entry stands alone on its page."""
    runs: bool = True
    """Of the beginning of a call: whether it goes on. What a stream tells of is new, and does."""
    about: SessionRow | None = None
    """Of the start of another session: how that stands."""

    @property
    def p(self) -> Any:
        """The payload, which templates know by the kind that they are named by."""
        return self.event.payload

    @property
    def tool(self) -> str:
        """The tool, where the event is about a call."""
        match self.event.payload:
            case e.ToolCallRequested(tool=tool) | e.ToolCallFinished(tool=tool):
                return tool
            case _:
                return ""

    @property
    def brief(self) -> str:
        """What a call is about, in a line: the command, the file, the first of its arguments."""
        args = self.p.args
        for name in ("command", "file_path", "pattern", "path"):
            if isinstance(args.get(name), str):
                return args[name]
        return next((value for value in args.values() if isinstance(value, str)), "")

    @property
    def child(self) -> int:
        """The session that this one started here; 0 where it started none."""
        match self.event.payload:
            case e.LinkAdded(relation="child", target="session", name=name) if _NUMBER.fullmatch(name):
                return int(name[1:])
            case _:
                return 0

    @property
    def below(self) -> int:
        """How many agents of the session gave this part of the work on; so far in it stands."""
        return min(str(getattr(self.event.payload, "component", "")).count(":") // 2, DEEPEST)

    def printed(self, most: int) -> Printed:
        """Of the end of a call the last lines; their numbers are those of the output, or of the answer without one."""
        ended: e.ToolCallFinished = self.p
        rows, first = self.entry.verbatim.split("\n"), 1
        if ended.output_bytes:
            first = 0 if ended.truncated or self.whole else 1
            if rows[0] == f"Exit code {ended.exit_code}.":  # the outcome says it
                rows = rows[1:]
            else:
                first = 0
        skipped = max(0, len(rows) - most)
        named = first and len(rows) > 1
        return Printed("\n".join(rows[skipped:]), first + skipped if named else 0, len(rows))

    @property
    def bad(self) -> bool:
        """Whether it went wrong, itself or its end."""
        return self.entry.look == "bad" or (self.end is not None and self.end.bad)

    @property
    def folds(self) -> bool:
        """Whether it is one of the many that only a detailed look wants."""
        known = CATALOGUE.get(self.tool)
        works = known is not None and known.risk != "read" and isinstance(self.event.payload, e.ToolCallRequested)
        return self.event.level is Level.FULL and not works and not self.bad


@dataclass
class Fold:
    """Items that follow one another and fold to a line."""

    items: list[Item] = field(default_factory=list[Item])

    @property
    def tools(self) -> str:
        """Which tools were used, and how often."""
        counted = Counter(one.tool for one in self.items if one.tool)
        return ", ".join(f"{tool} \u00d7{n}" if n > 1 else tool for tool, n in counted.items())


def timeline(
    events: Sequence[Event],
    lens: Lens,
    running: Container[str] = (),
    ends: Sequence[Event] = (),
    children: Mapping[int, SessionRow] = _NONE,
) -> Markup:
    """The entries of a page: as running are shown the calls that are, and `ends` stand only within their cards.

    `children` are the sessions that this one has started, as far as their numbers are among the events.

    Takes its time: call it in a thread.
    """
    texts.begin_page()
    rows: list[Item | Fold] = []
    items = [_item(event, lens) for event in events]
    for item in _with_ends(items, [_item(event, lens) for event in ends], running):
        item.about = children.get(item.child)
        last = rows[-1] if rows else None
        if not item.folds:
            rows.append(item)
        elif isinstance(last, Fold):
            last.items.append(item)
        else:
            rows.append(Fold([item]))
    # The newest come first to what room there is on a page for Markdown.
    return Markup("\n").join([_row(row, lens) for row in reversed(rows)][::-1])


def alone(event: Event, lens: Lens) -> Markup:
    """One entry with nothing left out."""
    item = _item(event, lens)
    item.whole, item.runs = True, False
    return _html(item, lens)


def _row(row: Item | Fold, lens: Lens) -> Markup:
    if isinstance(row, Item):
        return _html(row, lens)
    if len(row.items) == 1:
        return _html(row.items[0], lens)
    entries = Markup("\n").join(_html(item, lens) for item in row.items)
    return fragment("parts/fold.html", fold=row, entries=entries)


def last_line(events: Sequence[Event], lens: Lens) -> str:
    """What the last of these events says, in a line."""
    made = [entry(event, lens.began, languages.gettext) for event in events[-1:]]
    return line(made[0].words or made[0].head) if made else ""


def started(events: Sequence[Event]) -> bool:
    """Whether the session has started others here."""
    return any(Item(event, _BLANK).child for event in events)


def open_calls(events: Sequence[Event]) -> dict[str, int]:
    """The calls that these events ask for and don't end, and which event asks."""
    found: dict[str, int] = {}
    for event in events:
        match event.payload:
            case e.ToolCallRequested(call_id=call_id):
                found[call_id] = event.seq
            case e.ToolCallFinished(call_id=call_id):
                found.pop(call_id, None)
            case _:
                pass
    return found


def _with_ends(items: list[Item], ends: list[Item], running: Container[str]) -> list[Item]:
    """The same, with the beginning and the end of each call that is among them within its card."""
    calls: dict[str, Item] = {}
    found: list[Item] = []
    for item in items:
        match item.event.payload:
            case e.ToolCallRequested(call_id=call_id):
                calls[call_id] = item
            case e.ToolCallFinished(call_id=call_id) if call_id in calls:
                calls[call_id].end = item
                continue
            case e.ToolCallStarted(call_id=call_id):
                item.runs = call_id in running
                if card := calls.get(call_id):
                    card.begun = item if item.runs else None
                    continue
            case _:
                pass
        found.append(item)
    for item in ends:
        if card := calls.get(item.p.call_id):
            card.end = item
    return found


def _item(event: Event, lens: Lens) -> Item:
    return Item(event, entry(event, lens.began, languages.gettext))


def _html(item: Item, lens: Lens) -> Markup:
    end = None if item.end is None else _rendered(item.end, lens, nested=True)
    begun = None if item.begun is None else _rendered(item.begun, lens)
    inner = _rendered(item, lens, begun=begun, end=end)
    return fragment("parts/entry.html", it=item, entry=item.entry, lens=lens, inner=inner)


def _rendered(
    item: Item, lens: Lens, *, begun: Markup | None = None, end: Markup | None = None, nested: bool = False
) -> Markup:
    lines, most = (1 << 30, 1 << 30) if item.whole else (EXCERPT_LINES, EXCERPT_CHARACTERS)
    html = _template(item.event.kind).render(
        it=item, p=item.p, entry=item.entry, lens=lens, begun=begun, end=end, nested=nested, lines=lines, most=most
    )
    return Markup(html.strip())  # noqa: S704 the templates escape


_BLANK = Entry(0, 0.0, Level.FULL, "", "")


@lru_cache
def _template(kind: str) -> Template:
    """A kind's own template, or the one of all that have none."""
    return TEMPLATES.select_template([f"events/{kind}.html", "events/other.html"])


_ENDS_ANSWER = (e.ModelAnswered, e.ModelInterrupted, e.ModelRetried, e.StatusChanged)
"""Behind these an answer is written no more, whether the lens shows them or not."""


def _fails(event: Event) -> bool:
    """Whether a call failed: the card of one that is shown says so, also where a flow hides its failures."""
    return isinstance(event.payload, e.ToolCallFinished) and event.payload.outcome is not e.Outcome.OK


@lru_cache(maxsize=4096)
def teller(lens: Lens) -> "Teller":
    """What writes a moment of the session for all who watch it through the same lens."""
    return Teller(lens)


class Teller:
    """Writes what is new as server-sent events."""

    def __init__(self, lens: Lens) -> None:
        self._lens = lens
        self._printing = Printing()

    def __call__(self, signals: Sequence[Signal]) -> bytes:
        """One chunk: `entries` as HTML, `partial` answers, and `output` of calls that run."""
        languages.speak(self._lens.language)
        texts.begin_page()
        return chunk(self._messages(signals))

    def _messages(self, signals: Sequence[Signal]) -> list[bytes]:
        events = [signal.event for signal in signals if isinstance(signal, EventSignal)]
        found: list[bytes] = []
        if events:
            shown = [event for event in events if event.level.within(self._lens.level) or _fails(event)]
            entries = Markup("\n").join(_html(_item(event, self._lens), self._lens) for event in shown)
            if any(isinstance(event.payload, _ENDS_ANSWER) for event in events):
                found.append(message("partial", json.dumps({"text": ""})))
            found.append(message("entries", json.dumps(entries), events[-1].seq))
        for signal in signals:
            match signal:
                case PartialSignal(text=text):
                    found.append(message("partial", json.dumps({"text": plain(text)})))
                case OutputSignal(call_id=call_id, offset=offset, data=data, skipped=skipped):
                    html = self._printing.html(call_id, offset, data)
                    if skipped:  # in place of what a page that comes back has of it
                        offset, html = 0, Markup("[…]") + html
                    told = {"call": call_id, "offset": offset, "bytes": len(data), "html": html}
                    found.append(message("output", json.dumps(told)))
                case _:
                    pass
        return found
