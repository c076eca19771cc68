"""`qd acp`: Quarterdeck as an agent of any editor that speaks the Agent Client Protocol."""

from pathlib import Path
from typing import Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure


def register(app: typer.Typer) -> None:
    """Adds the command."""
    command(app)(acp)


async def acp(
    cli: Cli,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="Whose sessions begin here; yours if you have only one.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="provider:model, or scripted.")] = None,
    script: Annotated[Path | None, typer.Option("--script", help="The answers of the scripted model, a file.")] = None,
) -> None:
    """Be an agent for an editor: the Agent Client Protocol on standard input and output; an editor starts this."""
    from quarterdeck.doors.cli.acp_bridge import Bridge
    from quarterdeck.doors.cli.client import find

    place = find(cli.options.server, cli.options.token_file)
    if place.token is None:
        raise Failure("There is no token. Pass one with --token-file FILE; `qd token add` makes one.", Exit.FORBIDDEN)
    wish = {"project": project, "model": model, "script": script.read_text(encoding="utf-8") if script else None}
    await Bridge(place.url, place.token, {name: value for name, value in wish.items() if value}).run()
