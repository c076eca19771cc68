"""`qd person`: the people of the instance, for administrators."""

from typing import TYPE_CHECKING, Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.plain import quote

if TYPE_CHECKING:
    from pydantic import JsonValue

group = typer.Typer(help="People of the instance, for administrators.", no_args_is_help=True)

Username = Annotated[str, typer.Argument(help="Letters, digits, _, . and -.")]


@command(group, "list")
async def list_(cli: Cli) -> None:
    """List all people."""
    async with cli.client() as client:
        answer = await client.get("/people")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import AccountView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    rows = [
        (
            one.username,
            one.name,
            "administrator" if one.admin else "",
            str(one.projects),
            f"{one.last_seen:%Y-%m-%d}" if one.last_seen else "",
        )
        for one in parse(list[AccountView], answer)
    ]
    screen.console().print(screen.table(("person", "name", "", "projects", "last seen"), rows))


@command(group)
async def add(
    cli: Cli,
    username: Username,
    name: Annotated[str, typer.Option("--name", help="What people call them.")] = "",
    email: Annotated[str, typer.Option("--email", help="What stands in commits.")] = "",
    admin: Annotated[bool, typer.Option("--admin", help="They administer the instance.")] = False,
) -> None:
    """Add somebody, and print a link that signs them in, once, within an hour."""
    async with cli.client() as client:
        body: dict[str, JsonValue] = {"username": username, "name": name, "email": email, "admin": admin}
        _print(cli, await client.post("/people", body))


@command(group)
async def link(cli: Cli, username: Username) -> None:
    """Print another sign-in link for somebody."""
    async with cli.client() as client:
        _print(cli, await client.post(f"/people/{quote(username)}/sign-in-links"))


@command(group, "shut-out")
async def shut_out(cli: Cli, username: Username) -> None:
    """End all tokens, browsers and links of somebody; their sessions go on."""
    async with cli.client() as client:
        await client.delete(f"/people/{quote(username)}/access")
    cli.say(f"{username} needs a new link now: qd person link {username}")


def _print(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import Invitation
    from quarterdeck.doors.cli.client import parse

    print(parse(Invitation, answer).url)
