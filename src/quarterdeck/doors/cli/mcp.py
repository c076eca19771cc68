"""`qd mcp`."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.plain import quote

if TYPE_CHECKING:
    from pydantic import JsonValue

group = typer.Typer(help="MCP servers, whose tools sessions may use.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The server's name.")]
Project = Annotated[str | None, typer.Option("--project", "-p", help="Of this project; without it your own.")]
Names = list[str] | None


@command(group)
async def add(
    cli: Cli,
    name: Annotated[str, typer.Argument(help="Small letters, digits and -; its tools are mcp__NAME__TOOL.")],
    project: Project = None,
    url: Annotated[str, typer.Option("--url", help="Where it is reached by HTTP.")] = "",
    headers: Annotated[
        Names, typer.Option("--header", metavar="NAME", help="A header to send; its value is asked for.")
    ] = None,
    line: Annotated[str, typer.Option("--command", help="What starts it in the sandbox, quoted as in a shell.")] = "",
    variables: Annotated[
        Names, typer.Option("--env", metavar="NAME", help="A variable that the command gets; its value is asked for.")
    ] = None,
    allow: Annotated[
        Names, typer.Option("--allow", metavar="GLOB", help="Only these of its tools, by its own names.")
    ] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Add it turned off.")] = False,
) -> None:
    """Add an MCP server."""
    import shlex

    try:
        words = shlex.split(line)
    except ValueError as error:
        raise Failure(f"--command can't be read: {error}.", Exit.USAGE) from None
    body: dict[str, Any] = {
        "name": name,
        "url": url,
        "headers": {one: _secret(one) for one in headers or []},
        "command": words,
        "env": {one: _secret(one) for one in variables or []},
        "allow": allow or [],
        "enabled": not disabled,
    }
    async with cli.client() as client:
        _print(cli, await client.post(_path(project), body))


@command(group, "list")
async def list_(cli: Cli, project: Project = None) -> None:
    """List MCP servers."""
    async with cli.client() as client:
        answer = await client.get(_path(project))
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import McpServersView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    found = parse(McpServersView, answer)
    if found.blocked:
        cli.say("MCP servers are blocked in this project.")
    if not found.servers:
        cli.say("No MCP servers yet. Add one: qd mcp add NAME --url URL")
        return
    rows = [(one.name, "on" if one.enabled else "off", one.url or " ".join(one.command)) for one in found.servers]
    screen.console().print(screen.table(("server", "", "where"), rows))


@command(group)
async def show(cli: Cli, name: Name, project: Project = None) -> None:
    """Show an MCP server, without its secrets."""
    async with cli.client() as client:
        _print(cli, await client.get(_path(project, name)))


@command(group)
async def enable(cli: Cli, name: Name, project: Project = None) -> None:
    """Turn an MCP server on."""
    async with cli.client() as client:
        _print(cli, await client.patch(_path(project, name), {"enabled": True}))


@command(group)
async def disable(cli: Cli, name: Name, project: Project = None) -> None:
    """Turn an MCP server off, also for sessions that have its tools."""
    async with cli.client() as client:
        _print(cli, await client.patch(_path(project, name), {"enabled": False}))


@command(group)
async def remove(cli: Cli, name: Name, project: Project = None) -> None:
    """Remove an MCP server with its secrets."""
    async with cli.client() as client:
        await client.delete(_path(project, name))
    cli.say(f"{name} was removed.")


@command(group, "test")
async def ask(cli: Cli, name: Name, project: Project = None) -> None:
    """Ask an MCP server for its tools now."""
    async with cli.client() as client:
        answer = await client.post(f"{_path(project, name)}/test")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import McpTest
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    found = parse(McpTest, answer)
    rows = [(one.name, "reads" if one.read_only else "", one.description) for one in found.tools]
    screen.console().print(screen.table(("tool", "it says", "description"), rows))
    if found.left_out:
        cli.say(f"{found.left_out} more can't be used: too large, too many, or not well formed.")


@command(group)
async def block(
    cli: Cli, project: Annotated[str, typer.Option("--project", "-p", help="The project's path or number.")]
) -> None:
    """Let no session of a project use any MCP server."""
    await _block(cli, project, blocked=True)


@command(group)
async def unblock(
    cli: Cli, project: Annotated[str, typer.Option("--project", "-p", help="The project's path or number.")]
) -> None:
    """Let a project's sessions use MCP servers again."""
    await _block(cli, project, blocked=False)


async def _block(cli: Cli, project: str, *, blocked: bool) -> None:
    async with cli.client() as client:
        answer = await client.patch(f"/projects/{quote(project)}/mcp_block", {"blocked": blocked})
    if cli.json:
        cli.print(answer)
    else:
        cli.say(f"MCP servers are {'' if blocked else 'no longer '}blocked in {project}.")


def _path(project: str | None, name: str | None = None) -> str:
    path = f"/projects/{quote(project)}/mcp_servers" if project is not None else "/mcp_servers"
    return f"{path}/{quote(name)}" if name is not None else path


def _secret(name: str) -> str:
    """A value that never stands in a command line: asked for without echo, or the next line of the standard input."""
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass(f"{name}: ", stream=sys.stderr)
    value = sys.stdin.readline()
    if not value:
        raise Failure(f"The value of {name} is read from the standard input, where there is none.", Exit.USAGE)
    return value.rstrip("\r\n")


def _print(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import McpServerView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    one = parse(McpServerView, answer)
    screen.console().print(
        screen.fields(
            [
                ("MCP server", f"{one.name} ({'on' if one.enabled else 'off'})"),
                ("kind", one.kind),
                ("url", one.url),
                ("command", " ".join(one.command)),
                ("secrets", ", ".join(one.secret_names)),
                ("only these tools", ", ".join(one.allow)),
                ("added by", one.added_by),
            ]
        )
    )
