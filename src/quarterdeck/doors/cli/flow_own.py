"""What `qd flow` does with a project's own flows."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from quarterdeck.client.models import FlowText, FlowView, ProjectFlows
from quarterdeck.doors.cli import given, screen
from quarterdeck.doors.cli.client import parse
from quarterdeck.doors.cli.command import Cli
from quarterdeck.doors.cli.plain import line, plain, quote

if TYPE_CHECKING:
    from pydantic import JsonValue

_ORIGINS = {"shipped": "ships", "project": "stored", "repository": "repository"}


async def list_all(cli: Cli, project: str) -> None:
    """Prints a table of all, and below it why some can't be started."""
    async with cli.client() as client:
        answer = await client.get(f"/projects/{quote(project)}/flows")
    if cli.json:
        cli.print(answer)
        return
    found, console = parse(ProjectFlows, answer), screen.console()
    rows = [
        (
            line(flow.start_as, 200),
            flow.version,
            _ORIGINS.get(flow.origin, flow.origin),
            line(flow.path or flow.stored_by, 200),
            f"{len(flow.faults)} faults" if flow.faults else line(flow.description, 200),
        )
        for flow in found.flows
    ]
    console.print(screen.table(("flow", "version", "from", "path or by", "description"), rows))
    for flow in found.flows:
        _print_faults(console, flow)
    if found.left_out:
        cli.say(f"{found.left_out} more files of the repository are not read; a project may have 100.")


def _print_faults(console: Console, flow: FlowView) -> None:
    for fault in flow.faults:
        where = line(flow.path or flow.start_as, 1_000)
        console.print(Text.assemble(f"{where}:", ("fault ", "red"), line(fault, 2_000)))


async def add(cli: Cli, file: Path, project: str, name: str | None) -> None:
    """Stores a file; one without a name in it is called as the file is."""
    text = given.text(file)
    body: dict[str, JsonValue] = {"text": text, "name": name or _name(text, file)}
    async with cli.client() as client:
        answer = await client.post(f"/projects/{quote(project)}/flows", body)
    if cli.json:
        cli.print(answer)
        return
    flow = parse(FlowView, answer)
    cli.say(f"{project} has the flow {flow.name}/{flow.version}. Start it: --flow {flow.start_as}")


def _name(text: str, file: Path) -> str | None:
    from quarterdeck.flows.reader import examine
    from quarterdeck.tools.catalogue import CATALOGUE

    value = examine(text, CATALOGUE).document.value
    return None if isinstance(value, dict) and "name" in value else file.stem


async def show(cli: Cli, name: str, project: str | None) -> None:
    """Prints the YAML."""
    plain_name, _, version = name.partition("/")
    place = f"/projects/{quote(project)}/flows/{quote(plain_name)}" if project else f"/flows/{quote(plain_name)}"
    async with cli.client() as client:
        answer = await client.get(place, version=version or None)
    if cli.json:
        cli.print(answer)
        return
    print(plain(parse(FlowText, answer).text), end="")


async def delete(cli: Cli, name: str, project: str) -> None:
    """Deletes a stored one."""
    async with cli.client() as client:
        await client.delete(f"/projects/{quote(project)}/flows/{quote(name)}")
    cli.say(f"{project} stores no flow {name} any more.")
