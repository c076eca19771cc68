"""`qd serve`, `qd worker` and `qd runner`: the commands that become Quarterdeck's own processes."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from quarterdeck.doors.cli.failure import Failure

Home = Annotated[Path | None, typer.Option("--home", help="The folder of all state; QUARTERDECK_HOME otherwise.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(serve)
    app.command()(worker)
    app.command()(runner)


def serve(
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = None,
    home: Home = None,
    no_runner: Annotated[bool, typer.Option("--no-runner", help="Runners are elsewhere.")] = False,
    parent: Annotated[int | None, typer.Option("--parent", hidden=True, help="End with this process.")] = None,
) -> None:
    """Start the server: web, API, worker, database and a local runner."""
    from quarterdeck import server, supervisor

    if parent is not None:
        server.die_with(parent)
    raise typer.Exit(supervisor.serve(_settings(host=host, port=port, home=home), runner=not no_runner))


def worker() -> None:
    """Start one more worker on the database of a server (DATABASE_URL)."""
    from quarterdeck import server

    raise typer.Exit(server.main(["worker"]))


def runner(
    url: Annotated[str, typer.Option("--url", help="The server.")],
    token_file: Annotated[Path, typer.Option("--token-file", help="A file with the runner's token; - for the input.")],
    home: Annotated[Path, typer.Option("--home", help="Where workspaces and the journal are kept.")],
    name: Annotated[str | None, typer.Option("--name", help="What people call it.")] = None,
    capacity: Annotated[int, typer.Option("--capacity", min=1, help="Sessions and jobs at the same time.")] = 2,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="What jobs may ask for; may be repeated.")] = None,
    limits: Annotated[
        str, typer.Option("--limits", help="Of each session and job, such as memory=4G,workspace=10G.")
    ] = "",
    allow_reduced_isolation: Annotated[bool, typer.Option(help="Make do with Landlock.")] = False,
    allow_unsandboxed: Annotated[bool, typer.Option(help="Run commands with no sandbox at all.")] = False,
) -> None:
    """Start a runner: the hands that carry out tool calls and pipeline jobs, on any machine."""
    options = ["--url", url, "--token-file", str(token_file), "--home", str(home), "--capacity", str(capacity)]
    options += ["--name", name] if name else []
    options += [part for one in tag or [] for part in ("--tag", one)]
    options += ["--limits", limits] if limits else []
    options += ["--allow-reduced-isolation"] * allow_reduced_isolation + ["--allow-unsandboxed"] * allow_unsandboxed
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "quarterdeck.executor", *options])  # noqa: S606 no shell is wanted


def _settings(**given: Any) -> Any:
    from quarterdeck.doors.cli.configuration import settings

    try:
        return settings(**given)
    except Failure as failure:
        print(f"qd: {failure}", file=sys.stderr)
        raise typer.Exit(failure.exit) from None
