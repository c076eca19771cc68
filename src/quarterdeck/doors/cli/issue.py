"""`qd issue`: issues."""

from typing import TYPE_CHECKING, Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.plain import quote

if TYPE_CHECKING:
    from pydantic import JsonValue

group = typer.Typer(help="Issues of a project.", no_args_is_help=True)

Project = Annotated[str, typer.Option("--project", "-p", help="The project's path or number.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="The issue's number in its project.")]


@command(group, "list")
async def list_(
    cli: Cli,
    project: Project,
    status: Annotated[str | None, typer.Option("--status", help="opened or closed.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Only with it.")] = None,
    assignee: Annotated[str | None, typer.Option("--assignee", help="Only of this user.")] = None,
    search: Annotated[str | None, typer.Option("--search", help="In title or description.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100)] = 20,
) -> None:
    """List issues, newest first."""
    async with cli.client() as client:
        answer = await client.get(
            f"/projects/{quote(project)}/issues",
            status=status, label=label, assignee=assignee, search=search, limit=limit,
        )  # fmt: skip
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import IssueView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    rows = [
        (f"#{one.iid}", screen.status(one.status), one.title, ", ".join(one.labels), ", ".join(one.assignees))
        for one in parse(list[IssueView], answer)
    ]
    screen.console().print(screen.table(("number", "status", "title", "labels", "assignees"), rows))


@command(group)
async def show(cli: Cli, project: Project, number: Number) -> None:
    """Show an issue and what was said to it."""
    async with cli.client() as client:
        _print(cli, await client.get(f"/projects/{quote(project)}/issues/{number}"))


@command(group)
async def create(
    cli: Cli,
    project: Project,
    title: Annotated[str, typer.Argument()],
    description: Annotated[str, typer.Option("--description", help="Markdown.")] = "",
    labels: Annotated[list[str] | None, typer.Option("--label", help="May be repeated.")] = None,
    assignees: Annotated[
        list[str] | None, typer.Option("--assignee", help="A member of the project; may be repeated.")
    ] = None,
) -> None:
    """Open an issue."""
    body: dict[str, JsonValue] = {
        "title": title, "description": description, "labels": [*(labels or ())], "assignees": [*(assignees or ())],
    }  # fmt: skip
    async with cli.client() as client:
        _print(cli, await client.post(f"/projects/{quote(project)}/issues", body))


@command(group)
async def close(cli: Cli, project: Project, number: Number) -> None:
    """Close an issue."""
    await _change(cli, project, number, "close", {})


@command(group)
async def reopen(cli: Cli, project: Project, number: Number) -> None:
    """Open a closed issue again."""
    await _change(cli, project, number, "reopen", {})


@command(group)
async def comment(cli: Cli, project: Project, number: Number, text: Annotated[str, typer.Argument()]) -> None:
    """Comment on an issue."""
    await _change(cli, project, number, "comments", {"text": text})


async def _change(cli: Cli, project: str, number: int, verb: str, body: "dict[str, JsonValue]") -> None:
    async with cli.client() as client:
        _print(cli, await client.post(f"/projects/{quote(project)}/issues/{number}/{verb}", body))


def _print(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import IssueView
    from quarterdeck.doors.cli import comments, screen
    from quarterdeck.doors.cli.client import parse
    from quarterdeck.doors.cli.plain import plain

    one = parse(IssueView, answer)
    closed = f"{one.closed_by} {one.closed_reason}".strip() if one.closed_by else ""
    out = screen.console()
    out.print(
        screen.fields(
            [
                ("issue", f"#{one.iid} {one.title}"),
                ("status", screen.status(one.status)),
                ("closed by", closed),
                ("labels", ", ".join(one.labels)),
                ("assignees", ", ".join(one.assignees)),
                ("author", one.author),
                ("sessions", comments.sessions(one.sessions)),
                ("page", one.url),
            ]
        )
    )
    if one.description:
        out.print(plain(one.description))
    comments.print_all(one.comments)
