"""`qd todo`."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure

if TYPE_CHECKING:
    from pydantic import JsonValue

group = typer.Typer(help="What waits for you, and what you are told of.", no_args_is_help=True)


@command(group, "list")
async def list_(
    cli: Cli, done: Annotated[bool, typer.Option("--done", help="What is done, in place of what is open.")] = False
) -> None:
    """List your to-dos."""
    async with cli.client() as client:
        answer = await client.get("/to_dos", done=done)
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import ToDosView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    found = parse(ToDosView, answer).items
    if not found:
        cli.say("Nothing is done yet." if done else "Nothing waits for you.")
        return
    rows = [
        (str(one.id), one.kind.replace("_", " "), f"#{one.session}" if one.session else "", one.title, one.url)
        for one in found
    ]
    screen.console().print(screen.table(("number", "", "session", "title", "where"), rows))


@command(group)
async def done(
    cli: Cli,
    to_do: Annotated[int | None, typer.Argument(min=1, help="Its number in the list.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
) -> None:
    """Mark a to-do as done, or all."""
    if (to_do is None) != every:
        raise Failure("Give a number, or --all.", Exit.USAGE)
    async with cli.client() as client:
        answer = await client.post("/to_dos/done" if every else f"/to_dos/{to_do}/done")
    if cli.json:
        cli.print(answer)
    else:
        cli.say("All are done." if every else f"To-do {to_do} is done.")


@command(group)
async def rules(
    cli: Cli,
    flows: Annotated[
        str | None, typer.Option("--flows", help="Kinds for sessions of flows, with commas; none for none.")
    ] = None,
    chats: Annotated[str | None, typer.Option("--chats", help="The same for chats and sessions in editors.")] = None,
    email: Annotated[bool | None, typer.Option("--email/--no-email", help="Send messages to your address.")] = None,
    slack: Annotated[
        bool | None,
        typer.Option("--slack/--no-slack", help="Send them to an incoming webhook; its address is asked for."),
    ] = None,
) -> None:
    """Show what you are told of, and change it."""
    body: dict[str, Any] = {} if email is None else {"email": email}
    if slack is not None:
        body["slack_url"] = _address() if slack else ""
    async with cli.client() as client:
        answer: Any = await client.get("/me/notifications")
        if flows is not None or chats is not None:
            given = {"flows": flows, "chats": chats}
            body["rules"] = answer["rules"] | {name: _kinds(text) for name, text in given.items() if text is not None}
        _print(cli, await client.patch("/me/notifications", body) if body else answer)


@command(group, "test")
async def attempt(cli: Cli) -> None:
    """Send a message by each of your channels now."""
    async with cli.client() as client:
        answer = await client.post("/me/notifications/test")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import Tried
    from quarterdeck.doors.cli.client import parse

    tried = parse(Tried, answer)
    for name, said in (("Slack", tried.slack), ("E-mail", tried.email)):
        if said:
            cli.say(f"{name}: {said}")


def _kinds(text: str) -> list[str]:
    return [part for one in text.split(",") if (part := one.strip().replace(" ", "_")) not in ("", "none")]


def _address() -> str:
    """What never stands in a command line: asked for without echo, or the next line of the standard input."""
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass("Slack address: ", stream=sys.stderr)
    value = sys.stdin.readline()
    if not value:
        raise Failure("The address is read from the standard input, where there is none.", Exit.USAGE)
    return value.strip()


def _print(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import NoticeRulesView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    one = parse(NoticeRulesView, answer)
    words = {name: ", ".join(kinds).replace("_", " ") for name, kinds in vars(one.rules).items()}
    address = one.address or "you have no address here"
    fields = [
        ("flows", words["flows"] or "nothing"),
        ("chats", words["chats"] or "nothing"),
        ("Slack", one.slack or "off"),
        ("e-mail", address if one.email else "off" if one.mails else "off (this server sends none)"),
        ("last fault", one.last_fault),
    ]
    screen.console().print(screen.fields(fields))
