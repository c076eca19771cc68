"""`qd session list` and `qd session bulk`: find sessions, watch a list, and do one thing to many."""

from typing import TYPE_CHECKING, Annotated

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.session_filter import Query, filtered

if TYPE_CHECKING:
    from quarterdeck.doors.cli.client import Client

AT_ONCE = 100
"""What one request does."""


def register(group: typer.Typer) -> None:
    """Adds the commands."""
    command(group, "list")(filtered(list_))
    command(group)(filtered(bulk))


async def list_(
    cli: Cli,
    wanted: Query,
    sort: Annotated[str | None, typer.Option("--sort", help="updated, created, expires, cost or status.")] = None,
    order: Annotated[str | None, typer.Option("--order", help="asc or desc.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Another page; see the end of a list.")] = None,
    last: Annotated[bool, typer.Option("--last", help="The page at the end.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100)] = 20,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Then show what changes, until Ctrl-C.")] = False,
) -> None:
    """List sessions, newest activity first."""
    from quarterdeck.doors.cli import session_list_pages as pages

    asked = {**wanted, "sort": sort, "order": order, "cursor": cursor, "limit": limit}
    async with cli.client() as client:
        if watch:
            if last:
                raise Failure("--last and --watch don't go together; take --order.", Exit.USAGE)
            await pages.watch(cli, client, asked)
            return
        answer = await client.get("/sessions", last=last, **asked)
        if cli.json:
            cli.print(answer)
            return
        pages.print_list(answer)
        pages.print_counts(await client.get("/sessions/counts", project=wanted.get("project")))


async def bulk(
    cli: Cli,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="cancel, delete, hold or release.")],
    wanted: Query,
    reason: Annotated[str, typer.Option("--reason")] = "",
    preview: Annotated[bool, typer.Option("--preview", help="Only show what it would be done to.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Cancel, delete, hold or release all sessions that fit the filters; shows them and asks before."""
    from quarterdeck.doors.cli import session_list_pages as pages

    if not wanted:
        raise Failure("Say which sessions: at least one filter, such as --project PROJECT or --mine.", Exit.USAGE)
    order = {"action": action, "filter": wanted}
    async with cli.client() as client:
        ids = pages.print_preview(cli, action, await client.post("/sessions/bulk/preview", order), alone=preview)
        if preview or not ids:
            return
        if not yes and not typer.confirm(f"{action.capitalize()} {pages.many(len(ids))}?", err=True):
            raise Failure("Nothing was done.", Exit.FAILED)
        await _act(cli, client, {**order, "reason": reason}, ids)


async def _act(cli: Cli, client: "Client", order: Query, ids: list[int]) -> None:
    """As many at a time as one request takes; what is refused is told, and the rest goes on."""
    from quarterdeck.doors.cli import session_list_pages as pages

    done = 0
    for at in range(0, len(ids), AT_ONCE):
        answer = await client.post("/sessions/bulk", {**order, "ids": ids[at : at + AT_ONCE]})
        done += pages.print_results(cli, answer)
    if not cli.json:
        cli.say(f"Done: {pages.many(done)}.")
    if done < len(ids):
        raise Failure(f"{len(ids) - done} of {len(ids)} were refused.", Exit.FAILED)
