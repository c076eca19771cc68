"""Comments, and the sessions on an issue or merge request, as commands show them."""

from collections.abc import Sequence

from quarterdeck.client.models import CommentView, Position, SessionRef
from quarterdeck.doors.cli import screen
from quarterdeck.doors.cli.plain import plain


def print_all(comments: Sequence[CommentView]) -> None:
    """Who said what, where, and how long ago."""
    out = screen.console()
    for said in comments:
        place = f" on {plain(_place(said.position))}" if said.position else ""
        out.print(f"{plain(said.author)}{place} ({screen.ago(said.created_at)}): {plain(said.text)}")


def sessions(known: Sequence[SessionRef]) -> str:
    """In one line, each with its status."""
    return ", ".join(f"#{one.id} {one.status}" for one in known)


def _place(at: Position) -> str:
    """A line of a diff as people write it."""
    return f"{at.path}:{at.new_line}" if at.new_line else f"{at.path}:{at.old_line} (removed)"
