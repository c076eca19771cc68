"""Host git that trusts nothing of the work tree: its git directory, index and every setting are the runner's own.

A workspace's `.git`, its attributes and its nested repositories are written by an agent. Filters, hooks, fsmonitor and
text converters only act when a configuration names them, and every configuration that is read here is ours.
"""

import asyncio
import os
import shutil
import signal
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.text import decode, line

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SETTINGS = {
    "core.attributesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.excludesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.untrackedCache": "false",
    "diff.ignoreSubmodules": "all",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "safe.directory": "*",
    "submodule.recurse": "false",
    "transfer.bundleURI": "false",
}
_WATCHED = (
    "/bin/sh",
    "-c",
    'exec 3<&0 </dev/null; "$@" 3<&- & git=$!; { read -r end <&3; kill -KILL 0; } >/dev/null 2>&1 & watch=$!; '
    "exec 3<&-; wait $git; code=$?; kill -KILL $watch; exit $code",
    "sh",
)
"""A shell that kills its process group, git's helpers with it, when the other end of its input is gone."""
_ERROR_CHARACTERS = 2_000


class GitError(QuarterdeckError):
    """A git command failed."""

    code = "git"


@dataclass(frozen=True)
class Identity:
    """Who a commit says made it."""

    author: str
    author_email: str
    committer: str
    committer_email: str

    def environment(self) -> dict[str, str]:
        """The same in git's words."""
        return {
            "GIT_AUTHOR_NAME": self.author,
            "GIT_AUTHOR_EMAIL": self.author_email,
            "GIT_COMMITTER_NAME": self.committer,
            "GIT_COMMITTER_EMAIL": self.committer_email,
        }


def signed_in(user: str, token: str) -> dict[str, str]:
    """An environment by which git signs in over HTTP; the token is on no command line and in no file."""
    credentials = b64encode(f"{user}:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {credentials}",
    }


@dataclass(frozen=True)
class Git:
    """One git directory and the files it looks at."""

    git_dir: Path
    work_tree: Path

    async def init(self, *options: str) -> None:
        """Make the git directory, without anything of a template."""
        # Named by argument and not by environment, which would have the work tree's path written into its config.
        place = {"GIT_DIR": "", "GIT_WORK_TREE": ""}
        target = self.git_dir if "--bare" in options else self.work_tree
        await self.run("init", "--quiet", "--template=", *options, str(target), env=place)

    async def fetch(self, *args: str, env: dict[str, str]) -> None:
        """Fetch over the network; a server that keeps git waiting keeps nothing alive when the runner dies.

        Raises:
            GitError: it failed, or the server sent nothing for a minute.
        """
        process = await self._start(
            ("fetch", "--quiet", *args), asyncio.subprocess.DEVNULL, env, files=False, work_tree=None, watched=True
        )
        with _ended(process):
            # Its input stays open as long as we live; that is what the watching shell looks at.
            fault = await process.stderr.read() if process.stderr else b""
            await process.wait()
            if process.stdin:
                process.stdin.close()
        _check(("fetch",), process, fault)

    async def run(
        self,
        *args: str,
        stdin: bytes = b"",
        env: dict[str, str] | None = None,
        files: bool = False,
        work_tree: Path | None = None,
    ) -> bytes:
        """What a git command prints; `files` allows it to fetch from a path of this machine.

        Raises:
            GitError: it failed; the message is what git said.
        """
        process = await self._start(args, asyncio.subprocess.PIPE, env, files=files, work_tree=work_tree)
        with _ended(process):
            output, fault = await process.communicate(stdin)
        _check(args, process, fault)
        return output

    async def write(self, target: Path, *args: str) -> None:
        """The same with what it prints in a file, for diffs and bundles of any size."""
        with target.open("wb") as file:
            process = await self._start(args, file.fileno(), None, files=False, work_tree=None)
            with _ended(process):
                _, fault = await process.communicate(b"")
        _check(args, process, fault)

    async def line(self, *args: str, env: dict[str, str] | None = None) -> str:
        """What a git command prints as one line."""
        return decode(await self.run(*args, env=env)).strip()

    async def commit_of(self, name: str) -> str:
        """The full id of the commit that a name stands for; empty when there is none."""
        try:
            return await self.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except GitError:
            return ""

    async def object_of(self, commit: str, path: str) -> str:
        """The id of what a commit has at a path; empty when that is nothing."""
        try:
            return await self.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:{path}")
        except GitError:
            return ""

    async def _start(
        self,
        args: tuple[str, ...],
        stdout: int,
        env: dict[str, str] | None,
        *,
        files: bool,
        work_tree: Path | None,
        watched: bool = False,
    ) -> asyncio.subprocess.Process:
        settings = _SETTINGS | ({"protocol.file.allow": "always"} if files else {})
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        environment = {
            "PATH": _PATH,
            "HOME": "/nonexistent",
            "LC_ALL": "C",
            "GIT_DIR": str(self.git_dir),
            "GIT_WORK_TREE": str(work_tree or self.work_tree),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **(env or {}),
        }
        return await asyncio.create_subprocess_exec(
            *dying_with_us(),
            *(_WATCHED if watched else ()),
            shutil.which("git", path=_PATH) or "git",
            *options,
            *args,
            stdin=asyncio.subprocess.PIPE,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            cwd=self.git_dir.parent,
            env={name: value for name, value in environment.items() if value},
        )


def dying_with_us() -> list[str]:
    """A prefix by which the kernel kills the command when the runner dies, where the system has it."""
    setpriv = shutil.which("setpriv", path=_PATH)
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


@contextmanager
def _ended(process: asyncio.subprocess.Process) -> Generator[None]:
    """Whatever happens, nothing of the command is left; its helpers have its process group."""
    try:
        yield
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _check(args: tuple[str, ...], process: asyncio.subprocess.Process, fault: bytes) -> None:
    if process.returncode:
        said = line(decode(fault), _ERROR_CHARACTERS) or f"exit code {process.returncode}"
        raise GitError(f"git {args[0]} failed: {said}")
