"""Artifacts of pipeline jobs: packed by the paths that a job names, unpacked so that nothing leaves the folder."""

import os
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from quarterdeck.core.errors import InvalidInputError, TooLargeError

ARTIFACTS_BYTES = 1024**3
"""What one archive may hold unpacked."""


def pack(root: Path, patterns: tuple[str, ...], target: Path, *, level: int = 6) -> int:
    """Write a tar.gz of all that the patterns match; the answer is how many files it has.

    A pattern is relative to `root`: a file, a folder with all in it, or a glob with `*`, `?`, `**`. Symbolic links
    are packed as links and never followed; `.git` is never packed. `level` is how hard gzip tries.

    Raises:
        TooLargeError: the files are more than an archive may hold.
    """
    wanted = [_matcher(pattern) for pattern in patterns]
    count = size = 0
    with tarfile.open(target, "w:gz", compresslevel=level) as archive:
        for name in _files(root):
            if not any(matcher.fullmatch(name) for matcher in wanted):
                continue
            path = root / name
            file_size = path.lstat().st_size
            size += file_size
            if size > ARTIFACTS_BYTES:
                raise TooLargeError(f"The files of the archive have more than {ARTIFACTS_BYTES:,} bytes.")
            _pack_file(archive, path, name, file_size)
            count += 1
    return count


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern of `pack` takes the file of that path."""
    return _matcher(pattern).fullmatch(name) is not None


def unpack(archive: Path, root: Path, *, wanted: Callable[[], bool] = lambda: True) -> None:
    """Unpack a tar.gz over a folder, until it is all there or not `wanted` any more.

    Raises:
        InvalidInputError: it isn't one, or has a member that would leave the folder; nothing outside is written.
        TooLargeError: it holds more than an archive may.
    """
    size = 0
    try:
        with tarfile.open(archive, "r:gz") as source:
            for member in source:
                if not wanted():
                    return
                size += member.size
                if size > ARTIFACTS_BYTES:
                    raise TooLargeError(f"The files of the archive have more than {ARTIFACTS_BYTES:,} bytes.")
                _unpack_member(source, member, root)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InvalidInputError(f"The archive can't be unpacked: {error}") from error


def _files(root: Path) -> Iterator[str]:
    """Names of files and links, a folder's own before those of its folders; what can't be read is left out."""
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            continue
        yield from (folder + entry.name for entry in entries if _packable(entry))
        below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and entry.name != ".git"]
        folders += [f"{folder}{name}/" for name in reversed(below)]


def _packable(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() or (entry.is_file(follow_symlinks=False) and os.access(entry.path, os.R_OK))


def _matcher(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression over whole relative paths; a match of a folder is one of all in it.

    What stands between two stars of a kind is looked for once, at the first place that fits, and never again: any
    later place would leave less for the rest. So no pattern makes it try combinations.
    """
    *above, last = [part for part in PurePosixPath(pattern.strip()).parts if part != "/"] or ["**"]
    spans: list[list[str]] = [[]]
    for part in (*above, "*" if last == "**" else last):
        if part == "**":
            spans.append([])
        else:
            spans[-1].append(_part(part))
    first, *others = ["/".join(span) for span in spans]
    expression = first
    for span in filter(None, others):
        expression += ("/" if expression else "") + f"(?>(?:[^/]++/)*?{span})"
    return re.compile(f"{expression}.*", re.DOTALL)


def _part(part: str) -> str:
    """One name, matched to its end."""
    end = r"(?=/|\Z)"
    first, *others = [
        "".join("[^/]" if sign == "?" else re.escape(sign) for sign in piece) for piece in part.split("*")
    ]
    if not others:
        return first + end
    *middle, last = others
    found = "".join(f"(?>[^/]*?{piece})" for piece in middle if piece)
    return f"(?>{first}{found}[^/]*{last}{end})"


def _pack_file(archive: tarfile.TarFile, path: Path, name: str, size: int) -> None:
    member = archive.gettarinfo(path, arcname=name)
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    if member.issym():
        archive.addfile(member)
        return
    # A file with several names is packed under each of them, as what it is.
    member.type, member.linkname, member.size = tarfile.REGTYPE, "", size
    with path.open("rb") as file:
        archive.addfile(member, file)


def _unpack_member(source: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    parts = PurePosixPath(member.name).parts
    if not parts or member.name.startswith("/") or ".." in parts or ".git" in parts:
        raise InvalidInputError(f"The archive has a file outside of the workspace: {member.name!r}.")
    folder = root
    for part in parts if member.isdir() else parts[:-1]:
        folder /= part
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise InvalidInputError(f"The archive goes through what is no folder here: {member.name!r}.")
        folder.mkdir(exist_ok=True)
    path = root.joinpath(*parts)
    if member.isdir():
        return
    if path.is_dir() and not path.is_symlink():
        raise InvalidInputError(f"The archive has a file where a folder is: {member.name!r}.")
    path.unlink(missing_ok=True)
    if member.issym():
        # Its target may be anywhere: host code follows no link, and the sandbox shows nothing else.
        path.symlink_to(member.linkname)
    elif member.isreg():
        _write(source, member, path)
    else:
        raise InvalidInputError(f"The archive has something that is no file: {member.name!r}.")


def _write(source: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = source.extractfile(member)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o755 if member.mode & 0o100 else 0o644), "wb") as file:
        while content and (chunk := content.read(1024 * 1024)):
            file.write(chunk)
