"""`python -m quarterdeck.executor`: a runner as a process of its own; with `register` its registration alone."""

import argparse
import asyncio
import json
import os
import platform
import shlex
import signal
import sys
from pathlib import Path

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.session_limits import Limits
from quarterdeck.executor import landlock
from quarterdeck.executor.client import guard
from quarterdeck.executor.home import Home
from quarterdeck.executor.probe import probe
from quarterdeck.executor.registration import Registration, register, registration
from quarterdeck.executor.runner import RunnerSettings, run
from quarterdeck.executor.watch import enforced

_PARENT_DEATH_SIGNAL = 1
_CAPACITY = 2


def _settings(argv: list[str]) -> RunnerSettings:
    parser = argparse.ArgumentParser(
        prog="python -m quarterdeck.executor",
        description="A runner of Quarterdeck; with --probe alone it only says which sandbox this machine gives.",
    )
    parser.add_argument("--url", help="the server, for example https://quarterdeck.example.org")
    parser.add_argument("--token-file", help="a file with the runner's token; - reads it from the input")
    _shared(parser)
    parser.add_argument("--extra-ro-path", action="append", default=[], type=Path, help="more that commands may read")
    parser.add_argument("--allow-unsandboxed", action="store_true", help="run commands even without any sandbox")
    parser.add_argument("--allow-reduced-isolation", action="store_true", help="make do with Landlock")
    parser.add_argument("--limits", default="", help="of each session and job, such as memory=4G,workspace=10G")
    parser.add_argument("--parent", type=int, help="the process with which this one has to end, its own parent")
    given = parser.parse_args(argv)
    if given.parent is not None:
        _die_with(given.parent)
    if (given.url is None) != (given.token_file is None):
        parser.error("--url and --token-file belong together; a registered runner needs neither")
    known = _known(given)
    try:
        limits = Limits.parse(given.limits)
    except ValueError as error:
        parser.error(f"--limits: {error}")
    return RunnerSettings(
        url=known.url,
        token=known.token,
        name=known.name,
        home=given.home.absolute(),
        capacity=given.capacity or known.capacity,
        tags=known.tags,
        allow_plain_http=given.allow_plain_http or known.allow_plain_http,
        allow_unsandboxed=given.allow_unsandboxed,
        allow_reduced=given.allow_reduced_isolation,
        extra_ro_paths=tuple(given.extra_ro_path),
        limits=limits,
    )


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", required=True, type=Path, help="where workspaces and the journal are kept")
    parser.add_argument("--name", help="what people call it; by default the name of this machine")
    parser.add_argument("--capacity", type=_positive, help="sessions and jobs worked on at the same time; 2 by default")
    parser.add_argument("--tag", action="append", help="what jobs may ask for; may be repeated")
    parser.add_argument("--allow-plain-http", action="store_true", help="send the token where others can read it")


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("it is at least 1")
    return int(text)


def _known(given: argparse.Namespace) -> Registration:
    """What a runner is by its registration, or by the command line alone."""
    if given.url is None:
        return registration(Home(given.home.absolute()))
    return Registration(
        url=given.url, token=_secret(given.token_file), name=_name(given), tags=_tags(given) or (), capacity=_CAPACITY
    )


def _name(given: argparse.Namespace) -> str:
    return given.name or platform.node() or "runner"


def _tags(given: argparse.Namespace) -> tuple[str, ...] | None:
    return None if given.tag is None else tuple(given.tag)


def _secret(file: str) -> str:
    return (sys.stdin.readline() if file == "-" else Path(file).read_text(encoding="utf-8")).strip()


async def _register(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m quarterdeck.executor register", description="Makes this home that of a runner of the server."
    )
    parser.add_argument("--url", required=True, help="the server, for example https://quarterdeck.example.org")
    parser.add_argument("--token-file", required=True, help="a file with the registration token; - for the input")
    _shared(parser)
    given = parser.parse_args(argv)
    guard(given.url, allowed=given.allow_plain_http)
    made = await register(
        Home(given.home.absolute()),
        given.url,
        _secret(given.token_file),
        name=_name(given),
        tags=_tags(given),
        capacity=given.capacity or _CAPACITY,
        plain=given.allow_plain_http,
    )
    scope = f"the project {made.project}" if made.project else "all projects"
    sys.stdout.write(
        f"Registered {made.name} for {scope}, tags: {', '.join(made.tags) or 'none'}.\n"
        f"Start it: qd runner start --home {shlex.quote(str(given.home))}\n"
    )


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; the journal makes that as good as any other end."""
    landlock.libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("quarterdeck runner: the process that started this one is gone.")


async def _probe() -> None:
    """Say as JSON which walls this machine gives, allowed or not."""
    found = await probe(allow_reduced=True, allow_unsandboxed=True)
    detail = f"{found.reason}; {enforced(Limits())}"
    sys.stdout.write(json.dumps({"isolation": found.isolation, "detail": detail}) + "\n")


def main() -> None:
    """Run until SIGTERM; an error that ends the runner is one sentence and exit code 1."""
    try:
        if sys.argv[1:] == ["--probe"]:
            return asyncio.run(_probe())
        if sys.argv[1:2] == ["register"]:
            return asyncio.run(_register(sys.argv[2:]))
        asyncio.run(run(_settings(sys.argv[1:])))
    except (QuarterdeckError, OSError) as error:
        sys.exit(f"quarterdeck runner: {error}")


if __name__ == "__main__":
    main()
