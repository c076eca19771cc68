"""New bare repositories: empty, from a path or URL, or from files."""

import asyncio
import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from quarterdeck.app.outside import Author
from quarterdeck.core.errors import ForbiddenError, InvalidInputError
from quarterdeck.core.text import cut, decode
from quarterdeck.forges.local import git, sample

DEFAULT_BRANCH = "main"
FETCH_SECONDS = 600.0
SOURCE_BYTES = 2 * 1024**3
"""How large a repository that is fetched may be."""
WATCH_SECONDS = 1.0

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_NETLOC = re.compile(r"[\w-]+(\.[\w-]+)*(:\d{1,5})?", re.ASCII)
_AUTHOR = Author("Quarterdeck", "quarterdeck@localhost")


async def make(folder: Path, source: str | None, environment: Mapping[str, str], *, private: bool) -> str:
    """Makes a bare repository at `folder` and answers its default branch.

    Raises:
        InvalidInputError: the source can't be fetched; the message has git's reason.
        ForbiddenError: the source is on this machine or in its private network, and `private` doesn't allow that.
    """
    await git.ask("init", "--quiet", "--bare", "--template=", f"--initial-branch={DEFAULT_BRANCH}", str(folder))
    match source:
        case None | "":
            return DEFAULT_BRANCH
        case "sample:":
            await first_commit(folder, sample.files(), message="A small project", author=_AUTHOR)
            return DEFAULT_BRANCH
        case _:
            at = location(source)
            settings = {} if private else await bound(at)
            return await _fetch(folder, at, {**environment, **configured(settings)})


async def first_commit(folder: Path, files: Mapping[str, bytes], *, message: str, author: Author) -> None:
    """Puts files into the empty repository as the first commit of its default branch; `#!` makes one executable."""
    who = f"{author.name} <{author.email}> now"
    said = message.encode()
    stream = bytearray(f"commit refs/heads/{DEFAULT_BRANCH}\nauthor {who}\ncommitter {who}\n".encode())
    stream += b"data %d\n%s\n" % (len(said), said)
    for path, data in sorted(files.items()):
        mode = "100755" if data.startswith(b"#!") else "100644"
        quoted = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        stream += f'M {mode} inline "{quoted}"\n'.encode() + b"data %d\n%s\n" % (len(data), data)
    await git.ask("fast-import", "--quiet", "--date-format=now", directory=folder, stdin=bytes(stream))


def location(source: str) -> str:
    """The path or URL in the form that git is given."""
    if not source.isprintable():
        raise InvalidInputError(f"{source!r} can't be cloned: it has characters that no path or URL has.")
    if source.startswith(("http://", "https://")):
        if "@" in _host(source):
            raise InvalidInputError(
                "The URL has a user or password in it, which would be seen by others on this machine. "
                "Clone it yourself, and push it to an empty project."
            )
        return source
    path = source.removeprefix("file://")
    if path.startswith("/"):
        return f"file://{path}"
    if _SCHEME.match(source) or "@" in source:
        raise InvalidInputError(f"{source!r} can't be cloned: http, https and paths on the server are supported.")
    raise InvalidInputError(f"{source!r} can't be cloned: give an absolute path or a URL.")


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError as error:
        raise InvalidInputError(f"{url!r} can't be cloned: {error}.") from error


async def bound(location: str) -> dict[str, str]:
    """Settings of git that bind a URL to the public addresses found for it now: no later answer leads elsewhere."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        raise ForbiddenError("Only an administrator makes projects from paths on the server; use a http(s) URL.")
    try:
        if not _NETLOC.fullmatch(parts.netloc):
            raise ValueError("its host is no name")
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        name = str(parts.hostname)
        found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{location} can't be cloned: {error}.") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not all(map(_public, addresses)):
        raise ForbiddenError(
            f"{name} is on this machine or in its private network, from where only an administrator makes projects."
        )
    listed = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
    return {"http.curloptResolve": f"{name}:{port}:{listed}"}


def configured(settings: Mapping[str, str]) -> dict[str, str]:
    """The variables by which git takes settings that stand in no file and no command line."""
    told = {"GIT_CONFIG_COUNT": str(len(settings))} if settings else {}
    for n, (name, value) in enumerate(settings.items()):
        told |= {f"GIT_CONFIG_KEY_{n}": name, f"GIT_CONFIG_VALUE_{n}": value}
    return told


def _public(address: str) -> bool:
    ip = ip_address(address)
    ip = (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
    return ip.is_global and not ip.is_multicast


async def _fetch(folder: Path, location: str, environment: Mapping[str, str]) -> str:
    try:
        listed = await git.run(
            "ls-remote", "--symref", "--", location, "HEAD", environment=environment, seconds=FETCH_SECONDS
        )
        fetched = listed
        if listed.exit_code == 0:
            fetching = git.run(
                *("fetch", "--quiet", "--no-write-fetch-head", "--no-auto-maintenance", "--", location),
                *("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"),
                directory=folder,
                environment=environment,
                seconds=FETCH_SECONDS,
                wary=True,
            )
            fetched = await watched(folder, asyncio.create_task(fetching))
    except git.GitError as error:
        raise InvalidInputError(f"{location.removeprefix('file://')} can't be cloned: {error}") from error
    if fetched.exit_code:
        reason = cut(fetched.reason, 1000).rstrip(".")
        raise InvalidInputError(f"{location.removeprefix('file://')} can't be cloned: {reason}.")
    return await _head(folder, decode(listed.output))


async def watched(folder: Path, fetching: asyncio.Task[git.Ended]) -> git.Ended:
    """What the fetch comes to; it is ended when what it brings is too large."""
    try:
        while not fetching.done():
            await asyncio.wait((fetching,), timeout=WATCH_SECONDS)
            if await asyncio.to_thread(_size, folder) > SOURCE_BYTES:
                raise git.GitError(f"It has more than {SOURCE_BYTES:,} bytes.")
        return fetching.result()
    finally:
        fetching.cancel()
        await asyncio.wait((fetching,))


def _size(folder: Path) -> int:
    size = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # git renames what it has received
                size += os.lstat(os.path.join(at, name)).st_size
    return size


async def _head(folder: Path, listed: str) -> str:
    """Sets HEAD to the source's branch, or to the only one, or to the one that was changed last."""
    found = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", listed, re.MULTILINE)
    form = ("for-each-ref", "--format=%(refname:lstrip=2)", "--sort=-committerdate", "refs/heads")
    names = decode(await git.ask(*form, directory=folder)).split()
    branch = found[1] if found and found[1] in names else names[0] if names else found[1] if found else DEFAULT_BRANCH
    await git.ask("symbolic-ref", "HEAD", f"refs/heads/{branch}", directory=folder)
    return branch
