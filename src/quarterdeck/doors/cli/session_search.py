"""`qd session search`: what sessions said, asked for and printed."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure

if TYPE_CHECKING:
    from rich.text import Text

PAGES = 20
"""How many pages are asked for to fill one; where little fits, the server's have fewer hits than were asked for."""


def register(group: typer.Typer) -> None:
    """Adds the command."""
    command(group)(search)


async def search(
    cli: Cli,
    words: Annotated[
        list[str], typer.Argument(help="Words that all have to be there; '\"a phrase\"', beginning*, and -without.")
    ],
    session: Annotated[int | None, typer.Option("--session", min=1, help="Only in this one.")] = None,
    project: Annotated[str | None, typer.Option("--project", "-p")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only in yours.")] = False,
    flow: Annotated[str | None, typer.Option("--flow", help="As fix_pipeline/v1, or a name alone.")] = None,
    status: Annotated[str | None, typer.Option("--status")] = None,
    status_group: Annotated[str | None, typer.Option("--group", help="active, awaiting_input, completed, …")] = None,
    cursor: Annotated[str | None, typer.Option("--next", help="The page behind; see the end of a page.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100)] = 20,
) -> None:
    """Search what sessions said, asked for and printed, newest first."""
    given = {"project": project, "mine": mine, "flow": flow, "status": status, "status_group": status_group}
    if session is not None and any(given.values()):
        raise Failure("--session names one session; leave away what chooses among them.", Exit.USAGE)
    text = " ".join(words)
    path, place = (f"/sessions/{session}/search", "after") if session else ("/search/sessions", "before")
    only: dict[str, Any] = {} if session else given
    items: list[Any] = []
    async with cli.client() as client:
        for _ in range(PAGES):
            page: Any = await client.get(path, q=text, limit=limit - len(items), **{place: cursor}, **only)
            items += page["items"]
            cursor = page["next"]
            if cursor is None or len(items) == limit:
                break
    if cli.json:
        cli.print({"items": items, "next": cursor})
    else:
        _print(items, cursor)


def _print(items: list[Any], cursor: str | None) -> None:
    from rich.text import Text

    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.answers import Hit
    from quarterdeck.doors.cli.client import parse
    from quarterdeck.doors.cli.plain import line

    out = screen.console()
    for hit in parse(list[Hit], items):
        title = f"#{hit.session_id} {line(hit.session_title)}"
        out.print(Text.assemble((title, "bold"), (f"  e{hit.seq} {hit.part}  {line(hit.project_path)}", "dim")))
        for one in hit.lines:
            out.print(Text.assemble((f"  {one.line:>6}  ", "dim"), _marked(one.text, one.marks)))
        if hit.more_lines:
            out.print(Text(f"          {hit.more_lines} more lines", "dim"))
    if not items:
        print("Nothing was found so far." if cursor else "Nothing was found.")
    if cursor:
        print(f"More: the same with --next {cursor}")


def _marked(text: str, marks: "tuple[tuple[int, int], ...]") -> "Text":
    from rich.text import Text

    from quarterdeck.doors.cli.plain import line

    shown = Text()
    place = 0
    for begin, end in marks:
        shown.append(_inside(text[place:begin]))
        shown.append(line(text[begin:end]), "bold yellow")
        place = end
    return shown.append(_inside(text[place:]))


def _inside(text: str) -> str:
    """A part of a line: harmless, with the spaces at its ends."""
    from quarterdeck.doors.cli.plain import plain

    return plain(text).replace("\n", " ").replace("\t", " ")
