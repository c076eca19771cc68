"""Repositories elsewhere: fetched from and pushed to, with a token that stands in no command line and no URL.

What is there is kept under `refs/forge/`, beside the branches here: so it is known which commits are only here. Heads
of merge requests that are in no branch there, for they come from forks, are kept apart from its branches.
"""

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path

from quarterdeck.app.outside import GitRemote, RefUpdate
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, UnavailableError
from quarterdeck.core.text import cut, decode
from quarterdeck.forges.local import git, imports

SECONDS = 600.0
THERE = "refs/forge/heads/"
_REQUESTS = "refs/forge/requests/"
_HERE = "refs/heads/"
_NONE = "0" * 40


async def fetch(
    folder: Path, remote: GitRemote, refs: Mapping[str, str] | None, environment: Mapping[str, str]
) -> list[RefUpdate]:
    """Brings in what is there, and moves the branches here that have nothing of their own; see the Protocol."""
    before = await _refs(folder)
    wanted = ["+refs/heads/*:" + THERE + "*", "+refs/tags/*:refs/tags/*"]
    if refs is not None:
        listed = await _listed(folder, remote, environment, list(refs))
        kept = {ref: _kept(ref, branch) for ref, branch in refs.items()}
        wanted = [f"+{ref}:{kept[ref]}" for ref in refs if ref in listed]
        await _forget(folder, [kept[ref] for ref in refs if ref not in listed], before)
    if wanted:
        prune = () if refs is not None else ("--prune",)
        arguments = ("fetch", "--quiet", "--no-write-fetch-head", "--no-auto-maintenance", "--no-tags", *prune)
        fetching = git.run(
            *arguments, "--", remote.url, *wanted,
            directory=folder, environment=await _environment(remote, environment), seconds=SECONDS, wary=True,
        )  # fmt: skip
        _demand(await imports.watched(folder, asyncio.create_task(fetching)), remote)
    now = await _refs(folder)
    if refs is None:
        there = {ref.removeprefix(THERE): ref for ref in {*now, *before} if ref.startswith(THERE)}
    else:
        there = {branch: _kept(ref, branch) for ref, branch in refs.items()}
    return await _follow(folder, before, now, there)


def _kept(ref: str, branch: str) -> str:
    """Where what is there is kept here."""
    return (THERE if ref.startswith(_HERE) else _REQUESTS) + branch


async def push(folder: Path, remote: GitRemote, branch: str, environment: Mapping[str, str]) -> None:
    """Makes a branch there what it is here; see the Protocol."""
    known = await _refs(folder)
    here, there = known.get(_HERE + branch), known.get(THERE + branch)
    if here == there:
        return
    if _REQUESTS + branch in known:
        raise ConflictError(f"{branch} is a fork's, where this server pushes nothing.")
    pushed = await git.run(
        *("push", "--porcelain", "--no-verify", "--", remote.url, f"{here or ''}:{_HERE}{branch}"),
        directory=folder, environment=await _environment(remote, environment), seconds=SECONDS,
    )  # fmt: skip
    said = decode(pushed.output) + pushed.error
    gone = here is None and "remote ref does not exist" in said
    if pushed.exit_code and ("[rejected]" in said or "fetch first" in said):
        raise ConflictError(f"{branch} has commits there that this server doesn't have; nothing was pushed.")
    if not gone:
        _demand(pushed, remote)
    if here is None:
        await _forget(folder, [THERE + branch], known)
    else:
        await git.ask("update-ref", "-m", "pushed", THERE + branch, here, directory=folder)


async def _follow(
    folder: Path, before: Mapping[str, str], now: Mapping[str, str], kept: Mapping[str, str]
) -> list[RefUpdate]:
    """Moves branches here to where they are there, unless they have commits that were never there."""
    moved: list[RefUpdate] = []
    for name, ref in sorted(kept.items()):
        there, here, was = now.get(ref), now.get(_HERE + name), before.get(ref)
        if there == here or (here is not None and here != was and not (there and await _within(folder, here, there))):
            continue
        if here is None and was == there:  # deleted here, and that is not there yet
            continue
        asked = ("update-ref", "-m", "fetched", _HERE + name, there or _NONE, here or _NONE)
        if there is None:
            asked = ("update-ref", "-d", _HERE + name, here or _NONE)
        if (await git.run(*asked, directory=folder)).exit_code == 0:  # else somebody pushes to it at this moment
            moved.append(RefUpdate(ref=_HERE + name, old=here or _NONE, new=there or _NONE))
    return moved


async def _within(folder: Path, old: str, new: str) -> bool:
    return (await git.run("merge-base", "--is-ancestor", old, new, directory=folder)).exit_code == 0


async def _refs(folder: Path) -> dict[str, str]:
    output = decode(
        await git.ask("for-each-ref", "--format=%(objectname) %(refname)", _HERE, "refs/forge/", directory=folder)
    )
    return {ref: sha for sha, _, ref in (line.partition(" ") for line in output.splitlines())}


async def _listed(folder: Path, remote: GitRemote, environment: Mapping[str, str], refs: list[str]) -> set[str]:
    """Those of the refs that are there."""
    told = await git.run(
        *("ls-remote", "--", remote.url, *refs),
        directory=folder, environment=await _environment(remote, environment), seconds=SECONDS,
    )  # fmt: skip
    _demand(told, remote)
    return {line.partition("\t")[2] for line in decode(told.output).splitlines()}


async def _forget(folder: Path, refs: list[str], known: Mapping[str, str]) -> None:
    gone = "".join(f"delete {ref}\n" for ref in refs if ref in known)
    if gone:
        await git.ask("update-ref", "--stdin", directory=folder, stdin=gone.encode())


async def _environment(remote: GitRemote, environment: Mapping[str, str]) -> dict[str, str]:
    """The token as a header for this host alone, and the addresses that the host was found at."""
    settings = {} if remote.private else await _bound(remote)
    pair = base64.b64encode(f"{remote.username}:{remote.secret}".encode()).decode()
    settings["http.extraHeader"] = f"Authorization: Basic {pair}"
    return {**environment, **imports.configured(settings)}


async def _bound(remote: GitRemote) -> dict[str, str]:
    try:
        return await imports.bound(imports.location(remote.url))
    except ForbiddenError:
        raise ForbiddenError(
            f"{remote.url} is on this machine or in its private network; only an administrator connects such a forge."
        ) from None
    except InvalidInputError as error:
        raise UnavailableError(error.message) from error


def _demand(ended: git.Ended, remote: GitRemote) -> None:
    """Raises UnavailableError with git's reason, in which the secret is not."""
    if ended.exit_code:
        said = f"Git could not reach {remote.url}: {cut(ended.reason, 1000).rstrip('.')}."
        raise UnavailableError(said.replace(remote.secret, "[redacted]"))
