"""`qd retention`."""

from typing import Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.plain import quote

group = typer.Typer(help="How long sessions are kept, and what is deleted next.", no_args_is_help=True)


@command(group)
async def preview(
    cli: Cli,
    project: Annotated[str | None, typer.Option("--project", "-p", help="Only of this project.")] = None,
    days: Annotated[
        int | None, typer.Option("--days", min=1, help="As if the project kept its sessions for so many days.")
    ] = None,
) -> None:
    """Show what the next sweep deletes; without --project of all, for administrators."""
    async with cli.client() as client:
        if project is None:
            answer = await client.get("/retention/preview")
        else:
            answer = await client.get(f"/projects/{quote(project)}/retention/preview", retention_days=days)
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.doors.cli import retention_pages

    retention_pages.print_preview(answer)
