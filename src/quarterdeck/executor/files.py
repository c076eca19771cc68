"""The files of a workspace, reached so that no path and no symlink leads out of it, however fast it is swapped.

Bodies run outside the sandbox, beside commands that may rename and link what they like. So a path is walked folder
by folder from an open descriptor, never following a link on the kernel's word: a link is read, and its target walked
from where it stands. Everything here blocks; bodies call it in a thread.
"""

import contextlib
import difflib
import os
import stat
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from uuid import uuid4

from quarterdeck.core.errors import InvalidInputError, NotFoundError
from quarterdeck.executor.sandbox import WORKSPACE

_LINKS = 40
"""How many symlinks one path may go through, as Linux has it."""
_NAME_BYTES = 255
_HINT_NAMES = 2_000
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True)
class Entry:
    """One name in a folder; `target` is where a symlink says it leads."""

    name: str
    kind: Literal["file", "folder", "link", "special"]
    size: int
    target: str = ""


class Files:
    """The tree below `root`, which itself is trusted."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def relative(self, path: str) -> str:
        """`path` as a path below the root (`.` for the root itself), links not looked at.

        Raises:
            InvalidInputError: it is empty, absolute outside of /workspace, or leads out by `..`.
        """
        if not path or "\x00" in path:
            raise InvalidInputError("The path is empty or has a NUL character in it.")
        parts = list(PurePosixPath(path).parts)
        if path.startswith("/"):
            parts = self._below(path)
        clean: list[str] = []
        for part in parts:
            if part == ".." and not clean:
                raise InvalidInputError(f"{path!r} is outside of the workspace.")
            if part == "..":
                clean.pop()
            elif len(os.fsencode(part)) > _NAME_BYTES:
                raise InvalidInputError(f"{path!r} has a name longer than {_NAME_BYTES} bytes.")
            else:
                clean.append(part)
        return "/".join(clean) or "."

    def open(self, path: str) -> int:
        """A descriptor of a regular file, for reading.

        Raises:
            NotFoundError: names what is near.
            InvalidInputError: it is a folder, a device, a pipe, a socket, or outside of the workspace.
        """
        with self._parent(path) as (folder, name):
            fd = self._opened(path, folder, name)
            kind = os.fstat(fd).st_mode
            if not stat.S_ISREG(kind):
                os.close(fd)
                raise InvalidInputError(f"{path} is {_called(kind)}, not a file.")
            return fd

    def write(self, path: str, content: bytes) -> bool:
        """Put `content` in the place of the file at once, parents included; whether it is a new file.

        Raises:
            InvalidInputError: there is something else than a file, or the path leads outside of the workspace.
        """
        with self._parent(path, make=True) as (folder, name):
            mode = _mode_of(path, folder, name)
            draft = f".{uuid4().hex}.quarterdeck"
            fd = os.open(
                draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
            )
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(content)
                    os.fchmod(file.fileno(), 0o644 if mode is None else mode)
                os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(draft, dir_fd=folder)
                raise
            return mode is None

    def make_folder(self, path: str) -> bool:
        """Make the folder and its parents; whether it is new.

        Raises:
            InvalidInputError: a file is in the way.
        """
        existed = True
        try:
            _close(self._walk(path)[0])
        except NotFoundError:
            existed = False
        _close(self._walk(path, make=True)[0])
        return not existed

    def entries(self, path: str) -> list[Entry]:
        """What is in a folder, sorted by name, `.git` left out.

        Raises:
            NotFoundError: names what is near.
            InvalidInputError: it is no folder.
        """
        trail, _ = self._walk(path)
        try:
            with os.scandir(trail[-1]) as found:
                return sorted(
                    (_entry(entry, trail[-1]) for entry in found if entry.name != ".git"), key=lambda e: e.name
                )
        finally:
            _close(trail)

    def exists(self, path: str) -> None:
        """Nothing, when there is a file or folder.

        Raises:
            NotFoundError: there is neither; names what is near.
        """
        if self.relative(path) == ".":
            return
        with self._parent(path) as (folder, name):
            try:
                os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                raise NotFoundError(f"There is no {path} in the workspace.{_near(name, folder)}") from None

    @contextlib.contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Generator[tuple[int, str]]:
        """The folder that the last name of `path` is in, once its links are followed, and that name."""
        if self.relative(path) == ".":
            raise InvalidInputError(f"{path} is the workspace itself, not a file.")
        trail, name = self._walk(path, make=make, to_parent=True)
        try:
            if not name:
                raise InvalidInputError(f"{path} is a folder, not a file.")
            yield trail[-1], name
        finally:
            _close(trail)

    def _walk(self, path: str, *, make: bool = False, to_parent: bool = False) -> tuple[list[int], str]:
        """Open descriptors from the root down, and the last name if only its parent was asked for."""
        trail = [os.open(self.root, _OPEN_FOLDER)]
        ahead = self.relative(path).split("/")[::-1]
        links = 0
        try:
            while ahead:
                name = ahead.pop()
                if name in (".", ""):
                    continue
                if name == "..":
                    _step_out(trail, path)
                    continue
                target = _link_target(name, trail[-1])
                if target is not None:
                    links += 1
                    ahead += self._link_parts(target, trail, path, links)[::-1]
                elif to_parent and not any(ahead):
                    return trail, name
                else:
                    trail.append(self._folder(path, name, trail[-1], make=make))
        except BaseException:
            _close(trail)
            raise
        return trail, ""

    def _link_parts(self, target: str, trail: list[int], path: str, links: int) -> list[str]:
        """What a link stands for, from the end of `trail` on; an absolute one begins at the root again."""
        if links > _LINKS:
            raise InvalidInputError(f"{path} goes through too many links.")
        if not target.startswith("/"):
            return target.split("/")
        parts = self._below(target, f"{path} is a link that leads out of the workspace.")
        _close(trail[1:])
        del trail[1:]
        return parts

    def _folder(self, path: str, name: str, parent: int, *, make: bool) -> int:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=parent)
        try:
            return os.open(name, _OPEN_FOLDER, dir_fd=parent)
        except FileNotFoundError:
            raise NotFoundError(f"There is no {path} in the workspace.{_near(name, parent)}") from None
        except NotADirectoryError:
            raise InvalidInputError(f"{path}: {name} is not a folder.") from None

    def _opened(self, path: str, folder: int, name: str) -> int:
        try:
            # Looked at before it is opened, because opening a device can already do something.
            kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if not stat.S_ISREG(kind):
                raise InvalidInputError(f"{path} is {_called(kind)}, not a file.")
            return os.open(name, _OPEN_FILE, dir_fd=folder)
        except FileNotFoundError:
            raise NotFoundError(f"There is no file {path} in the workspace.{_near(name, folder)}") from None
        except OSError as error:
            raise InvalidInputError(f"{path} can't be opened: {error.strerror}.") from None

    def _below(self, path: str, refusal: str = "") -> list[str]:
        """The parts of an absolute path below the workspace, as the sandbox or as this machine names it."""
        for top in (WORKSPACE, str(self.root)):
            if path == top or path.startswith(f"{top}/"):
                return [part for part in path[len(top) :].split("/") if part]
        raise InvalidInputError(refusal or f"{path} is outside of the workspace, which is {WORKSPACE}.")


def _close(trail: list[int]) -> None:
    for fd in trail:
        os.close(fd)


def _step_out(trail: list[int], path: str) -> None:
    if len(trail) == 1:
        raise InvalidInputError(f"{path} is a link that leads out of the workspace.")
    os.close(trail.pop())


def _link_target(name: str, folder: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _mode_of(path: str, folder: int, name: str) -> int | None:
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise InvalidInputError(f"{path} is {_called(mode)}, not a file.")
    return stat.S_IMODE(mode) & 0o777


def _entry(entry: os.DirEntry[str], folder: int) -> Entry:
    if entry.is_symlink():
        return Entry(entry.name, "link", 0, _link_target(entry.name, folder) or "")
    if entry.is_dir(follow_symlinks=False):
        return Entry(entry.name, "folder", 0)
    if not entry.is_file(follow_symlinks=False):
        return Entry(entry.name, "special", 0)
    with contextlib.suppress(OSError):
        return Entry(entry.name, "file", entry.stat(follow_symlinks=False).st_size)
    return Entry(entry.name, "file", 0)


def _called(mode: int) -> str:
    names = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a link"}
    return names.get(stat.S_IFMT(mode), "a device")


def _near(name: str, folder: int) -> str:
    with os.scandir(folder) as found:
        names = [entry.name for entry, _ in zip(found, range(_HINT_NAMES), strict=False) if entry.name != ".git"]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f" Near it: {', '.join(close)}." if close else ""
