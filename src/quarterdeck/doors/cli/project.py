"""`qd project`."""

from typing import TYPE_CHECKING, Annotated

import typer

from quarterdeck.doors.cli import given
from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.plain import quote

if TYPE_CHECKING:
    from pydantic import JsonValue

group = typer.Typer(help="Projects: a repository, its members, sessions and pipelines.", no_args_is_help=True)

Ref = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's path or number.")]


@command(group)
async def add(
    cli: Cli,
    path: Annotated[str, typer.Argument(help="The project's path: letters, digits, -, _ and dots.")],
    source: Annotated[str | None, typer.Option("--from", help="A repository to copy, path or URL.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="What people call it.")] = None,
    description: Annotated[str, typer.Option("--description")] = "",
) -> None:
    """Add a project, empty or from a repository."""
    async with cli.client() as client:
        answer = await client.post("/projects", body(path, source, name, description))
    _print(cli, answer)


def body(path: str, source: str | None, name: str | None = None, description: str = "") -> "dict[str, JsonValue]":
    """What makes a project; a source that is a folder here is named by its full path."""
    from pathlib import Path

    if source is not None and Path(source).is_dir():
        source = str(Path(source).resolve())
    return {"path": path, "source": source, "name": name or path, "description": description}


@command(group, "list")
async def list_(cli: Cli) -> None:
    """List the projects that you may see."""
    async with cli.client() as client:
        answer = await client.get("/projects")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import ProjectView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    projects = parse(list[ProjectView], answer)
    if not projects:
        cli.say("No projects yet. Add one: qd project add NAME --from PATH_OR_URL")
        return
    rows = [(one.path, one.name, one.default_branch, one.description) for one in projects]
    screen.console().print(screen.table(("project", "name", "default branch", "description"), rows))


@command(group)
async def show(cli: Cli, project: Ref) -> None:
    """Show a project."""
    async with cli.client() as client:
        _print(cli, await client.get(f"/projects/{quote(project)}"))


@command(group)
async def edit(
    cli: Cli,
    project: Ref,
    name: Annotated[str | None, typer.Option("--name", help="What people call it.")] = None,
    description: Annotated[str | None, typer.Option("--description")] = None,
    retention_days: Annotated[
        int | None, typer.Option("--retention-days", min=1, help="How long sessions are kept without activity.")
    ] = None,
    runner_tags: Annotated[
        list[str] | None,
        typer.Option("--runner-tag", help="What its sessions' runners must have; may be repeated. '' for none."),
    ] = None,
    limits: Annotated[
        str | None,
        typer.Option(
            "--limits",
            help="What a session may use of a runner, such as memory=4G,session=2h. '' for the runner's own.",
        ),
    ] = None,
    always_ask: Annotated[
        list[str] | None,
        typer.Option("--always-ask", help="A privilege whose tools ask a person each time; repeated. '' for none."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask, also when sessions are deleted sooner.")] = False,
) -> None:
    """Change a project: its name, how long its sessions are kept, what of runners they get, when they always ask."""
    changes: dict[str, JsonValue] = {"name": name, "description": description, "retention_days": retention_days}
    if runner_tags is not None:
        changes["runner_tags"] = [tag for tag in runner_tags if tag]
    if always_ask is not None:
        changes["always_ask"] = [privilege for privilege in always_ask if privilege]
    if limits is not None:
        changes["limits"] = given.limits(limits)
    path = f"/projects/{quote(project)}"
    async with cli.client() as client:
        if retention_days is not None and not yes:
            _ask(await client.get(f"{path}/retention/preview", retention_days=retention_days))
        answer = await client.patch(path, {key: value for key, value in changes.items() if value is not None})
    _print(cli, answer)


def _ask(answer: "JsonValue") -> None:
    """Raises Failure when the next sweep would delete what the person wants to keep."""
    from quarterdeck.client.models import RetentionView
    from quarterdeck.doors.cli.client import parse
    from quarterdeck.doors.cli.retention_pages import counted

    seen = parse(RetentionView, answer)
    if seen.sessions and not typer.confirm(f"The next sweep deletes {counted(seen)}. Go on?", err=True):
        raise Failure("Nothing was changed.", Exit.FAILED)


def _print(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import ProjectView
    from quarterdeck.core.session_limits import ProjectLimits
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    one = parse(ProjectView, answer)
    screen.console().print(
        screen.fields(
            [
                ("project", f"{one.path} (#{one.id})"),
                ("name", one.name),
                ("description", one.description),
                ("default branch", one.default_branch),
                ("runners need", ", ".join(one.runner_tags)),
                ("limits", ProjectLimits.model_validate(one.limits.model_dump()).words()),
                ("always ask before", ", ".join(one.always_ask)),
                ("sessions kept", f"{one.retention_days} days"),
            ]
        )
    )
