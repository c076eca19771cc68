"""Work that comes in as a bundle: looked at in a repository of its own, then pushed like any other push."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from quarterdeck.core.errors import ConflictError, InvalidInputError, TooLargeError
from quarterdeck.core.limits import BUNDLE_BYTES
from quarterdeck.core.text import cut, decode
from quarterdeck.forges.local import git

OBJECTS = 500_000
"""How many a bundle may bring."""
OBJECT_BYTES = 100 * 1024 * 1024
"""Of one of them, as it is without compression; executors leave larger files out, and forges refuse them as well."""
PATH_BYTES = 4096
"""Longer ones can be checked out nowhere; folders that lie in one another without end have such paths, too."""
HEAD_BYTES = 1024 * 1024
LISTED_BYTES = 128 * 1024 * 1024
_TAKEN = "refs/heads/taken"


async def push(repository: Path, bundle: Path, *, branch: str, commit: str) -> None:
    """Moves `branch` to `commit`, which the bundle brings as a branch of that name.

    What it brings is unpacked and measured apart from the repository. The receiving git checks every new object once
    more in a quarantine, refuses to rewrite the branch, and moves it only from where it was seen.

    Raises:
        TooLargeError, InvalidInputError: the bundle is no good, or would do more than that.
        ConflictError: the branch has other commits than those the work is based on.
    """
    head = decode(await git.ask("symbolic-ref", "HEAD", directory=repository)).strip()
    if head == f"refs/heads/{branch}":
        raise InvalidInputError(f"{branch} is the default branch; work goes to a branch of its own.")
    if await asyncio.to_thread(lambda: bundle.stat().st_size) > BUNDLE_BYTES:
        raise TooLargeError(f"The bundle is larger than {BUNDLE_BYTES:,} bytes.")
    if await _stands(repository, branch, commit):
        return
    bundle = await asyncio.to_thread(bundle.resolve)
    draft = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="quarterdeck-bundle-"))
    try:
        await _take(draft, repository, bundle, branch, commit)
        await _measure(draft, repository)
        await _send(draft, repository, branch)
    finally:
        await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)


async def _stands(repository: Path, branch: str, commit: str) -> bool:
    found = await git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", directory=repository)
    return found.exit_code == 0 and decode(found.output).strip() == commit


async def _take(draft: Path, repository: Path, bundle: Path, branch: str, commit: str) -> None:
    """Unpacks the bundle next to the repository's objects, and makes sure that it has the branch and no more refs."""
    await git.ask("init", "--quiet", "--bare", "--template=", str(draft))
    (draft / "objects" / "info").mkdir(parents=True, exist_ok=True)
    (draft / "objects" / "info" / "alternates").write_text(f"{repository / 'objects'}\n", encoding="utf-8")
    _check("used", await git.run("bundle", "verify", "--quiet", str(bundle), directory=draft, wary=True))
    refs = await asyncio.to_thread(_refs, bundle)
    # Git is given our words for it and not the bundle's, which may be an option, or another place to write to.
    if refs != [f"{commit} refs/heads/{branch}".encode()]:
        raise InvalidInputError(f"The bundle must have one ref, {branch} at {commit}; it has {len(refs)}.")
    taken = await git.run(
        *("fetch", "--quiet", "--no-tags", str(bundle), f"refs/heads/{branch}:{_TAKEN}"), directory=draft, wary=True
    )
    _check("unpacked", taken)


def _refs(bundle: Path) -> list[bytes]:
    """Its refs, each behind its commit. One that something was left out of by a filter is refused."""
    with bundle.open("rb") as file:
        head, end, _ = file.read(HEAD_BYTES).partition(b"\n\n")
    _, *lines = head.split(b"\n")
    if not end or any(line.startswith(b"@") and not line.startswith(b"@object-format=") for line in lines):
        raise InvalidInputError("The bundle can't be read: its head is longer than others, or asks for more than refs.")
    return [line for line in lines if not line.startswith((b"@", b"-"))]


async def _measure(draft: Path, repository: Path) -> None:
    """Refuses what would fill disks and memories once it is read: compressed it may be small."""
    try:
        brought = await _asked(draft, "rev-list", "--objects", _TAKEN, "--not", "--alternate-refs")
        told = await _asked(draft, "cat-file", "--batch-check=%(objectsize) %(rest)", stdin=brought)
        paths = await _asked(draft, *await _compared(repository))
    except TooLargeError:
        raise TooLargeError("The bundle brings more files than can be listed.") from None
    objects = told.splitlines()
    if len(objects) > OBJECTS:
        raise TooLargeError(f"The bundle brings {len(objects):,} objects; at most {OBJECTS:,} are taken at once.")
    for size, _, path in (line.partition(b" ") for line in objects):
        if int(size) > OBJECT_BYTES:
            what = _shown(path) if path else "a commit"
            raise TooLargeError(f"The bundle brings {what} of {int(size):,} bytes; at most {OBJECT_BYTES:,} are taken.")
    if longest := next((path for path in paths.split(b"\0") if len(path) > PATH_BYTES), b""):
        raise InvalidInputError(f"The bundle brings a path of {len(longest):,} bytes, {_shown(longest)}.")


async def _compared(repository: Path) -> tuple[str, ...]:
    """What to ask for the paths of what is new: a comparison with the default branch, if there is one yet."""
    known = await git.run("rev-parse", "--verify", "--quiet", "HEAD", directory=repository)
    if known.exit_code:
        return ("ls-tree", "-r", "-z", "--name-only", "--full-tree", _TAKEN)
    return ("diff-tree", "-r", "-z", "--name-only", "--no-renames", decode(known.output).strip(), _TAKEN)


async def _asked(draft: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    told = await git.run(*arguments, directory=draft, stdin=stdin, limit=LISTED_BYTES, wary=True)
    _check("read", told)
    return told.output


def _shown(path: bytes) -> str:
    return repr(decode(path[:100]))


async def _send(draft: Path, repository: Path, branch: str) -> None:
    sent = await git.run(
        *("push", "--porcelain", "--no-verify", str(repository), f"{_TAKEN}:refs/heads/{branch}"),
        directory=draft, wary=True,
    )  # fmt: skip
    if sent.exit_code == 0:
        return
    said = cut(decode(sent.output) + sent.error, 2000)
    if "[rejected]" in said or "failed to update ref" in said or "cannot lock ref" in said:
        raise ConflictError(f"{branch} has commits that this work is not based on; nothing was pushed.")
    raise InvalidInputError(f"The bundle was refused: {cut(sent.reason, 1000)}.")


def _check(verb: str, ended: git.Ended) -> None:
    if ended.exit_code:
        raise InvalidInputError(f"The bundle can't be {verb}: {cut(ended.reason, 1000)}.")
