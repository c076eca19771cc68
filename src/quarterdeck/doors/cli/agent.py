"""`qd agent`: custom agents to chat with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarterdeck.doors.cli import given
from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure

if TYPE_CHECKING:
    from pydantic import JsonValue

group = typer.Typer(help="Keep agents to chat with.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="AGENT", min=1, help="The agent's number.")]
Prompt = Annotated[Path | None, typer.Option("--prompt", metavar="FILE", help="What it is to be and to heed, a file.")]
Tools = Annotated[list[str] | None, typer.Option("--tool", help="A tool that it may use; may be repeated.")]
Description = Annotated[str | None, typer.Option("--description")]
Model = Annotated[str | None, typer.Option("--model", help="provider:model; empty for the configured one.")]


@command(group)
async def add(
    cli: Cli,
    name: Annotated[str, typer.Argument(help="Letters, digits, - and _.")],
    prompt: Prompt = None,
    tool: Tools = None,
    project: Annotated[str | None, typer.Option("--project", "-p", help="Whose it is; else it is yours.")] = None,
    description: Description = None,
    model: Model = None,
) -> None:
    """Add an agent, yours or a project's."""
    if prompt is None:
        raise Failure("An agent needs a prompt: --prompt FILE.", Exit.USAGE)
    body: dict[str, Any] = {"name": name, "prompt": given.text(prompt), "tools": tool or [], "project": project}
    body |= {"description": description or "", "model": model or None}
    async with cli.client() as client:
        _print(cli, await client.post("/agents", body))


@command(group, "list")
async def list_(
    cli: Cli, project: Annotated[str | None, typer.Option("--project", "-p", help="Those of the project too.")] = None
) -> None:
    """List the agents that you may chat with."""
    async with cli.client() as client:
        found: Any = await client.get("/agents", project=project)
    if cli.json:
        cli.print(found)
        return
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.plain import line

    rows = [("", "quarterdeck", "", "The agent that ships; it is there always.")]
    rows += [
        (str(one["id"]), one["name"], one["project_path"] or "yours", line(one["description"], 80)) for one in found
    ]
    screen.console().print(screen.table(("number", "name", "of", "description"), rows))


@command(group)
async def show(cli: Cli, agent: Number) -> None:
    """Show an agent with its prompt and tools."""
    async with cli.client() as client:
        _print(cli, await client.get(f"/agents/{agent}"))


@command(group)
async def edit(
    cli: Cli,
    agent: Number,
    name: Annotated[str | None, typer.Option("--name")] = None,
    prompt: Prompt = None,
    tool: Tools = None,
    description: Description = None,
    model: Model = None,
) -> None:
    """Change an agent; chats that have begun keep what they began with."""
    body = {
        "name": name,
        "prompt": given.text(prompt) if prompt is not None else None,
        "tools": tool,
        "description": description,
        "model": model,
    }
    async with cli.client() as client:
        _print(
            cli,
            await client.patch(f"/agents/{agent}", {key: value for key, value in body.items() if value is not None}),
        )


@command(group)
async def delete(cli: Cli, agent: Number) -> None:
    """Delete an agent; its chats go on."""
    async with cli.client() as client:
        await client.delete(f"/agents/{agent}")
    if cli.json:
        cli.print({"deleted": agent})
    else:
        cli.say(f"Agent {agent} is deleted.")


def _print(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.plain import plain

    one: Any = answer
    out = screen.console()
    out.print(
        screen.fields(
            [
                ("number", str(one["id"])),
                ("name", one["name"]),
                ("of", one["project_path"] or "yours"),
                ("description", one["description"]),
                ("model", one["model"] or "the configured one"),
                ("tools", ", ".join(one["tools"]) or "none"),
            ]
        )
    )
    out.print(plain(one["prompt"]))
