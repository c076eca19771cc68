"""The options that say which sessions, for every command that takes many."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer

from quarterdeck.doors.cli.command import Cli

Query = dict[str, Any]
"""A filter as the API takes it; what is absent says nothing."""


def _options(
    project: Annotated[str | None, typer.Option("--project", "-p", help="The project's path or number.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only yours.")] = False,
    needs_me: Annotated[bool, typer.Option("--needs-me", help="Only those that wait for your answer.")] = False,
    kind: Annotated[str | None, typer.Option("--kind", help="chat, or flow for all others.")] = None,
    status: Annotated[str | None, typer.Option("--status")] = None,
    status_group: Annotated[str | None, typer.Option("--group", help="active, awaiting_input, completed, …")] = None,
    flow: Annotated[str | None, typer.Option("--flow", help="As fix_pipeline/v1, or a name alone.")] = None,
    initiator: Annotated[str | None, typer.Option("--initiator", help="A username.")] = None,
    origin: Annotated[str | None, typer.Option("--origin", help="api, cli, web, chat, …")] = None,
    model: Annotated[str | None, typer.Option("--model", help="As provider:model.")] = None,
    created_after: Annotated[str | None, typer.Option("--created-after", metavar="TIME", help="As 2026-01-31.")] = None,
    created_before: Annotated[str | None, typer.Option("--created-before", metavar="TIME")] = None,
    updated_after: Annotated[str | None, typer.Option("--updated-after", metavar="TIME")] = None,
    updated_before: Annotated[str | None, typer.Option("--updated-before", metavar="TIME")] = None,
    expiring: Annotated[int | None, typer.Option("--expiring", metavar="DAYS", min=0, help="Deleted by then.")] = None,
    held: Annotated[bool | None, typer.Option("--held/--not-held", help="Only those kept, or the others.")] = None,
    parent: Annotated[int | None, typer.Option("--parent", min=1, help="Those that this session started.")] = None,
    text: Annotated[str | None, typer.Option("--text", help="Words in title or goal, or a number.")] = None,
) -> None: ...


_PARAMETERS = inspect.signature(_options).parameters


def filtered(function: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """Gives a command the options in place of its parameter `wanted`, which it is passed as one Query."""

    def started(cli: Cli, **given: Any) -> Coroutine[Any, Any, None]:
        wanted = {name: _written(name, given.pop(name)) for name in _PARAMETERS}
        return function(
            cli, wanted={name: value for name, value in wanted.items() if value not in (None, False)}, **given
        )

    own = [one for name, one in inspect.signature(function).parameters.items() if name != "wanted"]
    options = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in _PARAMETERS.values()]
    first, *rest = (one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own)
    signed: Any = started
    signed.__signature__ = inspect.Signature(
        [first.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD), *rest[:1], *options, *rest[1:]]
    )
    signed.__name__, signed.__doc__, signed.__annotations__ = function.__name__, function.__doc__, {}
    return started


def _written(name: str, value: Any) -> Any:
    """A day is its beginning, in UTC; `--not-held` says something, as no other false does."""
    if isinstance(value, str) and name.endswith(("_after", "_before")) and len(value) == len("2026-01-31"):
        return f"{value}T00:00:00Z"
    return "false" if name == "held" and value is False else value
