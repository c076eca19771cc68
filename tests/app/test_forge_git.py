"""Branches of a repository elsewhere, followed and pushed to: nothing that is only here is lost, and nothing there."""

from pathlib import Path

import pytest

from quarterdeck.app.application import App
from quarterdeck.app.outside import GitRemote
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, UnavailableError
from quarterdeck.forges.local import git

SECRET = "a-secret-that-stands-nowhere"
HERE = 1


async def commit(folder: Path, branch: str, base: str | None, text: str) -> str:
    stream = f"commit refs/heads/{branch}\ncommitter Ada <a@b> now\ndata 4\nwork\n"
    stream += f"from refs/heads/{base}^0\n" if base else ""
    stream += f"M 100644 inline text\ndata {len(text)}\n{text}\n"
    await git.ask("fast-import", "--quiet", "--date-format=now", directory=folder, stdin=stream.encode())
    return await head(folder, branch)


async def head(folder: Path, branch: str) -> str:
    found = await git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", directory=folder)
    return found.output.decode().strip()


@pytest.fixture
async def there(app: App, tmp_path: Path) -> Path:
    """A repository elsewhere with two branches, and an empty one here."""
    folder = tmp_path / "there.git"
    await git.ask("init", "--quiet", "--bare", "--initial-branch=main", str(folder))
    await commit(folder, "main", None, "one")
    await commit(folder, "work", "main", "two")
    await app.forge.create(HERE, source=None)
    return folder


def remote(there: Path) -> GitRemote:
    return GitRemote(f"file://{there}", "x-access-token", SECRET, private=True)


async def test_branches_follow_and_lose_nothing(app: App, there: Path) -> None:
    here, far = app.home / "repositories" / f"{HERE}.git", remote(there)
    moved = await app.forge.fetch_from(HERE, far, None)
    assert {one.branch for one in moved} == {"main", "work"}
    assert await app.forge.fetch_from(HERE, far, None) == []
    newer = await commit(there, "main", "main", "three")
    (one,) = await app.forge.fetch_from(HERE, far, {"refs/heads/main": "main"})
    assert (one.branch, one.new) == ("main", newer)
    mine = await commit(here, "work", "work", "mine")
    await commit(there, "work", "work", "theirs")
    assert await app.forge.fetch_from(HERE, far, None) == []
    assert await head(here, "work") == mine, "what is only here stays"
    with pytest.raises(ConflictError, match="has commits there"):
        await app.forge.push_to(HERE, far, "work")
    await git.ask("update-ref", "-d", "refs/heads/main", directory=there)
    (gone,) = await app.forge.fetch_from(HERE, far, {"refs/heads/main": "main"})
    assert (gone.branch, gone.deletes) == ("main", True)


async def test_what_is_pushed_is_there_and_comes_back_as_no_news(app: App, there: Path) -> None:
    here, far = app.home / "repositories" / f"{HERE}.git", remote(there)
    await app.forge.fetch_from(HERE, far, None)
    made = await commit(here, "agent/fix", "main", "fix")
    for _ in range(2):
        await app.forge.push_to(HERE, far, "agent/fix")
    assert await head(there, "agent/fix") == made
    assert await app.forge.fetch_from(HERE, far, None) == []
    await git.ask("update-ref", "-d", "refs/heads/agent/fix", directory=here)
    assert await app.forge.fetch_from(HERE, far, None) == [], "deleted here, and not brought back"
    for _ in range(2):
        await app.forge.push_to(HERE, far, "agent/fix")
    assert await head(there, "agent/fix") == ""
    listed = await git.ask("ls-remote", f"file://{here}", directory=there)
    assert b"refs/forge/" not in listed, "what is kept of there is nobody's to fetch"


async def test_heads_of_forks_stay_and_are_nobodys_to_push(app: App, there: Path) -> None:
    here, far = app.home / "repositories" / f"{HERE}.git", remote(there)
    fork = await commit(there, "fork", "main", "from a fork")
    await git.ask("update-ref", "refs/pull/7/head", fork, directory=there)
    await git.ask("update-ref", "-d", "refs/heads/fork", directory=there)
    (one,) = await app.forge.fetch_from(HERE, far, {"refs/pull/7/head": "pull/7"})
    assert (one.branch, one.new) == ("pull/7", fork)
    await app.forge.fetch_from(HERE, far, None)
    assert await head(here, "pull/7") == fork, "a look at all branches doesn't take it for one that is gone"
    await commit(here, "pull/7", "pull/7", "mine")
    with pytest.raises(ConflictError, match="a fork's"):
        await app.forge.push_to(HERE, far, "pull/7")


async def test_what_can_not_be_reached_is_told_without_the_secret(app: App, there: Path, tmp_path: Path) -> None:
    nowhere = GitRemote(f"http://x-access-token:{SECRET}@127.0.0.1:9/x.git", "x", SECRET, private=True)
    for act in (app.forge.fetch_from(HERE, nowhere, None), app.forge.fetch_from(HERE, nowhere, {"refs/heads/a": "a"})):
        with pytest.raises(UnavailableError) as told:
            await act
        assert SECRET not in told.value.message
    private = GitRemote("http://127.0.0.1:9/x.git", "x", SECRET, private=False)
    with pytest.raises(ForbiddenError, match="administrator"):
        await app.forge.fetch_from(HERE, private, None)
    with pytest.raises(InvalidInputError, match="name of a branch"):
        await app.forge.fetch_from(HERE, remote(there), {"refs/heads/a": "../../config"})
