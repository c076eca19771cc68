"""`qd flow`."""

import typer

from quarterdeck.doors.cli.command import Cli, command

group = typer.Typer(help="The flows that there are.", no_args_is_help=True)


@command(group, "list")
async def list_(cli: Cli) -> None:
    """List the flows that ship."""
    async with cli.client() as client:
        answer = await client.get("/flows")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.answers import Flow
    from quarterdeck.doors.cli.client import parse

    rows = [(flow.id, "yes" if flow.scripted else "", flow.description) for flow in parse(list[Flow], answer)]
    screen.console().print(screen.table(("flow", "scripted", "description"), rows))
