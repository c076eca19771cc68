"""`qd session export` and `qd session import`: sessions as files."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.session import Number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FORMATS = ("ndjson", "markdown", "html")
_SUFFIXES = {".md": "markdown", ".html": "html", ".htm": "html"}


def register(group: typer.Typer) -> None:
    """Adds the commands."""
    command(group)(export)
    command(group, "import")(import_)


async def export(
    cli: Cli,
    session: Number,
    format_: Annotated[
        str | None, typer.Option("--format", help="ndjson, markdown or html; else as the file's name ends.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Instead of standard output.")
    ] = None,
    redact: Annotated[bool, typer.Option("--redact", help="Without people and places.")] = False,
    without_files: Annotated[
        bool, typer.Option("--without-files", help="Without attachments, diffs and snapshots.")
    ] = False,
    level: Annotated[str, typer.Option("--level", help="How much Markdown tells: result, concise, full.")] = "concise",
) -> None:
    """Save a session as a file: NDJSON that can be imported, Markdown, or a page that plays it offline."""
    chosen = format_ or (_SUFFIXES.get(output.suffix.lower(), "ndjson") if output else "ndjson")
    if chosen not in FORMATS:
        raise Failure(f"--format is one of {', '.join(FORMATS)}; not {chosen!r}.", Exit.USAGE)
    if cli.json and output is None and chosen != "ndjson":
        raise Failure(f"With --json only NDJSON goes to standard output; name a file with -o for {chosen}.", Exit.USAGE)
    async with cli.client() as client:
        pieces = client.download(
            f"/sessions/{session}/export", format=chosen, redacted=redact, files=not without_files, level=level
        )
        if output is None:
            async for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        size = await _save(output, pieces)
    if cli.json:
        cli.print({"session": session, "file": str(output), "format": chosen, "bytes": size})
    else:
        cli.say(f"Session #{session} is in {output} ({size:,} bytes).")


async def import_(
    cli: Cli,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An export as NDJSON.")],
    project: Annotated[
        str | None,
        typer.Option("--project", "-p", help="The project it comes into; a chat needs none, nor what had none."),
    ] = None,
) -> None:
    """Make a session of an exported file; nothing of it runs."""
    if not file.is_file():
        raise Failure(f"There is no file {file}.", Exit.USAGE)
    async with cli.client() as client:
        answer: Any = await client.upload("/sessions/import", file, "application/x-ndjson", project=project)
    if cli.json:
        cli.print(answer)
        return
    cli.say(f"Session #{answer['id']} has the log of {file}. Look at it: qd session events {answer['id']}")


async def _save(file: Path, pieces: "AsyncIterator[bytes]") -> int:
    """Writes beside the file and puts it in place when it is whole; answers its size."""
    beside, size = file.with_name(f".{file.name}.{os.getpid()}.part"), 0
    try:
        with beside.open("xb") as opened:
            async for piece in pieces:
                size += opened.write(piece)
        beside.replace(file)
    except OSError as error:
        raise Failure(f"{file} can't be written: {error}", Exit.USAGE) from None
    finally:
        beside.unlink(missing_ok=True)
    return size
