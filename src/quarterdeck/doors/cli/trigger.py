"""`qd trigger`."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.plain import quote

if TYPE_CHECKING:
    from pydantic import JsonValue

group = typer.Typer(help="Triggers, which start sessions by themselves.", no_args_is_help=True)

Project = Annotated[str, typer.Option("--project", "-p", help="The project's path or number.")]
Number = Annotated[int, typer.Argument(help="The trigger's number.")]
Delivery = Annotated[int, typer.Argument(help="The delivery's number.")]
Account = Annotated[str, typer.Option("--account", "-a", help="The service account that acts.")]
Flow = Annotated[str, typer.Option("--flow", "-f", help="The flow that is started.")]
On = Annotated[
    list[str],
    typer.Option("--on", metavar="EVENT[:ACTION,…]", help="mention, assign, pipeline_hooks:failed and so on."),
]
Model = Annotated[str | None, typer.Option("--model", "-m", help="The flow's or the server's own if absent.")]
Goal = Annotated[str, typer.Option("--goal", "-g", help="What it is told; what the event tells if absent.")]
Description = Annotated[str, typer.Option("--description", "-d")]
Filter = Annotated[str, typer.Option("--filter", help="JSON, or @FILE: conditions on the event's payload.")]
Cron = Annotated[str, typer.Option("--cron", help="Of a schedule: `30 6 * * 1-5`; it needs no --on.")]
Timezone = Annotated[str, typer.Option("--timezone", help="In which the schedule is meant.")]


@command(group, "list")
async def list_(cli: Cli, project: Project) -> None:
    """List triggers."""
    async with cli.client() as client:
        answer = await client.get(_path(project))
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import TriggerView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    rows = [
        (str(one.id), "on" if one.enabled else "off", _events(one.events), one.flow, f"@{one.account}", one.description)
        for one in parse(list[TriggerView], answer)
    ]
    if rows:
        screen.console().print(screen.table(("#", "", "waits for", "flow", "as", "description"), rows))
    else:
        cli.say("No triggers yet. Make a service account, then a trigger: qd trigger account --help")


@command(group)
async def add(
    cli: Cli,
    project: Project,
    account: Account,
    flow: Flow,
    on: On = [],  # noqa: B006 typer reads the default and changes none
    model: Model = None,
    goal: Goal = "",
    description: Description = "",
    filter_: Filter = "",
    cron: Cron = "",
    timezone: Timezone = "UTC",
) -> None:
    """Create a trigger."""
    body = _body(account, flow, on, model, goal, description, filter_, cron, timezone)
    async with cli.client() as client:
        _print_made(cli, await client.post(_path(project), body))


@command(group)
async def edit(
    cli: Cli,
    number: Number,
    project: Project,
    account: Annotated[str | None, typer.Option("--account", "-a")] = None,
    flow: Annotated[str | None, typer.Option("--flow", "-f")] = None,
    on: On = [],  # noqa: B006 as above
    model: Model = None,
    goal: Annotated[str | None, typer.Option("--goal", "-g")] = None,
    description: Annotated[str | None, typer.Option("--description", "-d")] = None,
    filter_: Annotated[str | None, typer.Option("--filter", help="JSON or @FILE; empty for none.")] = None,
    cron: Annotated[str | None, typer.Option("--cron")] = None,
    timezone: Annotated[str | None, typer.Option("--timezone")] = None,
) -> None:
    """Change a trigger; what is not given stays as it is."""
    path = f"{_path(project)}/{number}"
    async with cli.client() as client:
        before: Any = await client.get(path)
        given = {
            "account": account, "flow": flow, "model": model, "goal": goal, "description": description, "cron": cron,
            "filter": None if filter_ is None else _text(filter_), "timezone": timezone,
            "events": _wanted(on, cron or "") if on or cron else None,
        }  # fmt: skip
        kept = {name: before[name] if value is None else value for name, value in given.items()}
        body = {**kept, "timezone": kept["timezone"] or "UTC", "enabled": before["enabled"]}
        _print_made(cli, await client.put(path, body))


@command(group)
async def show(cli: Cli, number: Number, project: Project) -> None:
    """Show a trigger, with the next five runs of its schedule."""
    async with cli.client() as client:
        _print(cli, await client.get(f"{_path(project)}/{number}"))


@command(group)
async def enable(cli: Cli, number: Number, project: Project) -> None:
    """Let a trigger work again."""
    async with cli.client() as client:
        _print(cli, await client.patch(f"{_path(project)}/{number}", {"enabled": True}))


@command(group)
async def disable(cli: Cli, number: Number, project: Project) -> None:
    """Let a trigger start nothing for now."""
    async with cli.client() as client:
        _print(cli, await client.patch(f"{_path(project)}/{number}", {"enabled": False}))


@command(group)
async def delete(cli: Cli, number: Number, project: Project) -> None:
    """Delete a trigger with its deliveries; its sessions stay."""
    async with cli.client() as client:
        await client.delete(f"{_path(project)}/{number}")
    cli.say(f"Trigger {number} was deleted.")


@command(group)
async def secret(cli: Cli, number: Number, project: Project) -> None:
    """Renew the secret of a trigger's webhook; the one of before opens nothing any more."""
    async with cli.client() as client:
        _print_made(cli, await client.post(f"{_path(project)}/{number}/secret"))


@command(group)
async def fire(
    cli: Cli,
    number: Number,
    project: Project,
    payload: Annotated[str, typer.Option("--payload", help="A JSON object, or @FILE.")] = "{}",
) -> None:
    """Fire a trigger by hand, in your name, to see what comes of it."""
    async with cli.client() as client:
        answer = await client.post(f"{_path(project)}/{number}/fire", {"payload": _json(_text(payload))})
    _print_delivery(cli, answer)


@command(group)
async def deliveries(
    cli: Cli,
    project: Project,
    trigger: Annotated[int | None, typer.Option("--trigger", help="Only of this trigger.")] = None,
) -> None:
    """List the firings of a project's triggers, newest first."""
    async with cli.client() as client:
        answer = await client.get(_path(project, "deliveries"), **({"trigger": trigger} if trigger else {}))
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import DeliveryView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    rows = [
        (
            str(one.id), screen.ago(one.created_at), f"{one.event} {one.action}".strip(), one.by, one.status,
            f"#{one.session_id}" if one.session_id else one.reason,
        )
        for one in parse(list[DeliveryView], answer)
    ]  # fmt: skip
    if rows:
        screen.console().print(screen.table(("#", "at", "event", "by", "", "session or reason"), rows))
    else:
        cli.say("No trigger of this project has fired yet.")


@command(group)
async def delivery(cli: Cli, number: Delivery, project: Project) -> None:
    """Show a delivery with its payload."""
    async with cli.client() as client:
        answer = await client.get(f"{_path(project, 'deliveries')}/{number}")
    _print_delivery(cli, answer)


@command(group)
async def again(cli: Cli, number: Delivery, project: Project) -> None:
    """Fire a delivery again, in your name, with the same payload."""
    async with cli.client() as client:
        answer = await client.post(f"{_path(project, 'deliveries')}/{number}/again")
    _print_delivery(cli, answer)


@command(group)
async def account(
    cli: Cli,
    project: Project,
    username: Annotated[str | None, typer.Argument(help="Make one of that name; without it they are listed.")] = None,
    name: Annotated[str, typer.Option("--name", help="What people call it.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Remove it instead; what it wrote stays.")] = False,
) -> None:
    """List a project's service accounts, make one, or remove one."""
    path = _path(project, "service_accounts")
    async with cli.client() as client:
        if username is not None and remove:
            await client.delete(f"{path}/{quote(username)}")
        elif username is not None:
            await client.post(path, {"username": username, "name": name})
        answer: Any = await client.get(path)
    if cli.json:
        cli.print(answer)
    else:
        cli.say(" ".join(f"@{one['username']}" for one in answer) or "This project has no service account.")


def _body(
    account: str, flow: str, on: list[str], model: str | None, goal: str, description: str, filter_: str, cron: str,
    timezone: str,
) -> dict[str, Any]:  # fmt: skip
    return {
        "account": account, "flow": flow, "model": model, "goal": goal, "description": description,
        "filter": _text(filter_), "cron": cron, "timezone": timezone, "events": _wanted(on, cron),
    }  # fmt: skip


def _wanted(on: list[str], cron: str) -> dict[str, list[str]]:
    """`pipeline_hooks:failed,canceled` as the API has it."""
    found = {one.partition(":")[0]: [part for part in one.partition(":")[2].split(",") if part] for one in on}
    if cron:
        found.setdefault("schedule", [])
    if not found:
        raise Failure("Say what it waits for: --on mention, --on pipeline_hooks:failed, or --cron.", Exit.USAGE)
    return found


def _text(given: str) -> str:
    if not given.startswith("@"):
        return given
    try:
        return sys.stdin.read() if given == "@-" else Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{given[1:]} can't be read: {error}.", Exit.USAGE) from None


def _json(text: str) -> "JsonValue":
    import json

    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"The payload is no JSON: {error}.", Exit.USAGE) from None


def _path(project: str, what: str = "triggers") -> str:
    return f"/projects/{quote(project)}/{what}"


def _events(events: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{name}:{'|'.join(actions)}" if actions else name for name, actions in events.items())


def _print_made(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import MadeTrigger
    from quarterdeck.doors.cli.client import parse

    made = parse(MadeTrigger, answer)
    _print(cli, made.trigger.model_dump(mode="json"))
    if made.secret:
        cli.say(f"The secret of its webhook, shown this once: {made.secret}")


def _print(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import TriggerView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    one = parse(TriggerView, answer)
    fields = [
        ("trigger", f"{one.id} ({'on' if one.enabled else 'off'})"),
        ("description", one.description),
        ("waits for", _events(one.events)),
        ("filter", one.filter),
        ("flow", one.flow),
        ("model", one.model or ""),
        ("goal", one.goal),
        ("acts as", f"@{one.account}"),
        ("schedule", f"{one.cron} {one.timezone}".strip()),
        ("next runs", "\n".join(f"{at:%a %Y-%m-%d %H:%M} {one.timezone}" for at in one.next_runs)),
        ("webhook", one.hook_url),
        ("what nobody did is of", one.owner),
    ]
    screen.console().print(screen.fields([(name, value) for name, value in fields if value]))


def _print_delivery(cli: Cli, answer: "JsonValue") -> None:
    if cli.json:
        cli.print(answer)
        return
    import json

    from quarterdeck.client.models import DeliveryView
    from quarterdeck.doors.cli import screen

    one = DeliveryView.model_validate(answer)
    payload = answer.get("payload") if isinstance(answer, dict) else None
    fields = [
        ("delivery", f"{one.id} of trigger {one.trigger_id}: {one.status}"),
        ("event", f"{one.event} {one.action}".strip()),
        ("in the name of", one.by),
        ("session", f"#{one.session_id}" if one.session_id else ""),
        ("reason", one.reason),
        ("again of", str(one.again_of or "")),
        ("payload", json.dumps(payload, indent=2, ensure_ascii=False) if payload else ""),
    ]
    screen.console().print(screen.fields([(name, value) for name, value in fields if value]))
