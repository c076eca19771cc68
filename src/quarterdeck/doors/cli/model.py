"""`qd model`."""

from typing import TYPE_CHECKING, Annotated

import typer

from quarterdeck.doors.cli import model_key
from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure

if TYPE_CHECKING:
    from quarterdeck.client.models import RulesView

group = typer.Typer(help="Models: which can be asked, and which is asked where.", no_args_is_help=True)
group.add_typer(model_key.group, name="key")

Project = Annotated[str | None, typer.Option("--project", help="A project's rule; by default the instance's.")]
Flow = Annotated[str, typer.Option("--flow", help="A flow's rule, by its name without version.")]


@command(group, "list")
async def list_(cli: Cli) -> None:
    """List the providers that can be asked, and the rules of which model is."""
    async with cli.client() as client:
        answer = await client.get("/models")
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import ModelsView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    models = parse(ModelsView, answer)
    out = screen.console()
    out.print(screen.table(("provider", "key from"), [(one.provider, one.source or "-") for one in models.providers]))
    rows = [row for rule in models.rules for row in _rows(rule)]
    rows.append(("where no rule says", "default", models.default or "none: every session has to name a model"))
    out.print()
    out.print(screen.table(("where", "rule", "models"), rows))


def _rows(rule: "RulesView") -> list[tuple[str, str, str]]:
    scope = " in ".join(filter(None, (rule.flow and f"flow {rule.flow}", rule.project)))
    where = scope or "instance"
    found = [(where, "default", rule.default)] if rule.default else []
    if rule.allowed is not None:
        found.append((where, "allowed", ", ".join(rule.allowed) or "none"))
    found += [(where, f"tag {tag}", name) for tag, name in rule.tags.items()]
    found += [(where, f"when {name} can't answer", ", ".join(chain)) for name, chain in rule.fallbacks.items()]
    return found


@command(group)
async def default(
    cli: Cli,
    model: Annotated[str | None, typer.Argument(help="provider:model; none takes the rule away.")] = None,
    project: Project = None,
    flow: Flow = "",
) -> None:
    """Say which model a session uses that names none."""
    await _change(cli, project, flow, {"default": model})


@command(group)
async def allow(
    cli: Cli,
    models: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL...", help="provider:model, with * for any characters.")
    ] = None,
    project: Project = None,
    everything: Annotated[bool, typer.Option("--all", help="Take the rule away: all models are allowed.")] = False,
) -> None:
    """Say which models may be asked; a project can only narrow what the instance allows."""
    if bool(models) is everything:
        raise Failure("Name the models that are allowed, or --all.", Exit.USAGE)
    await _change(cli, project, "", {"allowed": models or None})


@command(group)
async def fallback(
    cli: Cli,
    model: Annotated[str, typer.Argument(help="provider:model")],
    others: Annotated[
        list[str] | None, typer.Argument(metavar="[OTHER]...", help="In their order; none takes the rule away.")
    ] = None,
) -> None:
    """Say which models are asked in place of one that can't answer."""
    await _change(cli, None, "", {"fallbacks": {model: others or []}})


@command(group)
async def tag(
    cli: Cli,
    name: Annotated[str, typer.Argument(metavar="TAG", help="As a component's model_tags have it.")],
    model: Annotated[str | None, typer.Argument(help="provider:model; none takes the rule away.")] = None,
    project: Project = None,
    flow: Flow = "",
) -> None:
    """Say which model the components of a tag use, when the session names none."""
    await _change(cli, project, flow, {"tags": {name: model}})


async def _change(cli: Cli, project: str | None, flow: str, change: dict[str, object]) -> None:
    async with cli.client() as client:
        answer = await client.patch("/models/rules", {"project": project, "flow": flow, **change})
    if cli.json:
        cli.print(answer)
        return
    from quarterdeck.client.models import RulesView
    from quarterdeck.doors.cli import screen
    from quarterdeck.doors.cli.client import parse

    rows = _rows(parse(RulesView, answer))
    if rows:
        screen.console().print(screen.table(("where", "rule", "models"), rows))
    else:
        cli.say("No rule is left there.")
