"""`qd pipeline`: pipelines, their jobs and the logs of those."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarterdeck.doors.cli import given
from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.plain import quote

if TYPE_CHECKING:
    from pydantic import JsonValue

group = typer.Typer(help="Pipelines of a project, their jobs and logs.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="PIPELINE", min=1, help="The pipeline's number.")]
Project = Annotated[str, typer.Option("--project", "-p", help="The project's path or number.")]


@command(group, "list")
async def list_(
    cli: Cli,
    project: Project,
    ref: Annotated[str | None, typer.Option("--ref", help="Only of this branch.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100)] = 20,
) -> None:
    """List the newest pipelines of a project."""
    async with cli.client() as client:
        answer = await client.get(f"/projects/{quote(project)}/pipelines", ref=ref, limit=limit)
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.doors.cli import pipeline_pages

    pipeline_pages.print_list(answer, project)


@command(group)
async def start(
    cli: Cli,
    project: Project,
    ref: Annotated[str | None, typer.Option("--ref", help="Branch or tag; the default branch otherwise.")] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Until it has ended; exit status 1 if it failed.")] = False,
) -> None:
    """Start a pipeline."""
    from quarterdeck.doors.cli import pipeline_pages

    async with cli.client() as client:
        answer = await client.post(f"/projects/{quote(project)}/pipelines", {"ref": ref} if ref else {})
        if wait:
            answer = await pipeline_pages.wait(cli, client, answer)
        _print(cli, answer)
        if wait:
            pipeline_pages.verdict(answer)


@command(group)
async def show(cli: Cli, pipeline: Number) -> None:
    """Show a pipeline and its jobs."""
    async with cli.client() as client:
        _print(cli, await client.get(f"/pipelines/{pipeline}"))


@command(group)
async def log(
    cli: Cli,
    job: Annotated[int, typer.Argument(metavar="JOB", min=1, help="The job's number.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the job has ended.")] = False,
) -> None:
    """Print the log of a job."""
    from quarterdeck.doors.cli import pipeline_pages

    async with cli.client() as client:
        await pipeline_pages.print_log(cli, client, job, follow=follow)


@command(group)
async def retry(cli: Cli, pipeline: Number) -> None:
    """Run the failed jobs of a pipeline again."""
    async with cli.client() as client:
        _print(cli, await client.post(f"/pipelines/{pipeline}/retry"))


@command(group)
async def cancel(cli: Cli, pipeline: Number) -> None:
    """Stop the jobs of a pipeline."""
    async with cli.client() as client:
        _print(cli, await client.post(f"/pipelines/{pipeline}/cancel"))


@command(group)
async def lint(
    cli: Cli,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .gitlab-ci.yml.")],
    project: Project,
    ref: Annotated[
        str | None, typer.Option("--ref", help="As a push to this branch; to the default branch otherwise.")
    ] = None,
) -> None:
    """Check a pipeline file without running it; exit status 1 if it has faults."""
    async with cli.client() as client:
        body = {"text": given.text(file), **({"ref": ref} if ref else {})}
        answer = await client.post(f"/projects/{quote(project)}/ci/lint", body)
    from quarterdeck.doors.cli import pipeline_pages

    pipeline_pages.print_lint(cli, answer, file)


def _print(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.doors.cli import pipeline_pages

    pipeline_pages.print_pipeline(answer)
