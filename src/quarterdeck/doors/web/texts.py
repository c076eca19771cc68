"""What others wrote, as HTML that does nothing: Markdown, what commands print, diffs."""

import re
from collections.abc import Sequence
from contextvars import ContextVar
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from quarterdeck.core.search import Query
from quarterdeck.doors.export.terminal import Span, coloured_from, diff, plain

MARKDOWN_CHARACTERS = 20_000
"""A longer text is shown as it is: half a second is what the worst of this length takes."""
PAGE_CHARACTERS = 200_000
"""Of Markdown on one page; what comes behind is shown as it is."""
CACHED_CHARACTERS = 4_000
"""A longer text is read again each time, so that what is kept has a bound."""
LINE_CHARACTERS = 4_000
"""What is shown of one line; the raw text has the rest."""

# No HTML of theirs is taken, and no image is loaded: `![x](y)` becomes a link.
_MARKDOWN = (
    MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")
)
_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_CLEANER = nh3.Cleaner(
    tags=_TAGS,
    attributes={"a": {"href", "title"}, "ol": {"start"}},
    url_schemes={"http", "https", "mailto"},
    link_rel="nofollow noopener noreferrer",
)


_MARKDOWN.render("*a*")  # its rules are made at the first use, which threads must not do at once
_left: ContextVar[int] = ContextVar("left", default=PAGE_CHARACTERS)


def begin_page() -> None:
    """What is rendered from here on is another page."""
    _left.set(PAGE_CHARACTERS)


def markdown(text: str) -> Markup:
    """Markdown of a person or a model, as far as there is room for it on the page."""
    if len(text) > min(MARKDOWN_CHARACTERS, _left.get()):
        return Markup("<pre>{}</pre>").format(plain(text))
    _left.set(_left.get() - len(text))
    return _read(text) if len(text) <= CACHED_CHARACTERS else _rendered(text)


def _rendered(text: str) -> Markup:
    """Made twice harmless: by how it is read, and by what is left of it."""
    return Markup(_CLEANER.clean(_MARKDOWN.render(plain(text))))  # noqa: S704 cleaned


_read = lru_cache(maxsize=512)(_rendered)


def terminal(text: str) -> Markup:
    """What a command printed, its colours as classes."""
    return terminal_from(text, frozenset())[0]


def terminal_from(text: str, look: frozenset[str]) -> tuple[Markup, frozenset[str]]:
    """The same from a look on, and the look behind it."""
    spans, after = coloured_from(_narrow(text), look)
    return _spans(spans), after


def numbered(text: str, first: int, anchor: str) -> Markup:
    """What a command printed, each line with its number and a name to link to; plain if the first has no number."""
    if not first:
        return terminal(text)
    rows, look = list[Markup](), frozenset[str]()
    for number, row in enumerate(text.split("\n"), first):
        html, look = terminal_from(f"{row}\n", look)
        rows.append(_line(f"{anchor}.L{number}", number, html))
    return Markup("").join(rows)


def changes(text: str, anchor: str = "d") -> Markup:
    """A diff of one file, each line by what it does and with its number: `L` in the new file, `O` in the old one."""
    old = new = 0
    rows: list[Markup] = []
    for one in diff(_narrow(text)):
        if found := _HUNK.match(one.text):
            old, new = int(found[1]), int(found[2])
        sign = one.text[0]
        if sign not in _SIGNS or not (old or new):
            rows.append(Markup('<span class="l">{}</span>').format(_spans([one])))
            if sign not in "@\\":  # the head of the file, or a note that lines are left out
                old = new = 0
            continue
        name, number = (f"O{old}", old) if sign == "-" else (f"L{new}", new)
        rows.append(_line(f"{anchor}.{name}", number, _spans([one._replace(look=_SIGNS[sign])])))
        old, new = old + (sign != "+"), new + (sign != "-")
    return Markup("").join(rows)


def _line(name: str, number: int, html: Markup) -> Markup:
    """A line of its own; put together by hand, because a page has thousands."""
    return Markup(f'<span class="l" id="{name}" data-n="{number}">{html}</span>')  # noqa: S704 name and number are ours


def marked(html: Markup, query: Query) -> Markup:
    """HTML with what was looked for marked in its texts."""
    found: list[Markup] = []
    for place, piece in enumerate(map(Markup, _TAG.split(html))):  # text, a tag, text, …
        text = "" if place % 2 else piece.unescape()
        marks = query.marks(text) if text.strip() else []
        found.append(with_marks(text, marks) if marks else piece)
    return Markup("").join(found)


def with_marks(text: str, places: Sequence[tuple[int, int]]) -> Markup:
    """A text in which some places are marked."""
    found, before = list[Markup](), 0
    for begin, end in places:
        found.append(Markup("{}<mark>{}</mark>").format(plain(text[before:begin]), plain(text[begin:end])))
        before = end
    return Markup("").join([*found, escape(plain(text[before:]))])


def _narrow(text: str) -> str:
    """`text` with what is too long for a line left out."""
    return _LONG.sub(lambda found: f"{found[0][:LINE_CHARACTERS]} [… {len(found[0]) - LINE_CHARACTERS:,}]", text)


_SIGNS = {" ": "", "+": "plus", "-": "minus"}
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_TAG = re.compile(r"(<[^>]*>)")
_LONG = re.compile(rf"[^\n]{{{LINE_CHARACTERS + 100},}}")


def _spans(spans: Sequence[Span]) -> Markup:
    wrapped = Markup('<span class="{}">{}</span>')
    return Markup("").join(wrapped.format(one.look, one.text) if one.look else escape(one.text) for one in spans)
