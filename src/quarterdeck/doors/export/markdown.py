"""A session as Markdown, for an issue or a mail: what was said as quotes, calls folded, diffs in fences.

Whatever comes from people, models and tools is escaped or fenced: it makes no heading, link, picture, HTML or mention.
"""

import html
import re
from collections.abc import AsyncIterator, Callable

from quarterdeck.app.exports import Export
from quarterdeck.core.events import Level
from quarterdeck.core.status import Status, human
from quarterdeck.core.text import cut
from quarterdeck.doors.export.entries import Entry, attached, clock, entry, line
from quarterdeck.doors.export.terminal import plain, visible

RESULT_CHARACTERS = 4_000
"""Of a result or arguments below level full."""
DIFF_BYTES = 128 * 1024
_SPECIAL = re.compile(r"[\\`*_\[\]<>&~|$]")
_AT_START = re.compile(r"^( *)([#+=-]|\d{1,9}(?=[.)]))", re.MULTILINE)
_MENTION = re.compile(r"(?<![\w\u2060])([@#!])(?=\w)")


async def document(export: Export, *, level: Level, files: bool) -> AsyncIterator[bytes]:
    """The whole page, entry by entry."""
    yield _head(export).encode()
    calls: dict[str, Entry] = {}
    async for event in export.events():
        made = entry(event, export.state.created_at)
        if event.kind == "tool_call.requested":
            calls[made.call_id] = made
        elif event.kind == "tool_call.finished":
            yield _ended(calls.pop(made.call_id, None), made, level).encode()
        elif event.kind != "tool_call.started" and event.level.within(level):  # the end of a call says it all
            yield _said(made, level).encode()
            if made.diff and files and level is Level.FULL:
                yield (await _diff(export, made.diff)).encode()
    for begun in calls.values():
        yield _ended(begun, None, level).encode()
    if files and export.state.whole_diff_blob:
        yield f"## Changes\n\n{await _diff(export, export.state.whole_diff_blob)}".encode()


def _ended(begun: Entry | None, ended: Entry | None, level: Level) -> str:
    """A call, if a view of the level shows its beginning or its end."""
    visible = any(one.level.within(level) for one in (begun, ended) if one is not None)
    return _call(begun, ended, level) if visible else ""


def fence(text: str, language: str = "", *, read: Callable[[str], str] = plain) -> str:
    """`text` as a block of code that nothing in it can end; `read` makes it harmless."""
    safe = read(text)
    longest = max((len(run) for run in re.findall("`+", safe)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{language}\n{safe.rstrip()}\n{marks}\n"


def escaped(text: str) -> str:
    """`text` as words alone: no markup of it has an effect, and nobody is called by it."""
    safe = _SPECIAL.sub(lambda found: f"\\{found[0]}", plain(text).expandtabs(4))
    safe = _AT_START.sub(lambda found: f"{found[1]}{_first(found[2])}", safe)
    return _MENTION.sub("\\1\u2060", safe)


def _first(text: str) -> str:
    """What would begin a heading or a list. A number's own mark is what has to be escaped, behind it."""
    return f"{text}\u2060" if text[0].isdigit() else f"\\{text}"


def quoted(text: str) -> str:
    """What somebody said, its lines kept apart and as far in as they were."""
    return "".join(f"> {_row(row)}\n" for row in escaped(text).split("\n"))


def _row(row: str) -> str:
    inside = row.strip()
    return _NO_BREAK * (len(row) - len(row.lstrip(" "))) + inside + (_BREAK if inside else "")


_NO_BREAK = "\u00a0"
_BREAK = "  "
"""At the end of a line: the next one begins a line too."""


def _head(export: Export) -> str:
    session, state = export.session(), export.state
    cost = "unknown" if state.usage.cost is None else f"${state.usage.cost}"
    usage = f"{state.usage.input_tokens:,} tokens in, {state.usage.output_tokens:,} out, cost {cost}"
    scripted = " (no language model answers here)" if session.scripted else ""
    brought = f"#{state.imported.number} of {export.text(state.imported.initiator)}" if state.imported else ""
    ended = (state.ended_at or state.last_activity) - state.created_at
    rows = (
        ("status", f"{human(Status(session.status))}{': ' if state.reason else ''}{export.text(state.reason)}"),
        ("flow", session.flow),
        ("model", session.model + scripted),
        ("project", session.project),
        ("initiator", session.initiator),
        ("imported from", brought),
        ("created", f"{session.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("duration", clock(ended.total_seconds())),
        ("usage", usage),
        ("log", f"{export.seq:,} events, {state.warnings} warnings, {state.errors} errors"),
    )
    table = "".join(f"| {name} | {escaped(line(value))} |\n" for name, value in rows if value)
    title = escaped(line(session.title))
    return f"# Session \\#{session.number}: {title}\n\n| | |\n| --- | --- |\n{table}\n## Log\n\n"


def _said(made: Entry, level: Level) -> str:
    head = f"**{clock(made.seconds)}** {escaped(made.head)}\n\n"
    words = f"{quoted(made.words)}\n" if made.words else ""
    # What a component was asked and what a model thought is for level full.
    wanted = made.verbatim if level is Level.FULL or made.kind in ("plan.changed", "snapshot.taken") else ""
    files = "".join(f"Attached: {escaped(attached(one))}\n\n" for one in made.files)
    return head + words + files + (f"{fence(wanted)}\n" if wanted else "")


def _call(begun: Entry | None, ended: Entry | None, level: Level) -> str:
    """One call, folded: what was asked for and what came of it."""
    most = RESULT_CHARACTERS if level is not Level.FULL else 1 << 30
    first = begun or ended
    seconds = first.seconds if first else 0.0
    name = ended.head if ended else f"{begun.head if begun else ''}: no end"
    brief = line(visible(begun.verbatim)) if begun else ""
    summary = _MENTION.sub("\\1\u2060", html.escape(line(plain(f"{name} · {brief}" if brief else name))))
    # What was asked for loses nothing, what came of it is read as a terminal would.
    parts = [
        (one.verbatim, read) for one, read in ((begun, visible), (ended, plain)) if one is not None and one.verbatim
    ]
    inside = "\n".join(fence(cut(part, most), read=read) for part, read in parts)
    return f"<details><summary>{clock(seconds)} {summary}</summary>\n\n{inside}\n</details>\n\n"


async def _diff(export: Export, blob_id: int) -> str:
    data = b"".join([piece async for piece in export.blob(blob_id, most=DIFF_BYTES)])
    if not data:
        return "The diff is not there.\n\n"
    more = f"\n… more than {DIFF_BYTES:,} bytes; the rest is left out" if len(data) >= DIFF_BYTES else ""
    return fence(data[:DIFF_BYTES].decode("utf-8", "replace") + more, "diff", read=visible) + "\n"
