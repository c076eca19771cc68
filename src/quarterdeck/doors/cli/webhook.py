"""`qd webhook`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.plain import quote

if TYPE_CHECKING:
    from pydantic import JsonValue

group = typer.Typer(help="Webhooks of a project: who is told of its sessions.", no_args_is_help=True)

Project = Annotated[str, typer.Option("--project", "-p", help="The project's path or number.")]
Webhook = Annotated[int, typer.Argument(min=1, help="Its number in the list.")]
Delivery = Annotated[int, typer.Argument(min=1, help="Its number in the list of deliveries.")]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", metavar="TYPE", help="Tell it of this, like session.failed; again for more."),
]
Description = Annotated[str | None, typer.Option("--description", help="What it is for.")]


@command(group, "list")
async def list_(cli: Cli, project: Project) -> None:
    """List a project's webhooks."""
    async with cli.client() as client:
        answer = await client.get(_path(project))
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import WebhookView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    found = parse(list[WebhookView], answer)
    if not found:
        cli.say("No webhooks yet. Add one: qd webhook add URL -p PROJECT")
        return
    rows = [(str(one.id), _state(one), one.url, ", ".join(one.events)) for one in found]
    screen.console().print(screen.table(("number", "", "url", "events"), rows))


@command(group)
async def add(
    cli: Cli,
    url: Annotated[str, typer.Argument(help="Where to send to, https://…")],
    project: Project,
    events: Events = None,
    description: Description = None,
) -> None:
    """Add a webhook and print its secret, once."""
    body: dict[str, Any] = {"url": url, "description": description or ""}
    async with cli.client() as client:
        _secret(cli, await client.post(_path(project), body | ({"events": events} if events else {})))


@command(group)
async def show(cli: Cli, webhook: Webhook, project: Project) -> None:
    """Show a webhook, without its secret."""
    async with cli.client() as client:
        _print(cli, await client.get(_path(project, webhook)))


@command(group)
async def edit(
    cli: Cli,
    webhook: Webhook,
    project: Project,
    url: Annotated[str | None, typer.Option("--url", help="Another address.")] = None,
    events: Events = None,
    description: Description = None,
) -> None:
    """Change a webhook; what is not said stays."""
    given: dict[str, Any] = {"url": url, "events": events, "description": description}
    async with cli.client() as client:
        body = {name: value for name, value in given.items() if value is not None}
        _print(cli, await client.patch(_path(project, webhook), body))


@command(group)
async def enable(cli: Cli, webhook: Webhook, project: Project) -> None:
    """Turn a webhook on, also one that is disabled by itself."""
    async with cli.client() as client:
        _print(cli, await client.patch(_path(project, webhook), {"enabled": True}))


@command(group)
async def disable(cli: Cli, webhook: Webhook, project: Project) -> None:
    """Turn a webhook off; what waits to be sent is given up."""
    async with cli.client() as client:
        _print(cli, await client.patch(_path(project, webhook), {"enabled": False}))


@command(group)
async def remove(cli: Cli, webhook: Webhook, project: Project) -> None:
    """Remove a webhook with its deliveries."""
    async with cli.client() as client:
        await client.delete(_path(project, webhook))
    cli.say(f"Webhook {webhook} was removed.")


@command(group)
async def rotate(
    cli: Cli,
    webhook: Webhook,
    project: Project,
    hours: Annotated[int, typer.Option("--hours", min=0, help="How long the old key signs, too; 0 ends it now.")] = 24,
) -> None:
    """Give a webhook another key and print it, once."""
    async with cli.client() as client:
        _secret(cli, await client.post(f"{_path(project, webhook)}/rotate", {"hours": hours}))


@command(group, "test")
async def attempt(cli: Cli, webhook: Webhook, project: Project) -> None:
    """Send a webhook something to try it."""
    async with cli.client() as client:
        answer = await client.post(f"{_path(project, webhook)}/test")
    if cli.json:
        cli.print(answer)
    else:
        cli.say(f"It is sent. What comes of it: qd webhook deliveries {webhook} -p {project}")


@command(group)
async def deliveries(cli: Cli, webhook: Webhook, project: Project) -> None:
    """List what was sent to a webhook lately, and what came of it."""
    async with cli.client() as client:
        answer = await client.get(f"{_path(project, webhook)}/deliveries")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import WebhookDeliveryRow
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    rows = [
        (
            str(one.id),
            f"{one.created_at:%Y-%m-%d %H:%M:%S}",
            one.type,
            f"#{one.session}" if one.session else "",
            one.status,
            _last(one.attempts),
        )
        for one in parse(list[WebhookDeliveryRow], answer)
    ]
    screen.console().print(screen.table(("number", "made", "type", "session", "", "last try"), rows))


@command(group)
async def redeliver(cli: Cli, webhook: Webhook, delivery: Delivery, project: Project) -> None:
    """Send a delivery again, under the same id."""
    async with cli.client() as client:
        answer = await client.post(f"{_path(project, webhook)}/deliveries/{delivery}/redeliver")
    if cli.json:
        cli.print(answer)
    else:
        cli.say(f"Delivery {delivery} is sent again.")


def _path(project: str, webhook: int | None = None) -> str:
    path = f"/projects/{quote(project)}/webhooks"
    return path if webhook is None else f"{path}/{webhook}"


def _state(one: Any) -> str:
    if not one.enabled:
        return "off"
    return "disabled" if one.disabled_until else "failing" if one.failing_since else "on"


def _last(attempts: Any) -> str:
    if not attempts:
        return ""
    text = attempts[-1].text.partition("\n")[0][:60]
    return f"{attempts[-1].status or ''} {text} ({len(attempts)})".strip()


def _secret(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import NewWebhook
    from quarterdeck.doors.cli.client import parse

    print(parse(NewWebhook, answer).secret)


def _print(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import WebhookView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    one = parse(WebhookView, answer)
    until = f"{one.disabled_until:%Y-%m-%d %H:%M}, because it took nothing for a day" if one.disabled_until else ""
    fields = [
        ("webhook", f"{one.id} ({_state(one)})"),
        ("url", one.url),
        ("for", one.description),
        ("events", ", ".join(one.events)),
        ("disabled until", until),
        ("failing since", f"{one.failing_since:%Y-%m-%d %H:%M}" if one.failing_since else ""),
        ("old key until", f"{one.old_key_until:%Y-%m-%d %H:%M}" if one.old_key_until else ""),
        ("added by", one.added_by),
    ]
    screen.console().print(screen.fields(fields))
