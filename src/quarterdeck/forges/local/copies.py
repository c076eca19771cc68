"""A whole repository as one bundle of git, and made again from it."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from pydantic import BaseModel

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import cut, decode
from quarterdeck.forges.local import git

SECONDS = 24 * 3600.0
"""For one repository, whatever its size: it is waited for by the person who asked for it."""


class RepositoryForm(BaseModel, frozen=True):
    """What a bundle doesn't say."""

    head: str
    """The name of the default branch's ref."""
    object_format: str
    empty: bool


async def form(folder: Path) -> RepositoryForm:
    """What has to be known beside the bundle."""
    head = decode(await git.ask("symbolic-ref", "HEAD", directory=folder)).strip()
    object_format = decode(await git.ask("rev-parse", "--show-object-format", directory=folder)).strip()
    refs = await git.ask("for-each-ref", "--count=1", directory=folder)
    return RepositoryForm(head=head, object_format=object_format, empty=not refs.strip())


async def bundle(folder: Path) -> AsyncIterator[bytes]:
    """All refs as they stand at one moment, with all that they need. Raises GitError."""
    async with git.process("bundle", "create", "--quiet", "-", "--all", directory=folder) as started:
        started.stdin.close()
        while piece := await started.stdout.read(git.CHUNK_BYTES):
            yield piece
        said = decode(await git.drain(started.stderr))
        if await started.wait():
            raise git.GitError(cut(f"{folder.name} can't be bundled: {said.strip()}", 2000))


async def remake(folder: Path, form: RepositoryForm, pieces: Iterable[bytes]) -> None:
    """Makes the repository anew. Raises InvalidInputError when the bundle is none."""
    await git.ask(
        *("init", "--quiet", "--bare", "--template=", f"--object-format={form.object_format}", str(folder)),
    )
    if not form.empty:
        await _fetch(folder, pieces)
    await git.ask("symbolic-ref", "HEAD", form.head, directory=folder)


async def _fetch(folder: Path, pieces: Iterable[bytes]) -> None:
    whole = folder / "restored.bundle"
    try:
        with whole.open("wb") as file:
            file.writelines(pieces)
        # HEAD of a new repository is a branch that may come: it has no files, so it may be moved.
        fetched = await git.run(
            *("fetch", "--quiet", "--update-head-ok", str(whole.resolve()), "+refs/*:refs/*"),
            directory=folder,
            seconds=SECONDS,
        )
    finally:
        whole.unlink(missing_ok=True)
    if fetched.exit_code:
        raise InvalidInputError(f"{folder.name} can't be made from its bundle: {cut(fetched.reason, 1000)}.")
