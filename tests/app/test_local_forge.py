import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from quarterdeck.app.outside import Author
from quarterdeck.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from quarterdeck.forges.local import imports, remembered, repository
from quarterdeck.forges.local.git import GitError
from quarterdeck.forges.local.repository import LocalForge

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}
ADA = Author("Ada", "ada@example.com")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path, message: str, **files: str) -> str:
    for name, text in files.items():
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "--allow-empty", "-qm", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def forge(tmp_path: Path) -> LocalForge:
    return LocalForge(tmp_path / "home")


@pytest.fixture
async def work(forge: LocalForge, tmp_path: Path) -> Path:
    """Project 1 made from a repository with three branches, and a clone of it."""
    origin = tmp_path / "origin"
    git(tmp_path, "init", "-q", "-b", "trunk", str(origin))
    commit(origin, "first", readme="hello\n", other="x\n")
    git(origin, "tag", "v1")
    git(origin, "checkout", "-qb", "feature")
    commit(origin, "on feature", new="new\n")
    git(origin, "checkout", "-q", "trunk")
    git(origin, "checkout", "-qb", "clash")
    commit(origin, "clashing", readme="clash\n")
    git(origin, "checkout", "-q", "trunk")
    commit(origin, "second ü", readme="hello again\n")
    assert await forge.create(1, source=str(origin), private=True) == "trunk"
    git(tmp_path, "clone", "-q", str(forge.folder(1)), "work")
    return tmp_path / "work"


async def test_what_a_cloned_repository_has(forge: LocalForge, work: Path) -> None:
    head = git(work, "rev-parse", "origin/trunk")
    first = git(work, "rev-parse", "v1")
    assert set(await forge.branches(1)) == {"trunk", "feature", "clash"}
    assert (await forge.branches(1))["trunk"] == head
    assert await forge.commit_of(1, "trunk") == head == await forge.commit_of(1, "HEAD")
    assert await forge.commit_of(1, "v1") == first == await forge.commit_of(1, first[:9])
    for ref in ("nothing", "trunk~1", ":/first", "--all", "", "a..b", "0" * 40, "trunk@{0}", "x" * 999):
        with pytest.raises(NotFoundError):
            await forge.commit_of(1, ref)
    assert await forge.read(1, "trunk", "readme") == b"hello again\n"
    assert await forge.read(1, first, "readme") == b"hello\n"
    for path in ("none", "", "../readme", "/etc/passwd", ".", ":/readme", "read*"):
        assert await forge.read(1, "trunk", path) is None
    asked = ["readme", "none", "../readme", "", "a\nb", "other", "readme"]
    assert [(one.path, one.data) for one in await forge.files(1, "trunk", asked, limit=11)] == [
        ("readme", None), ("other", b"x\n"), ("readme", None),
    ]  # fmt: skip
    assert [one.data for one in await forge.files(1, "trunk", ["readme"], limit=12)] == [b"hello again\n"]
    assert await forge.files(1, "trunk", [], limit=1) == []
    assert await forge.named(1, "trunk", "readme", limit=9) == ["readme"]
    assert await forge.named(1, "trunk", "eadme", limit=9) == await forge.named(1, "trunk", "readme", limit=0) == []
    newest, oldest = await forge.commits(1, "trunk", 10)
    assert (newest.title, newest.author, newest.sha) == ("second ü", "Ada", head)
    assert oldest.at.tzinfo is not None
    diff = await forge.diff(1, "trunk", "feature")
    assert b"+new" in diff
    assert b"hello again" not in diff


async def test_what_a_commit_says_is_asked_once_and_where_a_branch_stands_each_time(
    forge: LocalForge, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, head = forge.folder(1), git(work, "rev-parse", "origin/trunk")
    for _ in range(2):
        assert [one.data for one in await forge.files(1, head, ["readme"], limit=99)] == [b"hello again\n"]
        assert await forge.named(1, head, "readme", limit=9) == ["readme"]
        assert [one.path for one in await forge.tree(1, head, "", recursive=False, limit=9)] == ["other", "readme"]
        with pytest.raises(NotFoundError, match="no folder"):
            await forge.tree(1, head, "skills", recursive=False, limit=9)
        with monkeypatch.context() as without:  # what was asked once needs no git
            without.setenv("PATH", "/nonexistent")
            assert [one.data for one in await forge.files(1, head, ["readme"], limit=99)] == [b"hello again\n"]
            assert await forge.named(1, head, "readme", limit=9) == ["readme"]
            with pytest.raises(NotFoundError, match="no folder"):
                await forge.tree(1, head, "skills", recursive=False, limit=9)
            assert await forge.commit_of(1, "trunk") == head, "its own file or the packed ones say it"
            with pytest.raises(UnavailableError):
                await forge.files(1, "trunk", ["readme"], limit=99)
        git(folder, "pack-refs", "--all")
    moved = git(work, "rev-parse", "v1")
    git(folder, "update-ref", "refs/heads/trunk", moved)
    assert await forge.commit_of(1, "trunk") == moved, "the file holds, not what is packed"
    assert [one.data for one in await forge.files(1, "trunk", ["readme"], limit=99)] == [b"hello\n"]
    git(folder, "update-ref", "-d", "refs/heads/trunk")
    with pytest.raises(NotFoundError):
        await forge.commit_of(1, "trunk")
    for unknown in ("0" * 40, "f" * 40):
        with pytest.raises(NotFoundError):
            await forge.files(1, unknown, ["readme"], limit=99)
    assert await forge.files(1, head, ["other"], limit=1) != await forge.files(1, head, ["other"], limit=99)
    await forge.delete(1)
    with pytest.raises(NotFoundError):
        await forge.files(1, head, ["readme"], limit=99)


async def test_what_a_deleted_commit_said_is_forgotten(
    forge: LocalForge, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, kept = git(work, "rev-parse", "origin/feature"), git(work, "rev-parse", "origin/trunk")
    another = LocalForge(forge.folder(1).parent.parent)  # as another process has it
    for one in (forge, another):
        assert await one.named(1, head, "new", limit=9) == ["new"]
        assert await one.named(1, kept, "readme", limit=9) == ["readme"]
    await forge.delete_branches(1, {"feature": head})
    assert await forge.named(1, head, "new", limit=9) == ["new"], "git has it until it tidies up"
    await forge.prune(1, timedelta())
    with pytest.raises(NotFoundError):
        await forge.named(1, head, "new", limit=9)
    monkeypatch.setattr(remembered, "SECONDS", -1)
    with pytest.raises(NotFoundError):
        await another.named(1, head, "new", limit=9)
    for one in (forge, another):
        assert await one.named(1, kept, "readme", limit=9) == ["readme"]


async def test_half_an_answer_is_none(
    forge: LocalForge, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git(work, "rev-parse", "origin/trunk")
    dying = tmp_path / "bin" / "git"
    dying.parent.mkdir()
    dying.write_text(
        f"#!/bin/sh\n[ $1 = ls-tree ] || exec {shutil.which('git')} \"$@\"\nprintf 'other\\0'; kill -9 $$\n"
    )
    dying.chmod(0o700)
    with monkeypatch.context() as killed:
        killed.setenv("PATH", f"{dying.parent}:{os.environ['PATH']}")
        for _ in range(2):
            with pytest.raises(GitError):
                await forge.named(1, head, "readme", limit=9)
    assert await forge.named(1, head, "readme", limit=9) == ["readme"]


async def test_empty_and_sample_and_gone(forge: LocalForge) -> None:
    assert await forge.create(1, source=None) == "main"
    assert await forge.branches(1) == {}
    with pytest.raises(NotFoundError):
        await forge.commit_of(1, "main")
    with pytest.raises(ConflictError):
        await forge.create(1, source=None)
    assert await forge.create(2, source="sample:") == "main"
    text = await forge.read(2, "main", ".gitlab-ci.yml")
    assert text is not None
    assert (await forge.read_ci(1, text.decode(), ref="main", sha="a" * 40, default_branch="main", source="push")).jobs
    await forge.delete(2)
    await forge.delete(2)
    with pytest.raises(NotFoundError):
        await forge.branches(2)
    assert sorted(path.name for path in forge.folder(1).parent.iterdir()) == ["1.git"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/nonexistent/place", "does not"),
        ("relative/path", "absolute path"),
        ("ssh://example.com/x", "http, https and paths"),
        ("git@example.com:x.git", "http, https and paths"),
        ("ext::sh -c touch% /tmp/owned", "http, https and paths"),
        ("https://user:secret@example.com/x.git", "user or password"),
        ("http://127.0.0.1:1/x.git", "Failed to connect|unable to access"),
        ("--upload-pack=/bin/sh", "absolute path"),
    ],
)
async def test_a_source_that_cannot_be_cloned(forge: LocalForge, source: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as caught:
        await forge.create(1, source=source, private=True)
    assert "secret" not in caught.value.message
    assert list(forge.folder(1).parent.iterdir()) == []


@pytest.mark.parametrize(
    "source",
    [
        "/tmp", "http://127.0.0.1:1/x.git", "http://2130706433/x.git", "https://localhost/x.git", "http://10.0.0.1/x.git",
        "http://169.254.169.254/latest", "http://100.64.0.1/x.git", "http://0.0.0.0/x.git",
    ],
)  # fmt: skip
async def test_what_is_private_is_not_cloned_for_everybody(forge: LocalForge, source: str) -> None:
    with pytest.raises(ForbiddenError, match="nly an administrator"):
        await forge.create(1, source=source)
    for odd in ("http://[::1]/x.git", "http://a\\@b/x.git", "http://127%2e0.0.1/x.git", "http://a:99999/x.git"):
        with pytest.raises(InvalidInputError):
            await forge.create(1, source=odd)


async def test_a_public_name_is_asked_at_its_address_and_nowhere_else(
    forge: LocalForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /y.git/info/refs?service=git-upload-pack\r\n")
        writer.write(b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    def resolve(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        assert host == "git.example"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    def public(_: str) -> bool:
        return True

    async with await asyncio.start_server(redirect, "127.0.0.1", 0) as server:
        monkeypatch.setattr(imports, "_public", public)
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with pytest.raises(InvalidInputError, match="302"):
            await forge.create(1, source=f"http://git.example:{server.sockets[0].getsockname()[1]}/x.git")
    assert asked == [b"GET /x.git/info/refs?service=git-upload-pack HTTP/1.1\r\n"]


async def test_a_source_that_is_too_large_is_given_up(
    forge: LocalForge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "SOURCE_BYTES", 500_000)
    git(tmp_path, "init", "-q", "origin")
    (tmp_path / "origin" / "large").write_bytes(os.urandom(1_000_000))
    commit(tmp_path / "origin", "large")
    with pytest.raises(InvalidInputError, match="more than 500,000 bytes"):
        await forge.create(1, source=str(tmp_path / "origin"), private=True)
    assert list(forge.folder(1).parent.iterdir()) == []


async def test_a_large_file_is_not_read(forge: LocalForge, work: Path) -> None:
    commit(work, "large", large="x" * (repository.FILE_BYTES + 1))
    git(work, "push", "-q", "origin", "HEAD:refs/heads/large")
    with pytest.raises(TooLargeError):
        await forge.read(1, "large", "large")


async def test_merges(forge: LocalForge, work: Path) -> None:
    before = await forge.commit_of(1, "trunk")
    with pytest.raises(ConflictError, match="readme"):
        await forge.merge(1, source="clash", target="trunk", message="m", author=ADA)
    assert await forge.commit_of(1, "trunk") == before
    made = await forge.merge(1, source="feature", target="trunk", message="Take it in", author=ADA)
    assert await forge.commit_of(1, "trunk") == made
    assert await forge.read(1, "trunk", "new") == b"new\n"
    assert await forge.read(1, "trunk", "readme") == b"hello again\n"
    git(work, "fetch", "-q")
    assert (
        git(work, "log", "-1", "--format=%an %s %P", made)
        == f"Ada Take it in {before} {git(work, 'rev-parse', 'origin/feature')}"
    )
    assert await forge.merge(1, source="feature", target="trunk", message="again", author=ADA) == made
    git(work, "checkout", "-q", "--orphan", "alone")
    commit(work, "alone")
    git(work, "push", "-q", "origin", "alone")
    with pytest.raises(ConflictError, match="unrelated"):
        await forge.merge(1, source="alone", target="trunk", message="m", author=ADA)


def bundle(work: Path, *what: str) -> Path:
    git(work, "bundle", "create", "-q", "../b.bundle", *what)
    return work.parent / "b.bundle"


async def test_a_bundle_moves_its_branch(forge: LocalForge, work: Path) -> None:
    git(work, "checkout", "-qb", "session/1")
    one = commit(work, "one", a="1")
    for _ in range(2):  # a repeated push comes to the same
        await forge.push_bundle(1, bundle(work, "origin/trunk..session/1"), branch="session/1", commit=one)
    two = commit(work, "two", a="2")
    await forge.push_bundle(1, bundle(work, f"{one}..session/1"), branch="session/1", commit=two)
    assert await forge.commit_of(1, "session/1") == two
    git(forge.folder(1), "fsck", "--strict")
    assert not list(Path("/tmp").glob(f"quarterdeck-bundle-*/{two}"))


async def test_bundles_that_are_refused(forge: LocalForge, work: Path, tmp_path: Path) -> None:
    git(work, "checkout", "-qb", "s")
    one = commit(work, "one", a="1")
    whole = bundle(work, "origin/trunk..s")
    refs = await forge.branches(1)

    async def refused(path: Path, kind: type[Exception], *, branch: str = "s", commit: str = one) -> str:
        with pytest.raises(kind) as caught:
            await forge.push_bundle(1, path, branch=branch, commit=commit)
        return str(caught.value)

    assert "default branch" in await refused(whole, InvalidInputError, branch="trunk")
    assert "one ref" in await refused(whole, InvalidInputError, commit=refs["trunk"])
    for name in ("../x", "-x", "a b", "x.lock", ""):
        assert "name of a branch" in await refused(whole, InvalidInputError, branch=name)
    data = whole.read_bytes()
    broken = tmp_path / "broken.bundle"
    for spoiled in (b"", b"junk", data[:-30], data[:-40] + b"\0" * 40):
        broken.write_bytes(spoiled)
        assert "bundle can't be" in await refused(broken, InvalidInputError)
    two = commit(work, "two", a="2")
    assert "can't be used" in await refused(bundle(work, f"{one}..s"), InvalidInputError, commit=two)
    git(work, "branch", "t")
    assert "one ref" in await refused(bundle(work, "origin/trunk..s", "t"), InvalidInputError, commit=two)
    # Rewriting: the branch stands at `two`, the bundle brings another child of trunk.
    await forge.push_bundle(1, bundle(work, "origin/trunk..s"), branch="s", commit=two)
    git(work, "reset", "-q", "--hard", "origin/trunk")
    other = commit(work, "other", a="3")
    await refused(bundle(work, "origin/trunk..s"), ConflictError, commit=other)
    assert await forge.branches(1) == {**refs, "s": two}


async def test_objects_that_git_would_not_make_are_refused(forge: LocalForge, work: Path) -> None:
    blob = git(work, "hash-object", "-w", "readme")
    tree = (
        subprocess.run(
            ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"],
            cwd=work,
            env=ENVIRONMENT,
            check=True,
            capture_output=True,
            input=b"100644 .git\0" + bytes.fromhex(blob),
        )
        .stdout.decode()
        .strip()
    )
    bad = git(work, "commit-tree", "-p", "origin/trunk", "-m", "evil", tree)
    git(work, "branch", "evil", bad)
    with pytest.raises(InvalidInputError, match="refused"):
        await forge.push_bundle(1, bundle(work, "origin/trunk..evil"), branch="evil", commit=bad)
    assert "evil" not in await forge.branches(1)


async def test_a_request_that_is_given_up_leaves_no_process(forge: LocalForge, work: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"0011command=fetch"
        await asyncio.Event().wait()

    answer = forge.serve(1, service="git-upload-pack", body=endless(), advertise=False, protocol="version=2")

    async def read() -> None:
        async for _ in answer:
            pass

    reading = asyncio.create_task(read())
    wanted = f"upload-pack\0--stateless-rpc\0{forge.folder(1)}".encode()

    def running() -> bool:
        return any(wanted in _command(path) for path in Path("/proc").glob("[0-9]*"))

    async with asyncio.timeout(60):
        while not running():
            await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        while running():
            await asyncio.sleep(0.01)


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


async def test_a_commit_says_of_itself_what_it_likes(forge: LocalForge, work: Path) -> None:
    """Times that no calendar has, names and messages without end: they are shown as far as they can be."""
    tree, parent = git(work, "rev-parse", "HEAD^{tree}"), git(work, "rev-parse", "HEAD")
    long = "long " * 200_000
    for at in ("1700000000 +9999", "99999999999999 +0000", "1700000000 +0000"):
        text = f"tree {tree}\nparent {parent}\nauthor {long[:4000]}<a@x> {at}\ncommitter C <c@x> {at}\n\n{long}\n"
        made = subprocess.run(
            ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
            cwd=work, input=text.encode(), capture_output=True, check=True,
        )  # fmt: skip
        git(work, "push", "-q", "--force", "origin", f"{made.stdout.decode().strip()}:refs/heads/odd")
        first, second = await forge.commits(1, "odd", 2)
        assert (first.at.year, second.title) == (9999 if at.startswith("9") else 2023, "second ü")
        assert max(len(first.title), len(first.author)) <= 500
        seen = await forge.commit(1, "odd", limit=100)
        assert seen.commit == first
        assert 200_000 < len(seen.message) < 300_000


async def test_folders_searches_and_commits(forge: LocalForge, work: Path) -> None:
    (work / "src").mkdir()
    (work / "sub dir" / "deep").mkdir(parents=True)
    files = {
        "src/a.py": "def Hello():\n    return 'x'\n",
        "sub dir/deep/li\nne": "say hello twice\nhello\n",
        "bin": "hello \0 hello\n",
        "many": "".join(f"hello {n} {'x' * 500}\n" for n in range(60)),
    }
    head = commit(work, "Wörds\n\nand a body", **files)
    git(work, "push", "-q", "origin", "HEAD:more")
    top = await forge.tree(1, "more", "", recursive=False, limit=50)
    assert [(one.path, one.kind) for one in top] == [
        ("bin", "file"), ("many", "file"), ("other", "file"), ("readme", "file"), ("src", "folder"),
        ("sub dir", "folder"),
    ]  # fmt: skip
    assert [(one.size is None) for one in top] == [False, False, False, False, True, True]
    below = await forge.tree(1, "more", "sub dir/", recursive=True, limit=50)
    assert [one.path for one in below] == ["sub dir/deep", "sub dir/deep/li\nne"]
    assert [one.path for one in await forge.tree(1, "more", "", recursive=True, limit=2)] == ["bin", "many"]
    for path in ("none", "readme", "sr"):
        with pytest.raises(NotFoundError, match="no folder"):
            await forge.tree(1, "more", path, recursive=False, limit=5)
    for path in ("../x", "a//b", "./a", "a\0b"):
        with pytest.raises(InvalidInputError, match="can't be a path"):
            await forge.tree(1, "more", path, recursive=False, limit=5)

    found = await forge.search(1, "more", "HELLO", "", limit=100)
    assert [one.line for one in found if one.path == "many"] == list(range(1, 21)), "one file doesn't hide the others"
    assert {len(one.text) for one in found if one.path == "many"} == {300}
    assert [(one.path, one.line, one.text) for one in found if one.path != "many"] == [
        ("readme", 1, "hello again"),
        ("src/a.py", 1, "def Hello():"),
        ("sub dir/deep/li\nne", 1, "say hello twice"),
        ("sub dir/deep/li\nne", 2, "hello"),
    ]
    assert [one.path for one in await forge.search(1, "more", "hello", "src", limit=9)] == ["src/a.py"]
    assert len(await forge.search(1, "more", "hello", "", limit=3)) == 3
    for nothing in ("-e", "h.llo", "--open-files-in-pager=touch x", "hello\\|x"):
        assert await forge.search(1, "more", nothing, "", limit=9) == []
    for wrong in ("", " ", "a\nb", "a\0"):
        with pytest.raises(InvalidInputError, match="part of one line"):
            await forge.search(1, "more", wrong, "", limit=9)

    (name,) = await forge.files(1, head, ["x blob", "readme"], limit=100)
    assert name.path == "readme", "git's answer for what is missing ends with its name"

    seen = await forge.commit(1, "more", limit=100_000)
    assert (seen.commit.sha, seen.commit.title, seen.commit.author) == (head, "Wörds", "Ada")
    assert (seen.message, len(seen.parents), seen.cut_off) == ("Wörds\n\nand a body", 1, False)
    assert b"+def Hello():" in seen.diff
    short = await forge.commit(1, "more", limit=1_000)
    assert (len(short.diff), short.cut_off) == (1_000, True)
    assert seen.diff.startswith(short.diff)
    first = await forge.commit(1, "v1", limit=10_000)
    assert first.parents == ()
    assert b"+hello" in first.diff
    merged = await forge.merge(1, source="feature", target="trunk", message="Merge it", author=ADA)
    assert b"+new" in (await forge.commit(1, merged, limit=10_000)).diff
    with pytest.raises(NotFoundError):
        await forge.commit(1, "none", limit=1)


async def test_a_branch_begins_once(forge: LocalForge, work: Path) -> None:
    first, second = git(work, "rev-parse", "origin/trunk^"), git(work, "rev-parse", "origin/trunk")
    for _ in range(2):
        await forge.start_branch(1, "session/9", first)
    with pytest.raises(ConflictError, match="session/9 already"):
        await forge.start_branch(1, "session/9", second)
    assert await forge.commit_of(1, "session/9") == first
    with pytest.raises(NotFoundError):
        await forge.start_branch(1, "session/10", "e" * 40)
