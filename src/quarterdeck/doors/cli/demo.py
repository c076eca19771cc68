"""`qd demo`: a session repairs a pipeline that really fails, on the sample project or on any repository."""

from pathlib import Path
from typing import Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure


def register(app: typer.Typer) -> None:
    """Adds the command."""
    command(app)(demo)


async def demo(
    cli: Cli,
    repo: Annotated[str | None, typer.Option("--repo", help="A git repository, path or URL; it is copied.")] = None,
    project: Annotated[str | None, typer.Option("--project", "-p", help="A project that is there already.")] = None,
    flow: Annotated[str, typer.Option("--flow", help="A flow, or a file with one.")] = "fix_pipeline/v1",
    model: Annotated[str | None, typer.Option("--model", help="provider:model, or scripted.")] = None,
    script: Annotated[Path | None, typer.Option("--script", help="The answers of the scripted model, a file.")] = None,
    goal: Annotated[str, typer.Option("--goal", help="What to do, in your words.")] = "",
    level: Annotated[str, typer.Option("--level", help="result, concise or full.")] = "concise",
    full_circle: Annotated[
        bool, typer.Option("--full-circle", help="From a git push: a trigger starts the session; then it is merged.")
    ] = False,
) -> None:
    """Watch a session find out why a pipeline fails, repair it, prove it and open a merge request.

    Exit status 0 only if the pipeline of the new branch passed.
    """
    if full_circle and (repo, project, script) != (None, None, None):
        raise Failure("--full-circle makes a project of its own: give no --repo, --project or --script.", Exit.USAGE)
    if repo is not None and project is not None:
        raise Failure("Give --repo or --project, not both.", Exit.USAGE)
    from quarterdeck.doors.cli.demo_acts import Play, play
    from quarterdeck.doors.cli.local_server import running_server

    async with running_server(cli) as client:
        if full_circle:
            from quarterdeck.doors.cli import demo_circle

            return await demo_circle.play(cli, client, level)
        await play(cli, client, Play(repo, project, flow, model, script, goal, level))
