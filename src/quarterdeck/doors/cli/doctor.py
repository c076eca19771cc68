"""`qd doctor`: tries everything that Quarterdeck needs, and names the remedy for what fails."""

import typer

from quarterdeck.doors.cli.command import Cli, command


def register(app: typer.Typer) -> None:
    """Adds the command."""
    command(app)(doctor)


async def doctor(cli: Cli) -> None:
    """Check this machine and the server; exit status 1 if anything fails."""
    from quarterdeck.doors.cli.probes import examine

    await examine(cli)
