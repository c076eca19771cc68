"""New bare repositories: empty, from a path or URL, or from files."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from quarterdeck.app.outside import Author
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import cut, decode
from quarterdeck.forges.local import git, sample

DEFAULT_BRANCH = "main"
FETCH_SECONDS = 600.0

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_AUTHOR = Author("Quarterdeck", "quarterdeck@localhost")


async def make(folder: Path, source: str | None, environment: Mapping[str, str]) -> str:
    """Makes a bare repository at `folder` and answers its default branch.

    Raises:
        InvalidInputError: the source can't be fetched; the message has git's reason.
    """
    await git.ask("init", "--quiet", "--bare", "--template=", f"--initial-branch={DEFAULT_BRANCH}", str(folder))
    match source:
        case None | "":
            return DEFAULT_BRANCH
        case "sample:":
            await first_commit(folder, sample.files(), message="A small project", author=_AUTHOR)
            return DEFAULT_BRANCH
        case _:
            return await _fetch(folder, _location(source), environment)


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


def _location(source: str) -> str:
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


async def _fetch(folder: Path, location: str, environment: Mapping[str, str]) -> str:
    try:
        listed = await git.run(
            "ls-remote", "--symref", "--", location, "HEAD", environment=environment, seconds=FETCH_SECONDS
        )
        fetched = listed
        if listed.exit_code == 0:
            fetched = await git.run(
                *("fetch", "--quiet", "--no-write-fetch-head", "--no-auto-maintenance", "--", location),
                *("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"),
                directory=folder,
                environment=environment,
                seconds=FETCH_SECONDS,
            )
    except git.GitError as error:
        raise InvalidInputError(f"{location.removeprefix('file://')} can't be cloned: {error}") from error
    if fetched.exit_code:
        reason = cut(fetched.reason, 1000).rstrip(".")
        raise InvalidInputError(f"{location.removeprefix('file://')} can't be cloned: {reason}.")
    return await _head(folder, decode(listed.output))


async def _head(folder: Path, listed: str) -> str:
    """Sets HEAD to the source's branch, or to the only one, or to the one that was changed last."""
    found = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", listed, re.MULTILINE)
    form = ("for-each-ref", "--format=%(refname:lstrip=2)", "--sort=-committerdate", "refs/heads")
    names = decode(await git.ask(*form, directory=folder)).split()
    branch = found[1] if found and found[1] in names else names[0] if names else found[1] if found else DEFAULT_BRANCH
    await git.ask("symbolic-ref", "HEAD", f"refs/heads/{branch}", directory=folder)
    return branch
