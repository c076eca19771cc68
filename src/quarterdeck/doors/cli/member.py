"""`qd member`."""

from typing import TYPE_CHECKING, Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.plain import quote

if TYPE_CHECKING:
    from pydantic import JsonValue

group = typer.Typer(help="Members of a project, and their roles.", no_args_is_help=True)

Project = Annotated[str, typer.Option("--project", "-p", help="The project's path or number.")]
Username = Annotated[str, typer.Argument(help="Of somebody who has an account.")]


@command(group, "list")
async def list_(cli: Cli, project: Project) -> None:
    """List the members of a project and their roles."""
    async with cli.client() as client:
        _print(cli, await client.get(f"/projects/{quote(project)}/members"))


@command(group, "set")
async def set_(
    cli: Cli,
    username: Username,
    role: Annotated[str, typer.Argument(help="guest, reporter, developer, maintainer or owner.")],
    project: Project,
) -> None:
    """Make somebody a member, or give a member another role."""
    async with cli.client() as client:
        _print(cli, await client.put(f"/projects/{quote(project)}/members/{quote(username)}", {"role": role}))


@command(group)
async def remove(cli: Cli, username: Username, project: Project) -> None:
    """End a membership; your own, too."""
    async with cli.client() as client:
        await client.delete(f"/projects/{quote(project)}/members/{quote(username)}")
    cli.say(f"{username} is no member of {project} any more.")


def _print(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import MemberView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    rows = [(one.username, one.name, one.role) for one in parse(list[MemberView], answer)]
    screen.console().print(screen.table(("member", "name", "role"), rows))
