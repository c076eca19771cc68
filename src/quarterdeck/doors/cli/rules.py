"""`qd rules`."""

from pathlib import Path
from typing import Annotated

import typer

from quarterdeck.doors.cli import given
from quarterdeck.doors.cli.command import Cli, command

group = typer.Typer(help="Your own rules, which agents of the sessions that you start are given.", no_args_is_help=True)


@command(group)
async def show(cli: Cli) -> None:
    """Print your rules."""
    async with cli.client() as client:
        answer = await client.get("/me/rules")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import RulesText
    from quarterdeck.doors.cli.client import parse
    from quarterdeck.doors.cli.plain import plain

    rules = parse(RulesText, answer)
    cli.say(plain(rules.text) if rules.text else "You have no rules. Set some: qd rules set FILE")


@command(group, "set")
async def set_(cli: Cli, file: Annotated[Path, typer.Argument(help="A text; - for standard input.")]) -> None:
    """Take a file as your rules, in place of those that there were."""
    import sys

    text = sys.stdin.read() if str(file) == "-" else given.text(file)
    await _put(cli, text, "Your rules are set; sessions that start from now on are given them.")


@command(group)
async def clear(cli: Cli) -> None:
    """Have no rules any more."""
    await _put(cli, "", "You have no rules any more.")


async def _put(cli: Cli, text: str, told: str) -> None:
    async with cli.client() as client:
        answer = await client.put("/me/rules", {"text": text})
    if cli.json:
        cli.print(answer)
    else:
        cli.say(told)
