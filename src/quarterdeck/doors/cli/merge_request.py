"""`qd mr`: merge requests."""

from typing import TYPE_CHECKING, Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.plain import quote

if TYPE_CHECKING:
    from pydantic import JsonValue

group = typer.Typer(help="Merge requests of a project.", no_args_is_help=True)

Project = Annotated[str, typer.Option("--project", "-p", help="The project's path or number.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="The merge request's number in its project.")]


@command(group, "list")
async def list_(
    cli: Cli,
    project: Project,
    status: Annotated[str | None, typer.Option("--status", help="opened, merged or closed.")] = None,
) -> None:
    """List merge requests, newest first."""
    async with cli.client() as client:
        answer = await client.get(f"/projects/{quote(project)}/merge_requests", status=status)
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import MergeRequestView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    rows = [
        (f"!{one.iid}", screen.status(one.status), one.title, f"{one.source_branch} into {one.target_branch}")
        for one in parse(list[MergeRequestView], answer)
    ]
    screen.console().print(screen.table(("number", "status", "title", "branches"), rows))


@command(group)
async def show(
    cli: Cli,
    project: Project,
    number: Number,
    diff: Annotated[bool, typer.Option("--diff", help="With what it changes.")] = False,
) -> None:
    """Show a merge request."""
    async with cli.client() as client:
        show_answer(cli, await client.get(f"/projects/{quote(project)}/merge_requests/{number}"))
        if diff and not cli.json:
            from quarterdeck.doors.cli import screen

            data = await client.read(f"/projects/{quote(project)}/merge_requests/{number}/diff")
            screen.console().print(screen.diff(data), end="")


@command(group)
async def merge(cli: Cli, project: Project, number: Number) -> None:
    """Merge it into its target branch."""
    await _change(cli, project, number, "merge", {})


@command(group)
async def close(cli: Cli, project: Project, number: Number) -> None:
    """Close it without merging."""
    await _change(cli, project, number, "close", {})


@command(group)
async def update(
    cli: Cli,
    project: Project,
    number: Number,
    title: Annotated[str | None, typer.Option("--title")] = None,
    description: Annotated[str | None, typer.Option("--description", help="Markdown.")] = None,
) -> None:
    """Change its title or description."""
    given: dict[str, JsonValue] = {"title": title, "description": description}
    body = {name: value for name, value in given.items() if value is not None}
    async with cli.client() as client:
        show_answer(cli, await client.patch(f"/projects/{quote(project)}/merge_requests/{number}", body))


@command(group)
async def comment(
    cli: Cli,
    project: Project,
    number: Number,
    text: Annotated[str, typer.Argument()],
    file: Annotated[str | None, typer.Option("--file", help="On a line of this file's diff.")] = None,
    line: Annotated[int | None, typer.Option("--line", min=1, help="The line's number after the change.")] = None,
    old_line: Annotated[int | None, typer.Option("--old-line", min=1, help="A removed line's number before.")] = None,
) -> None:
    """Say something to it, or to a line of its diff."""
    body: dict[str, JsonValue] = {"text": text}
    if file is not None:
        body["position"] = {"path": file, "new_line": line, "old_line": old_line}
    elif line is not None or old_line is not None:
        raise Failure("A line is one of a file: name that with --file PATH.", Exit.USAGE)
    await _change(cli, project, number, "comments", body)


async def _change(cli: Cli, project: str, number: int, verb: str, body: "dict[str, JsonValue]") -> None:
    async with cli.client() as client:
        show_answer(cli, await client.post(f"/projects/{quote(project)}/merge_requests/{number}/{verb}", body))


def show_answer(cli: Cli, answer: "JsonValue") -> None:
    """A merge request with what was said to it."""
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import MergeRequestView
    from quarterdeck.doors.cli import comments, screen
    from quarterdeck.doors.cli.client import parse
    from quarterdeck.doors.cli.plain import plain

    one = parse(MergeRequestView, answer)
    out = screen.console()
    out.print(
        screen.fields(
            [
                ("merge request", f"!{one.iid} {one.title}"),
                ("status", screen.status(one.status)),
                ("branches", f"{one.source_branch} into {one.target_branch}"),
                ("author", one.author),
                ("sessions", comments.sessions(one.sessions)),
                ("page", one.url),
            ]
        )
    )
    if one.description:
        out.print(plain(one.description))
    comments.print_all(one.comments)
