"""The package registries that pip, npm and apt of this machine use, as the tools themselves say it."""

import asyncio
import shutil
import sys
from ast import literal_eval
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from math import inf
from time import monotonic
from urllib.parse import urlsplit

import structlog

from quarterdeck.core.network import Groups, normal_host

_log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 10
AGAIN_SECONDS = 60
SAID_BYTES = 256 * 1024
_PORTS = {"http": 80, "https": 443}
_PIP = """
from pip._internal.models.index import PyPI
print(PyPI.simple_url, PyPI.url, "https://" + PyPI.file_storage_domain)
"""
"""pip has no command that tells its own index and the host that this keeps files on; they are constants within it."""
_PLACES = (":env:", "install", "global")
"""Where a value of pip's configuration may come from, the strongest first."""


class Registries:
    """Asked when somebody first wants to know; what they said then holds as long as the process lives."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._found: Groups = {}
        self._holds = 0.0
        """Until when that is taken for true: for good, unless a tool took too long."""
        self._late = False
        self._asking = asyncio.Lock()

    async def found(self) -> Groups:
        """The hosts of `pypi`, `npm` and `apt`; none of a tool that isn't there or doesn't say it."""
        async with self._asking:
            if self.told() is None:
                self._late = False
                pypi, npm, apt = await asyncio.gather(self._pypi(), self._npm(), self._apt())
                self._found = {"pypi": hosts_of(pypi), "npm": hosts_of(npm), "apt": hosts_of(apt)}
                self._holds = monotonic() + AGAIN_SECONDS if self._late else inf
            return self._found

    def told(self) -> Groups | None:
        """The same without asking; None where they are to be asked."""
        return self._found if monotonic() < self._holds else None

    async def _pypi(self) -> list[str]:
        for python in dict.fromkeys((sys.executable, "python3", "/usr/bin/python3")):
            configured = _configured(await self._said(python, "-m", "pip", "config", "list"))
            simple, top, files = (await self._said(python, "-c", _PIP)).split() or ("", "", "")
            if index := configured.get("index-url", simple):
                others = configured.get("extra-index-url", "").split()
                return [index, *others, *([files] if top and index.startswith(top) else [])]
        return []

    async def _npm(self) -> list[str]:
        return (await self._said("npm", "config", "get", "registry", "--logs-max=0")).split()

    async def _apt(self) -> list[str]:
        # It only prints what it would ask for, and reads no list of packages, as `indextargets` does for seconds.
        said = await self._said("apt-get", "update", "--print-uris")
        return [line.split("'")[1] for line in said.splitlines() if line.count("'") > 1]

    async def _said(self, program: str, *arguments: str) -> str:
        """What a program printed; nothing when it isn't there, fails, or takes too long."""
        path = shutil.which(program, path=self._environment.get("PATH"))
        if path is None:
            return ""
        async with _started(path, *arguments, environment=self._environment) as process:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    said, _ = await process.communicate()
            except TimeoutError:
                _log.warning("registry not told in time", program=program)
                self._late = True
                return ""
        return said[:SAID_BYTES].decode("utf-8", "replace") if process.returncode == 0 else ""


def _configured(said: str) -> dict[str, str]:
    """What `pip config list` says, which is Python's way of writing texts."""
    found: dict[str, str] = {}
    for place in reversed(_PLACES):
        for text in said.splitlines():
            name, _, value = text.partition("=")
            if name.rpartition(".")[0] == place:
                with suppress(ValueError, SyntaxError):
                    found[name.rpartition(".")[2]] = str(literal_eval(value))
    return found


def hosts_of(urls: list[str]) -> tuple[str, ...]:
    """The hosts of URLs as rules, each once; a port only where it isn't the usual one, and no name and password."""
    found: dict[str, None] = {}
    for url in urls:
        try:
            parts = urlsplit(url)
            host, port = normal_host(parts.hostname or ""), parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError):
            continue  # a folder of this machine, or nothing that is reached by HTTP
        rule = f"[{host}]" if ":" in host else host
        if host:
            found[rule if port in _PORTS.values() else f"{rule}:{port}"] = None
    return tuple(found)


@asynccontextmanager
async def _started(
    path: str, *arguments: str, environment: dict[str, str]
) -> AsyncGenerator[asyncio.subprocess.Process]:
    # In a folder without a project's own configuration, which some of them read.
    process = await asyncio.create_subprocess_exec(
        path, *arguments, cwd="/", env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
