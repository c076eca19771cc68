"""`qd forge`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.plain import quote

if TYPE_CHECKING:
    from pydantic import JsonValue

group = typer.Typer(help="A project's repository at GitHub or GitLab.", no_args_is_help=True)

Project = Annotated[str, typer.Argument(help="The project's path or number.")]


@command(group)
async def connect(
    cli: Cli,
    project: Project,
    forge: Annotated[str, typer.Argument(help="github or gitlab.")],
    repository: Annotated[str, typer.Argument(help="Its path there, OWNER/NAME.")],
    api: Annotated[str, typer.Option("--api", metavar="URL", help="Of a server of your own.")] = "",
    git: Annotated[str, typer.Option("--git", metavar="URL", help="Where git finds it, if elsewhere.")] = "",
    pipelines: Annotated[
        bool | None, typer.Option("--pipelines/--no-pipelines", help="Whether what is pushed gets pipelines here, too.")
    ] = None,
) -> None:
    """Connect a project; the token is asked for, or read from the standard input."""
    body: JsonValue = {
        "forge": forge, "repository": repository, "token": _token(), "api_url": api, "git_url": git,
        "run_pipelines": pipelines,
    }  # fmt: skip
    async with cli.client() as client:
        _print(cli, await client.post(_path(project), body))


@command(group)
async def show(cli: Cli, project: Project) -> None:
    """Show a connection: when it was last heard of, and what waits."""
    async with cli.client() as client:
        _print(cli, await client.get(_path(project)))


@command(group)
async def sync(cli: Cli, project: Project) -> None:
    """Read what webhooks have not told, and try again what the forge refused."""
    async with cli.client() as client:
        _print(cli, await client.post(f"{_path(project)}/sync"))


@command(group)
async def disconnect(cli: Cli, project: Project) -> None:
    """End a connection with its secrets; what came from there stays."""
    async with cli.client() as client:
        await client.delete(_path(project))
    cli.say(f"{project} is not connected to a forge any more. Delete its webhook and token there, too.")


@command(group)
async def link(
    cli: Cli, project: Project, login: Annotated[str, typer.Argument(help="Your name at the forge.")]
) -> None:
    """Say who you are at the forge: what that name does there is yours here."""
    async with cli.client() as client:
        _print(cli, await client.post(f"{_path(project)}/people", {"login": login}))


@command(group)
async def unlink(
    cli: Cli, project: Project, login: Annotated[str, typer.Argument(help="A name at the forge.")]
) -> None:
    """End such a link."""
    async with cli.client() as client:
        await client.delete(f"{_path(project)}/people/{quote(login)}")
    cli.say(f"{login} is nobody here any more.")


def _path(project: str) -> str:
    return f"/projects/{quote(project)}/connection"


def _token() -> str:
    """Never in a command line: asked for without echo, or the first line of the standard input."""
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass("Token: ", stream=sys.stderr)
    value = sys.stdin.readline().strip()
    if not value:
        raise Failure("The token is read from the standard input, where there is none.", Exit.USAGE)
    return value


def _print(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import ConnectionView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    one = parse(ConnectionView, answer)
    heard = screen.ago(one.heard_at) if one.heard_at else "never yet"
    rows = [
        ("repository", f"{one.repository} at {one.forge} ({one.web_url})"),
        ("writes as", one.login),
        ("pipelines here", "yes" if one.run_pipelines else "no"),
        ("webhook", one.hook_url),
        ("its secret", one.hook_secret or ""),
        ("heard of", heard),
        ("read", screen.ago(one.synced_at) if one.synced_at else "not yet"),
        ("fault", one.fault),
        ("people", ", ".join(f"{who.login} is {who.username}" for who in one.people)),
        ("waits to be written", ", ".join(_waits(w.kind, w.subject, w.fault, refused=w.refused) for w in one.writes)),
    ]
    screen.console().print(screen.fields(rows))
    if one.hook_secret:
        cli.say("Make a webhook there with this address and secret; the secret is not shown again.")


def _waits(kind: str, subject: str, fault: str, *, refused: bool) -> str:
    name = f"{kind.replace('_', ' ')} {subject}"
    return f"{name} (refused: {fault})" if refused else f"{name} ({fault})" if fault else name
