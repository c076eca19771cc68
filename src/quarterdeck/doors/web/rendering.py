"""Pages and fragments from templates: everything escaped, every text through gettext, nothing loaded from elsewhere."""

from datetime import UTC, datetime
from typing import Any, cast
from zlib import crc32

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response
from markupsafe import Markup

from quarterdeck.core.approval import pattern_of
from quarterdeck.core.diff import listed
from quarterdeck.core.status import GROUPS, Status, StatusGroup, human
from quarterdeck.core.text import cut
from quarterdeck.doors.export.entries import clock, line, shown
from quarterdeck.doors.export.terminal import plain, visible
from quarterdeck.doors.web import languages, sights, static_files, texts, views, words
from quarterdeck.doors.web.other_arguments import editable
from quarterdeck.doors.web.subjects import subject_of

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer the Origin of our own forms is null, and they are refused
    "Cache-Control": "no-store",
}

_GLYPHS: dict[StatusGroup, str] = {
    StatusGroup.ACTIVE: "●",
    StatusGroup.PAUSED: "‖",
    StatusGroup.AWAITING_INPUT: "?",
    StatusGroup.COMPLETED: "✓",
    StatusGroup.FAILED: "✗",
    StatusGroup.CANCELED: "■",
}


def glyph(status: str) -> str:
    """A sign beside the word of a session's status: nothing is told by colour alone."""
    return _GLYPHS[GROUPS[Status(status)]]


def age(at: datetime) -> str:
    """How long ago: `3 min`; the browser may know better by the time."""
    return words.age((datetime.now(UTC) - at).total_seconds())


def cost(amount: object) -> str:
    """Money; what is not known is said so, and never 0."""
    return languages.gettext("cost unknown") if amount is None else f"${float(str(amount)):.4f}"


def anchor(path: str) -> str:
    """The name of a file on a page with its diff; the same on every page."""
    return f"f{crc32(path.encode()):x}"


def place(url: str, ours: str) -> str:
    """Where a link leads: a path on the server that `ours` is of; empty for what a browser should not open."""
    server = "/".join(ours.split("/", 3)[:3])
    if url.startswith(f"{server}/") and not url.startswith(f"{server}//"):
        return url.removeprefix(server)
    return url if url.startswith(("http://", "https://")) else ""


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("quarterdeck.doors.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, extensions=["jinja2.ext.i18n"],
    )  # fmt: skip
    # Newstyle: what is put into a text is escaped by itself.
    cast("Any", made).install_gettext_callables(languages.gettext, languages.ngettext, newstyle=True)
    cast("dict[str, Any]", made.filters).update({
        "human": human, "glyph": glyph, "word": words.word, "age": age, "cost": cost, "clock": clock, "line": line,
        "plain": plain, "visible": visible, "shown": shown, "cut": cut, "markdown": texts.markdown,
        "terminal": texts.terminal, "changes": texts.changes, "numbered": texts.numbered,
        "with_marks": texts.with_marks, "anchor": anchor, "place": place,
        "listed": listed,
    })  # fmt: skip
    cast("dict[str, Any]", made.globals).update(
        static=static_files.FOLDER,
        spoken=languages.spoken,
        theme=views.theme,
        pattern_of=pattern_of,
        editable=editable,
        sight=sights.sight,
        subject_of=subject_of,
    )
    return made


TEMPLATES = _environment()


def fragment(template: str, /, **values: object) -> Markup:
    """A rendered part of a page."""
    return Markup(TEMPLATES.get_template(template).render(**values).strip())  # noqa: S704 the templates escape


def page(template: str, /, status: int = 200, **values: object) -> Response[str]:
    """A rendered page. What may be long is rendered in a thread."""
    texts.begin_page()
    html = TEMPLATES.get_template(template).render(**{"actor": None, "frame": None, **values})
    return Response(html, status_code=status, media_type="text/html", headers=HEADERS)
