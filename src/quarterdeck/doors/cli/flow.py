"""`qd flow`."""

from pathlib import Path
from typing import Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure

group = typer.Typer(help="Flows: those that there are, and your own.", no_args_is_help=True)


Own = Annotated[str, typer.Option("--project", "-p", help="The project's path or number.")]


@command(group, "list")
async def list_(
    cli: Cli,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="With those of this project, and their faults.")
    ] = None,
) -> None:
    """List the flows that ship, or all that a project has."""
    if project is not None:
        from quarterdeck.doors.cli import flow_own

        await flow_own.list_all(cli, project)
        return
    async with cli.client() as client:
        answer = await client.get("/flows")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import FlowEntry
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    rows = [(flow.id, "yes" if flow.scripted else "", flow.description) for flow in parse(list[FlowEntry], answer)]
    screen.console().print(screen.table(("flow", "scripted", "description"), rows))


@command(group)
async def add(
    cli: Cli,
    file: Annotated[Path, typer.Argument(help="A flow file.")],
    project: Own,
    name: Annotated[str | None, typer.Option("--name", help="By default the one in it, or the file's.")] = None,
) -> None:
    """Store a flow in a project, or a new version of one."""
    from quarterdeck.doors.cli import flow_own

    await flow_own.add(cli, file, project, name)


@command(group)
async def show(
    cli: Cli,
    name: Annotated[str, typer.Argument(help="NAME or NAME/VERSION.")],
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="As this project has it; without it, one that ships.")
    ] = None,
) -> None:
    """Print a flow's YAML."""
    from quarterdeck.doors.cli import flow_own

    await flow_own.show(cli, name, project)


@command(group)
async def delete(cli: Cli, name: Annotated[str, typer.Argument(help="Its name.")], project: Own) -> None:
    """Delete a flow that a project stores, with all its versions."""
    from quarterdeck.doors.cli import flow_own

    await flow_own.delete(cli, name, project)


@command(group)
async def lint(cli: Cli, files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Flow files.")]) -> None:
    """Find everything that is wrong with flow files; needs no server and runs nothing.

    Exit status 0 if there are no faults, 1 if there are, 2 if a file can't be read.
    """
    from quarterdeck.doors.cli.flow_files import lint_file

    faulty, unread = 0, 0
    for file in files:
        found = lint_file(cli, file)
        faulty += bool(found)
        unread += found is None
    if unread:
        raise Failure(f"{unread} of {len(files)} files can't be read.", Exit.USAGE)
    if faulty:
        raise Failure(f"{faulty} of {len(files)} files can't be used.")


@command(group)
async def schema(cli: Cli) -> None:
    """Print the JSON Schema of flow files, for editors."""
    from quarterdeck.flows.json_schema import json_schema
    from quarterdeck.tools.catalogue import CATALOGUE

    cli.print(json_schema(CATALOGUE))


@command(group)
async def simulate(
    cli: Cli,
    file: Annotated[Path, typer.Argument(help="A flow file.")],
    script: Annotated[Path | None, typer.Option("--script", help="The answers of the scripted model, a file.")] = None,
    goal: Annotated[str, typer.Option("--goal", help="What to do, in your words.")] = "",
    input: Annotated[list[str] | None, typer.Option("--input", help="CATEGORY.FIELD=VALUE; may be repeated.")] = None,
    answer: Annotated[
        list[str] | None, typer.Option("--answer", help="What you say to the next question; may be repeated.")
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option("--deny", metavar="NAME[=WHY]", help="Refuse a tool, or what a component asks.")
    ] = None,
    ask_all: Annotated[bool, typer.Option("--ask-all", help="Pre-approve nothing.")] = False,
    level: Annotated[str, typer.Option("--level", help="result, concise or full.")] = "concise",
) -> None:
    """Run a flow against a script without touching anything; needs no server.

    Exit status 0 only if it comes to a good end.
    """
    from quarterdeck.doors.cli.flow_files import Play, play

    given = Play(file, script, goal, input or [], answer or [], deny or [], ask_all, level)
    if not await play(cli, given):
        raise typer.Exit(Exit.FAILED)
