"""`qd project network`: what a project's sessions may reach."""

from typing import TYPE_CHECKING, Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.plain import line, quote

if TYPE_CHECKING:
    from pydantic import JsonValue

    from quarterdeck.client.models import NetworkView, ProjectNetworkView


def register(group: typer.Typer) -> None:
    """Adds the command."""
    command(group)(network)


async def network(
    cli: Cli,
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="The project's path or number.")],
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", help="A host, a group, 'server' for all that it allows, or 'none'; may be repeated."),
    ] = None,
) -> None:
    """Show or say which hosts a project's sessions may reach, if its agent-config.yml asks for them."""
    path = f"/projects/{quote(project)}/network"
    async with cli.client() as client:
        answer: JsonValue = await (client.get(path) if allow is None else client.put(path, {"hosts": list(allow)}))
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import ProjectNetworkView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    one = parse(ProjectNetworkView, answer)
    rows = [("project allows", listed(one.project_hosts)), ("server allows", listed(one.hosts)), *groups(one)]
    screen.console().print(screen.fields(rows))


def listed(hosts: tuple[str, ...] | list[str]) -> str:
    """Hosts as one line."""
    return line(", ".join(hosts), 400) or "nothing"


def groups(known: "NetworkView | ProjectNetworkView") -> list[tuple[str, str]]:
    """What each group stands for."""
    return [(word, listed(hosts) if hosts else "no host is known") for word, hosts in sorted(known.groups.items())]
