"""What all commands share: their global options, their way to the server, and how they end."""

import asyncio
import inspect
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, cast, get_type_hints

import typer

from quarterdeck.doors.cli.failure import Exit, Failure

if TYPE_CHECKING:
    from quarterdeck.doors.cli.client import Client

P = ParamSpec("P")

Server = Annotated[
    str | None, typer.Option("--server", metavar="URL", help="The server; by default the one started on this machine.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="A file with your token; by default the server's."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@dataclass(frozen=True)
class Options:
    """The global options; they may stand before or behind the command."""

    server: str | None = None
    token_file: Path | None = None
    json: bool = False


class Cli:
    """What a command is given first."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    def json(self) -> bool:
        """Whether to print JSON."""
        return self.options.json

    def client(self) -> "Client":
        """A client of the server; use it with `async with`."""
        from quarterdeck.doors.cli.client import Client, find

        return Client(find(self.options.server, self.options.token_file))

    def say(self, text: str) -> None:
        """A line for a person: on standard error where standard output is for programs."""
        print(text, file=sys.stderr if self.json else sys.stdout, flush=True)

    def print(self, value: object) -> None:
        """A value as JSON on one line, so that a command that prints several prints JSON lines."""
        import json

        print(json.dumps(value, ensure_ascii=False), flush=True)


Verb = Callable[Concatenate[Cli, P], Coroutine[Any, Any, None]]

_OPTIONS = (
    inspect.Parameter("server", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Server),
    inspect.Parameter("token_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=TokenFile),
    inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json),
)


def command(group: typer.Typer, name: str | None = None) -> Callable[[Verb[P]], Verb[P]]:
    """Makes a coroutine a command: the global options are added, the event loop starts here and nowhere else."""

    def register(function: Verb[P]) -> Verb[P]:
        def started(context: typer.Context, **given: Any) -> None:
            options = _merge(
                cast("Options | None", context.obj), given.pop("server"), given.pop("token_file"), given.pop("as_json")
            )
            _finish(cast("Any", function)(Cli(options), **given))

        own = list(inspect.signature(function).parameters.values())[1:]
        first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        parameters = [first, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), *_OPTIONS]
        hints = get_type_hints(function, include_extras=True)
        annotations = {p.name: hints.get(p.name, p.annotation) for p in parameters}
        signed = cast("Any", started)
        signed.__signature__ = inspect.Signature(parameters)
        signed.__annotations__ = annotations
        group.command(name or function.__name__, help=inspect.getdoc(function))(started)
        return function

    return register


def _merge(outer: Options | None, server: str | None, token_file: Path | None, json: bool) -> Options:
    before = outer or Options()
    return Options(server or before.server, token_file or before.token_file, json or before.json)


def _finish(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except Failure as failure:
        print(f"qd: {failure}", file=sys.stderr, flush=True)
        raise typer.Exit(failure.exit) from None
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has enough; writing the rest at exit would only complain again.
        sys.stderr.close()
        raise typer.Exit(Exit.OK) from None
