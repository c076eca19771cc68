"""Deleting a tree that somebody else made: as deep as the file system allows, unreadable folders in it, odd names."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from uuid import uuid4

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def delete_tree(folder: Path) -> None:
    """Delete a folder and all in it; nothing when it isn't there. Cut off in the middle, it can be done again.

    A folder within is moved up to the top and emptied there, so that no depth costs a stack, a descriptor, or a path
    that is longer than the system takes.
    """
    try:
        top = os.open(folder, _OPEN)
    except FileNotFoundError:
        return
    names = (f"{uuid4().hex}-{number}" for number in count())
    try:
        pending = _empty(top, top, names)
        while pending:
            name = pending.pop()
            within = os.open(name, _OPEN, dir_fd=top)
            try:
                pending += _empty(within, top, names)
            finally:
                os.close(within)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    folder.rmdir()


def _empty(folder: int, top: int, names: Iterator[str]) -> list[str]:
    """Delete the files of a folder and move its folders to the top; the names that they have there."""
    moved: list[str] = []
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=folder)
            continue
        # Moving a folder writes its `..`, and emptying it reads and writes the rest.
        os.chmod(entry.name, 0o700, dir_fd=folder)
        moved.append(next(names))
        os.rename(entry.name, moved[-1], src_dir_fd=folder, dst_dir_fd=top)
    return moved
