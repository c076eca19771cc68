"""What people see: coloured lines and tables. All text goes through `plain`, nothing is read as markup."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from quarterdeck.doors.cli.plain import plain, visible

STATUS_STYLES = {
    "running": "cyan", "created": "cyan", "pending": "cyan", "paused": "yellow", "input_required": "yellow",
    "plan_approval_required": "yellow", "tool_call_approval_required": "yellow", "idle": "green", "finished": "green",
    "success": "green", "merged": "green", "opened": "cyan", "failed": "red", "stopped": "red", "canceled": "red",
}  # fmt: skip
GLYPHS = {
    "running": "●", "created": "○", "pending": "○", "paused": "‖", "input_required": "?", "plan_approval_required": "?",
    "tool_call_approval_required": "?", "idle": "✓", "finished": "✓", "success": "✓", "merged": "✓", "opened": "●",
    "failed": "✗", "stopped": "■", "canceled": "■", "skipped": "-", "manual": "▷",
}  # fmt: skip


WIDTH_ELSEWHERE = 200
"""Where there is no terminal to be as wide as."""


def console() -> Console:
    """Standard output; colours only where it is a terminal."""
    width = None if sys.stdout.isatty() else WIDTH_ELSEWHERE
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True, width=width)


def status(name: str) -> Text:
    """A status as glyph and words; the colour is never all there is."""
    return Text(f"{GLYPHS.get(name, '·')} {name.replace('_', ' ')}", style=STATUS_STYLES.get(name, ""))


def table(head: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Table:
    """Columns without lines."""
    made = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    for name in head:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row))
    return made


def fields(pairs: Sequence[tuple[str, str | Text]]) -> Table:
    """Names and values below each other; empty values are left out."""
    made = Table.grid(padding=(0, 2))
    for name, value in pairs:
        cell = value if isinstance(value, Text) else Text(plain(value))
        if cell.plain.strip():
            made.add_row(Text(name, style="dim"), cell)
    return made


def diff(data: bytes) -> Text:
    """A diff with its lines coloured; no character of it is hidden."""
    shown = Text()
    for row in visible(data.decode("utf-8", "replace")).splitlines():
        style = {"+": "green", "-": "red", "@": "cyan", "d": "bold"}.get(row[:1], "")
        shown.append(row + "\n", style=style)
    return shown


def ago(at: datetime) -> str:
    """How long ago, in one unit."""
    seconds = max(0, int((datetime.now(UTC) - at).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def clock(seconds: float) -> str:
    """A time since the start: `0:07`, `12:34`, `1:02:03`."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3_600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def duration(milliseconds: float) -> str:
    """`12 ms`, `3.4 s` or `2:05`."""
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1_000:.1f} s" if milliseconds < 60_000 else clock(milliseconds / 1_000)
