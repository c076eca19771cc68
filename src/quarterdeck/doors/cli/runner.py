"""`qd runner`: register and start one on this machine, and manage those of a server."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from quarterdeck.doors.cli.command import Cli, command

if TYPE_CHECKING:
    from pydantic import JsonValue

    from quarterdeck.client.models import RunnerDetailView, RunnerView


class _StartGroup(TyperGroup):
    """The group whose name alone is its `start`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the command in where options or nothing follow."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["start", *args]
        return super().parse_args(ctx, args)


group = typer.Typer(
    cls=_StartGroup,
    help="""Runners: the hands that carry out tool calls and pipeline jobs, on any machine.

    Without a command it starts one, as `qd runner start` does.
    """,
)

Url = Annotated[str | None, typer.Option("--url", help="The server; a registered runner knows it.")]
Token = Annotated[
    str | None, typer.Option("--token-file", help="A file with a runner's token; - for the input. Registered: none.")
]
Home = Annotated[Path | None, typer.Option("--home", help="Where workspaces, journal and registration are kept.")]
Name = Annotated[str | None, typer.Option("--name", help="What people call it; by default the machine's name.")]
Capacity = Annotated[int | None, typer.Option("--capacity", min=1, help="Sessions and jobs at the same time.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="What jobs may ask for; may be repeated.")]
Reduced = Annotated[bool, typer.Option("--allow-reduced-isolation", help="Make do with Landlock.")]
Unsandboxed = Annotated[bool, typer.Option("--allow-unsandboxed", help="Run commands with no sandbox at all.")]
Limits = Annotated[str, typer.Option("--limits", help="Of each session and job, such as memory=4G,workspace=10G.")]
Plain = Annotated[bool, typer.Option("--allow-plain-http", help="Send the token where others can read it.")]
Number = Annotated[int, typer.Argument(metavar="RUNNER", min=1, help="The runner's number.")]


@group.command()
def start(
    url: Url = None,
    token_file: Token = None,
    home: Home = None,
    name: Name = None,
    capacity: Capacity = None,
    tag: Tags = None,
    limits: Limits = "",
    allow_reduced_isolation: Reduced = False,
    allow_unsandboxed: Unsandboxed = False,
    allow_plain_http: Plain = False,
) -> None:
    """Start a runner on this machine, registered or with a token file."""
    options = _options(home, name, capacity, tag)
    options += ["--url", url] if url else []
    options += ["--token-file", token_file] if token_file else []
    options += ["--limits", limits] if limits else []
    options += ["--allow-reduced-isolation"] * allow_reduced_isolation + ["--allow-unsandboxed"] * allow_unsandboxed
    _become(options + ["--allow-plain-http"] * allow_plain_http)


@group.command()
def register(
    url: Annotated[str, typer.Option("--url", help="The server.")],
    home: Home = None,
    token_file: Annotated[
        str, typer.Option("--token-file", help="A file with the registration token; by default the input.")
    ] = "-",  # noqa: S107 - the input
    name: Name = None,
    capacity: Capacity = None,
    tag: Tags = None,
    allow_plain_http: Plain = False,
) -> None:
    """Register a runner of this machine with a token of `qd runner invite`."""
    options = ["register", "--url", url, "--token-file", token_file, *_options(home, name, capacity, tag)]
    _become(options + ["--allow-plain-http"] * allow_plain_http)


def _options(home: Path | None, name: str | None, capacity: int | None, tags: list[str] | None) -> list[str]:
    options = ["--home", str(home)] if home else []
    options += ["--capacity", str(capacity)] if capacity else []
    options += ["--name", name] if name else []
    return options + [part for one in tags or [] for part in ("--tag", one)]


def _become(options: list[str]) -> None:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "quarterdeck.executor", *options])  # noqa: S606 no shell is wanted


@command(group)
async def invite(
    cli: Cli,
    project: Annotated[str | None, typer.Option("--project", "-p", help="For this project alone.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="The only tags it may have; may be repeated.")] = None,
    description: Annotated[str, typer.Option("--description", help="What people read beside its name.")] = "",
) -> None:
    """Make a token that registers one runner, once, within an hour."""
    async with cli.client() as client:
        answer = await client.post(
            "/runners/registrations", {"project": project, "tags": tag, "description": description}
        )
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import RegistrationView
    from quarterdeck.doors.cli.client import parse

    print(parse(RegistrationView, answer).token)


@command(group, "list")
async def list_(cli: Cli) -> None:
    """List runners."""
    async with cli.client() as client:
        answer = await client.get("/runners")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import RunnerView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    rows = [
        (str(one.id), one.name, _state(one), f"{one.subjects} of {one.capacity}", one.project, ", ".join(one.tags))
        for one in parse(list[RunnerView], answer)
    ]
    screen.console().print(screen.table(("number", "runner", "", "busy", "project", "tags"), rows))


@command(group)
async def show(cli: Cli, runner: Number) -> None:
    """Show a runner and what it does now."""
    async with cli.client() as client:
        answer = await client.get(f"/runners/{runner}")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import RunnerDetailView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    one = parse(RunnerDetailView, answer)
    work = [
        f"{f'session #{it.session_id}' if it.session_id else f'job {it.job_id}'} {it.title}"
        f"{': ' + ', '.join(it.tools) if it.tools else ''}{' (ending)' if it.ending else ''}"
        for it in one.work
    ] + ([f"{one.hidden} that you may not see"] if one.hidden else [])
    screen.console().print(
        screen.fields(
            [
                ("runner", f"#{one.id} {one.name}, {_state(one)}"),
                ("description", one.description),
                ("works for", one.project or "all projects"),
                ("tags", ", ".join(one.tags)),
                ("busy", f"{one.subjects} of {one.capacity}"),
                ("does", "\n".join(work)),
                ("last contact", one.last_contact.isoformat(" ", "seconds") if one.last_contact else "never"),
                ("version", one.version),
                ("isolation", f"{one.isolation} {one.sandbox}".strip()),
            ]
        )
    )


@command(group)
async def pause(cli: Cli, runner: Number) -> None:
    """Give a runner nothing new; it finishes what it has."""
    await _change(cli, runner, "pause")


@command(group)
async def resume(cli: Cli, runner: Number) -> None:
    """Give a runner new work again."""
    await _change(cli, runner, "resume")


@command(group)
async def drain(cli: Cli, runner: Number) -> None:
    """Let a runner finish its calls and jobs, and end; its sessions go on elsewhere."""
    await _change(cli, runner, "drain")


@command(group)
async def remove(cli: Cli, runner: Number) -> None:
    """Remove a runner: its token dies at once, and what it carries out is interrupted."""
    async with cli.client() as client:
        await client.delete(f"/runners/{runner}")
    cli.say(f"Runner {runner} was removed.")


async def _change(cli: Cli, runner: int, verb: str) -> None:
    async with cli.client() as client:
        answer: JsonValue = await client.post(f"/runners/{runner}/{verb}")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import RunnerView
    from quarterdeck.doors.cli.client import parse

    one = parse(RunnerView, answer)
    cli.say(f"{one.name} is {_state(one)}.")


def _state(one: "RunnerView | RunnerDetailView") -> str:
    return f"{one.state}, {'alive' if one.alive else 'not heard of'}"
