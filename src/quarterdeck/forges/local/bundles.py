"""Work that comes in as a bundle: looked at in a repository of its own, then pushed like any other push."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from quarterdeck.core.errors import ConflictError, InvalidInputError, TooLargeError
from quarterdeck.core.limits import BUNDLE_BYTES
from quarterdeck.core.text import cut, decode
from quarterdeck.forges.local import git

_TAKEN = "refs/heads/taken"


async def push(repository: Path, bundle: Path, *, branch: str, commit: str) -> None:
    """Moves `branch` to `commit`, which the bundle brings.

    The receiving git checks every new object in a quarantine, refuses to rewrite the branch, and moves it only from
    where it was seen.

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
        await _take(draft, repository, bundle, commit)
        await _send(draft, repository, branch)
    finally:
        await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)


async def _stands(repository: Path, branch: str, commit: str) -> bool:
    found = await git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", directory=repository)
    return found.exit_code == 0 and decode(found.output).strip() == commit


async def _take(draft: Path, repository: Path, bundle: Path, commit: str) -> None:
    """Unpacks the bundle next to the repository's objects, and makes sure that it has the commit and no more refs."""
    await git.ask("init", "--quiet", "--bare", "--template=", str(draft))
    (draft / "objects" / "info").mkdir(parents=True, exist_ok=True)
    (draft / "objects" / "info" / "alternates").write_text(f"{repository / 'objects'}\n", encoding="utf-8")
    await _checked("verify", await git.run("bundle", "verify", "--quiet", str(bundle), directory=draft))
    listed = await _checked("read", await git.run("bundle", "list-heads", str(bundle), directory=draft))
    heads = [line.split(" ", 1) for line in listed.splitlines()]
    if len(heads) != 1 or heads[0][0] != commit:
        raise InvalidInputError(f"The bundle must have one ref, at {commit}; it has {len(heads)}.")
    taken = await git.run(*("fetch", "--quiet", "--no-tags", str(bundle), f"{heads[0][1]}:{_TAKEN}"), directory=draft)
    await _checked("unpacked", taken)


async def _send(draft: Path, repository: Path, branch: str) -> None:
    sent = await git.run(
        *("push", "--porcelain", "--no-verify", str(repository), f"{_TAKEN}:refs/heads/{branch}"),
        directory=draft,
    )
    if sent.exit_code == 0:
        return
    said = cut(decode(sent.output) + sent.error, 2000)
    if "[rejected]" in said or "failed to update ref" in said or "cannot lock ref" in said:
        raise ConflictError(f"{branch} has commits that this work is not based on; nothing was pushed.")
    raise InvalidInputError(f"The bundle was refused: {cut(sent.reason, 1000)}.")


async def _checked(verb: str, ended: git.Ended) -> str:
    if ended.exit_code:
        raise InvalidInputError(
            f"The bundle can't be {verb if verb != 'verify' else 'used'}: {cut(ended.reason, 1000)}."
        )
    return decode(ended.output)
