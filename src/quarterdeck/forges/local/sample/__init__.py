"""The sample project: a small real repository whose pipeline really fails, for a first look at everything."""

from collections.abc import Iterator
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable


def files() -> dict[str, bytes]:
    """The project's files by their paths, as its first commit has them."""
    return dict(sorted(_below(package_files(__name__) / "files", "")))


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.name == "__pycache__":
            continue
        if entry.is_dir():
            yield from _below(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()
