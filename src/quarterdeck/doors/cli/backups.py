"""`qd backup` and `qd restore`: an administrator's acts on the machine itself, as `qd serve` is."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from quarterdeck.core.errors import ConflictError, NotFoundError, QuarterdeckError
from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.processes import Home

_Done = TypeVar("_Done")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app)(backup)
    command(app)(restore)


async def backup(
    cli: Cli,
    file: Annotated[Path, typer.Argument(help="The file to write; a new one.")],
    home: Home = None,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="With secrets.key, which opens the stored secrets.")
    ] = False,
) -> None:
    """Write all that the server has into one file; it may run meanwhile."""
    from quarterdeck.backup import take
    from quarterdeck.doors.cli.configuration import settings

    taken = await _done(take(settings(home=home), file, with_secrets=with_secrets))
    if cli.json:
        return cli.print(taken.model_dump(mode="json"))
    cli.say(f"{taken.file}: {taken.size:,} bytes, as of {taken.at:%Y-%m-%d %H:%M:%S} UTC")
    cli.say(f"The database and {taken.repositories} repositories{', with secrets.key' if taken.secrets else ''}.")
    if not taken.secrets:
        cli.say("secrets.key is not in it: keep a copy of that file elsewhere.")


async def restore(
    cli: Cli,
    file: Annotated[Path, typer.Argument(help="What `qd backup` wrote.")],
    home: Home = None,
) -> None:
    """Make an empty home and database into what a backup has."""
    from quarterdeck.backup import restore
    from quarterdeck.doors.cli.configuration import settings

    chosen = settings(home=home)
    restored = await _done(restore(chosen, file))
    if cli.json:
        return cli.print(restored.model_dump(mode="json", exclude={"head": {"tables"}}))
    head = restored.head
    cli.say(f"Restored what Quarterdeck {head.version} had at {head.at:%Y-%m-%d %H:%M:%S} UTC, to {chosen.home}.")
    cli.say(f"{restored.interrupted} sessions and jobs had an executor; they go on as after a crash.")
    if not restored.key:
        cli.say("secrets.key is not there: put your copy into the home, or set the stored keys again.")
    cli.say("Type: qd serve")


async def _done(work: Coroutine[Any, Any, _Done]) -> _Done:
    try:
        return await work
    except QuarterdeckError as error:
        match error:
            case ConflictError():
                status = Exit.CONFLICT
            case NotFoundError():
                status = Exit.NOT_FOUND
            case _:
                status = Exit.FAILED
        raise Failure(error.message, status) from None
