"""What others wrote, as HTML that does nothing: Markdown, what commands print, diffs."""

import re
from collections.abc import Sequence
from contextvars import ContextVar
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

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


def changes(text: str) -> Markup:
    """A diff, each line by what it does."""
    return _spans(diff(_narrow(text)))


def excerpt(text: str, lines: int) -> tuple[str, int]:
    """The last lines of a text, where its result stands, and how many lines it has in all."""
    rows = text.rstrip("\n").split("\n")
    return "\n".join(rows[-lines:]), len(rows)


def _narrow(text: str) -> str:
    """`text` with what is too long for a line left out."""
    return _LONG.sub(lambda found: f"{found[0][:LINE_CHARACTERS]} [… {len(found[0]) - LINE_CHARACTERS:,}]", text)


_LONG = re.compile(rf"[^\n]{{{LINE_CHARACTERS + 100},}}")


def _spans(spans: Sequence[Span]) -> Markup:
    wrapped = Markup('<span class="{}">{}</span>')
    return Markup("").join(wrapped.format(one.look, one.text) if one.look else escape(one.text) for one in spans)
