"""`qd editor`."""

from typing import Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command

group = typer.Typer(help="Your editors, which carry out sessions in the folders that you open.", no_args_is_help=True)


@command(group, "list")
async def list_(cli: Cli) -> None:
    """List your editors, and whether they are open."""
    async with cli.client() as client:
        answer = await client.get("/executors")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import EditorView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    rows = [
        (str(one.id), one.name, one.folder, "open" if one.alive else "closed", str(one.sessions))
        for one in parse(list[EditorView], answer)
    ]
    screen.console().print(screen.table(("number", "editor", "folder", "", "sessions"), rows))


@command(group)
async def forget(
    cli: Cli, editor: Annotated[int, typer.Argument(metavar="EDITOR", min=1, help="Its number in the list.")]
) -> None:
    """Forget an editor: what it was carrying out is interrupted, and its sessions wait until they are handed over."""
    async with cli.client() as client:
        await client.delete(f"/executors/{editor}")
    cli.say(f"Editor {editor} is forgotten.")
