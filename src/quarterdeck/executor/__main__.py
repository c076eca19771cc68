"""`python -m quarterdeck.executor`: a runner as a process of its own."""

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
from pathlib import Path

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.session_limits import Limits
from quarterdeck.executor import landlock
from quarterdeck.executor.probe import probe
from quarterdeck.executor.runner import RunnerSettings, run
from quarterdeck.executor.watch import enforced

_PARENT_DEATH_SIGNAL = 1


def _settings(argv: list[str]) -> RunnerSettings:
    parser = argparse.ArgumentParser(
        prog="python -m quarterdeck.executor",
        description="A runner of Quarterdeck; with --probe alone it only says which sandbox this machine gives.",
    )
    parser.add_argument("--url", required=True, help="the server, for example https://quarterdeck.example.org")
    parser.add_argument("--token-file", required=True, help="a file with the runner's token; - reads it from the input")
    parser.add_argument("--home", required=True, type=Path, help="where workspaces and the journal are kept")
    parser.add_argument("--name", default=platform.node() or "runner", help="what people call it")
    parser.add_argument("--capacity", type=int, default=2, help="sessions and jobs worked on at the same time")
    parser.add_argument("--tag", action="append", default=[], help="what jobs may ask for; may be repeated")
    parser.add_argument("--extra-ro-path", action="append", default=[], type=Path, help="more that commands may read")
    parser.add_argument("--allow-unsandboxed", action="store_true", help="run commands even without any sandbox")
    parser.add_argument("--allow-reduced-isolation", action="store_true", help="make do with Landlock")
    parser.add_argument("--limits", default="", help="of each session and job, such as memory=4G,workspace=10G")
    parser.add_argument("--parent", type=int, help="the process with which this one has to end, its own parent")
    given = parser.parse_args(argv)
    if given.parent is not None:
        _die_with(given.parent)
    token = sys.stdin.readline() if given.token_file == "-" else Path(given.token_file).read_text(encoding="utf-8")  # noqa: S105
    if given.capacity < 1:
        parser.error("--capacity is at least 1")
    try:
        limits = Limits.parse(given.limits)
    except ValueError as error:
        parser.error(f"--limits: {error}")
    return RunnerSettings(
        url=given.url,
        token=token.strip(),
        name=given.name,
        home=given.home.absolute(),
        capacity=given.capacity,
        tags=tuple(given.tag),
        allow_unsandboxed=given.allow_unsandboxed,
        allow_reduced=given.allow_reduced_isolation,
        extra_ro_paths=tuple(given.extra_ro_path),
        limits=limits,
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
        asyncio.run(run(_settings(sys.argv[1:])))
    except (QuarterdeckError, OSError) as error:
        sys.exit(f"quarterdeck runner: {error}")


if __name__ == "__main__":
    main()
