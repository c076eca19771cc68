"""`qd token`."""

from typing import Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command

group = typer.Typer(help="Your tokens, for programs that do what you may.", no_args_is_help=True)


@command(group, "list")
async def list_(cli: Cli) -> None:
    """List your tokens, and when each was last used."""
    async with cli.client() as client:
        answer = await client.get("/me/tokens")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import TokenView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    rows = [
        (
            str(one.id),
            one.name,
            f"{one.created_at:%Y-%m-%d}",
            f"{one.last_used_at:%Y-%m-%d}" if one.last_used_at else "never",
            f"{one.expires_at:%Y-%m-%d}" if one.expires_at else "no end",
        )
        for one in parse(list[TokenView], answer)
    ]
    screen.console().print(screen.table(("number", "token", "made", "last used", "ends"), rows))


@command(group)
async def add(
    cli: Cli,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    days: Annotated[int, typer.Option("--days", min=1, help="How long it is good for.")] = 90,
    no_end: Annotated[bool, typer.Option("--no-end", help="Until it is revoked.")] = False,
) -> None:
    """Make a token and print it, once."""
    async with cli.client() as client:
        answer = await client.post("/me/tokens", {"name": name, "days": None if no_end else days})
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import NewToken
    from quarterdeck.doors.cli.client import parse

    print(parse(NewToken, answer).token)


@command(group)
async def revoke(
    cli: Cli, token: Annotated[int, typer.Argument(metavar="TOKEN", min=1, help="Its number in the list.")]
) -> None:
    """End a token: whoever has it is let in no more."""
    async with cli.client() as client:
        await client.delete(f"/me/tokens/{token}")
    cli.say(f"Token {token} is revoked.")
