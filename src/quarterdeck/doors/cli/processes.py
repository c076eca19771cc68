"""`qd serve` and `qd worker`: the commands that become Quarterdeck's own processes."""

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


def serve(
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = None,
    public_url: Annotated[str | None, typer.Option("--public-url", help="The URL that links begin with.")] = None,
    home: Home = None,
    no_runner: Annotated[bool, typer.Option("--no-runner", help="Runners are elsewhere.")] = False,
    parent: Annotated[int | None, typer.Option("--parent", hidden=True, help="End with this process.")] = None,
) -> None:
    """Start the server: web, API, worker, database and a local runner."""
    from quarterdeck import server, supervisor

    if parent is not None:
        server.die_with(parent)
    raise typer.Exit(
        supervisor.serve(_settings(host=host, port=port, public_url=public_url, home=home), runner=not no_runner)
    )


def worker() -> None:
    """Start one more worker on the database of a server (DATABASE_URL)."""
    from quarterdeck import server

    raise typer.Exit(server.main(["worker"]))


def _settings(**given: Any) -> Any:
    from quarterdeck.doors.cli.configuration import settings

    try:
        return settings(**given)
    except Failure as failure:
        print(f"qd: {failure}", file=sys.stderr)
        raise typer.Exit(failure.exit) from None
