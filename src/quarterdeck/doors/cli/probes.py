"""The probes of `qd doctor`; each really tries what it speaks of."""

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict
from rich.text import Text

import quarterdeck
from quarterdeck.client.models import NetworkView
from quarterdeck.doors.cli import model_servers, screen
from quarterdeck.doors.cli.client import Client, Place, find, parse
from quarterdeck.doors.cli.command import Cli
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.network import groups, listed
from quarterdeck.doors.cli.plain import line

OLDEST_GIT = (2, 30)
LEAST_DISK = 1024**3
"""A gigabyte: less, and the next session may not have room."""
LEAST_FILES = 10_000
"""Room for names: a disk may be full of files with space left."""
OLD_BACKUP = timedelta(days=7)
PROBE_SECONDS = 30.0


@dataclass(frozen=True)
class Finding:
    """What a probe found, and what to do about it."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    remedy: str = ""


class _Runner(BaseModel):
    model_config = ConfigDict(extra="ignore")
    name: str
    isolation: str
    alive: bool
    sandbox: str = ""


class _Health(BaseModel):
    model_config = ConfigDict(extra="ignore")
    version: str
    database: str
    workers: int
    runners: tuple[_Runner, ...]
    models: tuple[str, ...]
    default_model: str | None


async def examine(cli: Cli) -> None:
    """Probes, prints, and raises Failure when a probe failed."""
    place = find(cli.options.server, cli.options.token_file)
    findings = [*await _server(cli, place)]
    local: list[Callable[[Place], Awaitable[Finding]]] = [_sandbox, _git, _disk]
    findings += [await probe(place) for probe in local]
    findings += _backup(place)
    findings += [Finding("model", "ok", server.detail, server.remedy) for server in await model_servers.find()]
    if cli.json:
        cli.print([asdict(finding) for finding in findings])
    else:
        _print(findings)
    failed = [finding.name for finding in findings if finding.state == "failed"]
    if failed:
        raise Failure(f"{len(failed)} of {len(findings)} probes failed: {', '.join(failed)}.", Exit.FAILED)


def _print(findings: list[Finding]) -> None:
    looks = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}
    out = screen.console()
    for finding in findings:
        glyph, style = looks[finding.state]
        out.print(Text.assemble((f"{glyph} ", style), (f"{finding.name:<10}", "bold"), " ", line(finding.detail, 400)))
        if finding.remedy:
            out.print(Text(f"             → {line(finding.remedy, 400)}", style=style))


async def _server(cli: Cli, place: Place) -> list[Finding]:
    try:
        async with cli.client() as client:
            health, network = await _health(client), await _network(client)
    except Failure as failure:
        if failure.exit is Exit.UNREACHABLE:
            return [Finding("server", "failed", str(failure), "Type: qd serve"), await _port(place)]
        remedy = "Use the token of this server: --token-file FILE, by default QUARTERDECK_HOME/token."
        return [Finding("server", "failed", str(failure), remedy)]
    fits = health.version == quarterdeck.__version__
    advice = "" if fits else f"This qd is {quarterdeck.__version__}; use the one of the server's version."
    return [
        Finding("server", "ok" if fits else "warning", f"version {health.version} at {place.url}", advice),
        Finding("database", "ok", health.database),
        _workers(health),
        *_runners(health),
        _models(health),
        *network,
    ]


async def _health(client: Client) -> _Health:
    return parse(_Health, await client.get("/health"))


def _workers(health: _Health) -> Finding:
    if health.workers:
        return Finding("workers", "ok", f"{health.workers} alive")
    return Finding("workers", "failed", "none is alive: no session goes on", "Type: qd worker, or restart qd serve")


def _runners(health: _Health) -> list[Finding]:
    alive = [runner for runner in health.runners if runner.alive]
    if not alive:
        return [
            Finding(
                "runners", "failed", "none is alive: no command and no pipeline job runs",
                "Restart qd serve and read its log, or start one: qd runner --url URL --token-file FILE --home DIR",
            )
        ]  # fmt: skip
    return [_isolation("runner", runner.isolation, f"{runner.name}: {runner.sandbox}") for runner in alive]


def _isolation(name: str, isolation: str, detail: str) -> Finding:
    remedy = "Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap) and allow user namespaces."
    words = f"{isolation} isolation ({detail.rstrip(': ')})"
    return Finding(name, "ok", words) if isolation == "full" else Finding(name, "warning", words, remedy)


def _models(health: _Health) -> Finding:
    if health.models:
        default = health.default_model or "none; name one with --model"
        return Finding("models", "ok", f"{', '.join(health.models)}; default: {default}")
    return Finding(
        "models", "warning", "no key is set; sessions work with the scripted model only, when it is asked for by name",
        "Type: qd model key set anthropic (or openai, google, …), or set ANTHROPIC_API_KEY where the server starts.",
    )  # fmt: skip


async def _network(client: Client) -> list[Finding]:
    """What a repository may ask for, and what each group stands for."""
    try:
        reach = parse(NetworkView, await client.get("/network"))
    except Failure:
        return []  # an older server, of which the version tells
    unknown = [word for word, hosts in sorted(reach.groups.items()) if not hosts]
    told = [Finding("network", "ok", f"an agent-config.yml may ask for {listed(reach.hosts)}")]
    told += [Finding("network", "ok", f"{word}: {hosts}") for word, hosts in groups(reach) if word not in unknown]
    if unknown:
        remedy = f"Say them: QUARTERDECK_NETWORK_GROUPS='{unknown[0]}=HOST,HOST'"
        told.append(Finding("network", "ok", f"no host is known for {', '.join(unknown)}", remedy))
    return told


async def _port(place: Place) -> Finding:
    """Only asked when no server answers: does something else sit on the port?"""
    parts = urlsplit(place.url)
    host, port = parts.hostname or "127.0.0.1", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((host, port), timeout=2):
            pass
    except OSError:
        return Finding("port", "ok", f"{host}:{port} is free")
    return Finding(
        "port", "failed", f"something that is no Quarterdeck server listens on {host}:{port}",
        "Stop it, or take another port: QUARTERDECK_PORT=7434 qd serve",
    )  # fmt: skip


async def _sandbox(_: Place) -> Finding:
    code, said = await _said(sys.executable, "-m", "quarterdeck.executor", "--probe")
    try:
        found: Any = json.loads(said)
        return _isolation("sandbox", str(found["isolation"]), str(found.get("detail", "")))
    except (ValueError, KeyError, TypeError):
        detail = line(said, 300) or f"the probe ended with status {code}"
        remedy = "Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap) and allow user namespaces."
        return Finding("sandbox", "failed", detail, remedy)


async def _git(_: Place) -> Finding:
    remedy = "Install git 2.30 or newer (Debian, Ubuntu: apt-get install git)."
    try:
        said = (await _said("git", "--version"))[1]
    except FileNotFoundError:
        return Finding("git", "failed", "git is not installed", remedy)
    match = re.search(r"(\d+)\.(\d+)", said)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_GIT:
        return Finding("git", "failed", line(said, 100), remedy)
    return Finding("git", "ok", line(said, 100))


async def _disk(place: Place) -> Finding:
    """Of the home, and of the database where that lies elsewhere."""
    folders = [place.home]
    with suppress(OSError):
        folders.append(Path((place.home / "postgres.path").read_text(encoding="utf-8").strip()))
    room = {folder: _room(folder) for folder in folders}
    words = ", ".join(f"{free / 1024**3:.1f} GB free in {folder}" for folder, (free, _) in room.items())
    if any(free < LEAST_DISK for free, _ in room.values()):
        return Finding("disk", "failed", words, "Free some space, or move QUARTERDECK_HOME to a larger disk.")
    if any(files is not None and files < LEAST_FILES for _, files in room.values()):
        return Finding("disk", "failed", f"{words}, but no room for more files", "Delete files that nobody needs.")
    return Finding("disk", "ok", words)


def _room(folder: Path) -> tuple[int, int | None]:
    """Bytes that are free, and files, where the file system counts them."""
    there = next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None


def _backup(place: Place) -> list[Finding]:
    from quarterdeck.backup import last

    if not os.path.isdir(place.home / "repositories"):  # no server's home, but that of one who uses it from afar
        return []
    remedy = "Type: qd backup FILE, and let cron do it each night."
    taken = last(place.home)
    if taken is None:
        return [Finding("backup", "warning", f"none was ever taken of {place.home}", remedy)]
    age = datetime.now(UTC) - taken.at
    old = f"{age.days} days" if age.days > 1 else f"{max(0, round(age / timedelta(hours=1)))} hours"
    words = f"the last one is {old} old: {taken.file}, {taken.size:,} bytes"
    words += ", with secrets.key" if taken.secrets else ", without secrets.key"
    if not taken.file.exists():
        words += "; the file is there no longer"
    return [Finding("backup", "warning", words, remedy) if age > OLD_BACKUP else Finding("backup", "ok", words)]


async def _said(*argv: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return -1, f"{argv[0]} didn't end within {PROBE_SECONDS:.0f} seconds"
    return process.returncode or 0, said.decode("utf-8", "replace").strip()
