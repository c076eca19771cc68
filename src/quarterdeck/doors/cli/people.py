"""`qd whoami` and `qd sign-in-link`."""

import typer

from quarterdeck.doors.cli.command import Cli, command


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app)(whoami)
    command(app, "sign-in-link")(sign_in_link)


async def whoami(cli: Cli) -> None:
    """Show whose token this is."""
    async with cli.client() as client:
        answer = await client.get("/whoami")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import PersonView
    from quarterdeck.doors.cli.client import parse

    person = parse(PersonView, answer)
    cli.say(f"{person.username} ({person.name}{', administrator' if person.admin else ''})")


async def sign_in_link(cli: Cli) -> None:
    """Print a link that signs a browser in, once, within an hour."""
    async with cli.client() as client:
        answer = await client.post("/sign-in-links")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import SignInLink
    from quarterdeck.doors.cli.client import parse

    print(parse(SignInLink, answer).url)
