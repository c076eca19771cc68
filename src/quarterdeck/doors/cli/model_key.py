"""`qd model key`: keys come from a prompt that shows nothing, or from standard input, never from an argument."""

import sys
from typing import Annotated
from urllib.parse import quote

import typer

from quarterdeck.doors.cli.command import Cli, command

group = typer.Typer(help="Keys of models' providers, stored encrypted by the server.", no_args_is_help=True)

Provider = Annotated[str, typer.Argument(help="anthropic, openai, google, mistral, …")]


@command(group, "set")
async def set_(
    cli: Cli,
    provider: Provider,
    base_url: Annotated[str | None, typer.Option("--base-url", help="Another address than the provider's own.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="What to try it with; by default a small model.")] = None,
    no_test: Annotated[bool, typer.Option("--no-test", help="Store it without asking a short question first.")] = False,
) -> None:
    """Store a key for a provider's models; it is asked for, or read from standard input."""
    import httpx

    body = {"key": _read(provider), "base_url": base_url, "model": model, "test": not no_test}
    async with cli.client() as client:
        place = f"/models/keys/{quote(provider, safe='')}"
        answer = await client.put(place, body, timeout=httpx.Timeout(90, connect=5))
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import KeyView
    from quarterdeck.doors.cli.client import parse

    key = parse(KeyView, answer)
    tried = f"{key.tested_with} answered with it" if key.tested_with else "it was not tried"
    cli.say(f"The key for {key.provider} is stored; {tried}.{f' {key.problem}' if key.problem else ''}")


@command(group, "list")
async def list_(cli: Cli) -> None:
    """List the keys that there are, without showing any."""
    async with cli.client() as client:
        answer = await client.get("/models/keys")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import KeyView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    keys = parse(list[KeyView], answer)
    if not keys:
        cli.say("No key is set. Store one: qd model key set PROVIDER")
        return
    rows = [
        (
            one.provider,
            one.source,
            one.base_url or "",
            f"{one.set_at:%Y-%m-%d %H:%M} UTC by {one.set_by}" if one.set_at else "",
            one.tested_with,
            one.problem,
        )
        for one in keys
    ]
    screen.console().print(screen.table(("provider", "from", "base URL", "stored", "tried with", ""), rows))


@command(group)
async def test(cli: Cli, provider: Provider) -> None:
    """Ask one short question with a stored key."""
    import httpx

    async with cli.client() as client:
        place = f"/models/keys/{quote(provider, safe='')}/test"
        answer = await client.post(place, timeout=httpx.Timeout(90, connect=5))
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import KeyView
    from quarterdeck.doors.cli.client import parse

    cli.say(f"{parse(KeyView, answer).tested_with} answered.")


@command(group)
async def delete(cli: Cli, provider: Provider) -> None:
    """Delete a stored key."""
    async with cli.client() as client:
        await client.delete(f"/models/keys/{quote(provider, safe='')}")
    cli.say(f"The key for {provider} is deleted.")


def _read(provider: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    import getpass

    return getpass.getpass(f"Key for {provider} (not shown): ").strip()
