import os
import shutil
import stat
import subprocess
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from quarterdeck.core.errors import ConflictError, InvalidInputError, UnavailableError
from quarterdeck.core.protocol import WorkspaceSpec
from quarterdeck.executor.git import GitError
from quarterdeck.executor.snapshots import Snapshot
from quarterdeck.executor.workspace import Source, Workspace
from tests.executor.protocol_server import SESSION_TOKEN, ProtocolServer, git, served

FILES = {"a.txt": "one\ntwo\n", "dir/b.txt": "b\n", "dir/c.txt": "c\n", ".gitignore": "*.o\nbuild/\n"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[ProtocolServer]:
    async with served(tmp_path / "server", FILES) as server:
        yield server


@pytest.fixture
def source(server: ProtocolServer) -> Source:
    async def download(blob: int, target: Path) -> None:
        target.write_bytes(server.blobs[blob])

    return Source(server.url, download, SESSION_TOKEN)


@pytest.fixture
async def workspace(server: ProtocolServer, source: Source, tmp_path: Path) -> AsyncGenerator[Workspace]:
    """A prepared workspace, gone after the test: pytest itself can't delete what some tests put into it."""
    workspace = Workspace(tmp_path / "home" / "session-1")
    assert await workspace.prepare(server.spec(), 1, source)
    yield workspace
    subprocess.run(["rm", "-rf", str(workspace.folder)], check=True)


def marking(place: Path, mark: Path) -> str:
    """A program that leaves a mark when it is run."""
    place.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n", encoding="utf-8")
    place.chmod(0o755)
    return str(place)


def after(spec: WorkspaceSpec, taken: Snapshot, server: ProtocolServer) -> WorkspaceSpec:
    """The spec as the server sends it once it has the snapshot."""
    blob = len(server.blobs) + 1
    server.blobs[blob] = taken.bundle.read_bytes()
    return spec.model_copy(update={"bundle_blob": blob, "snapshot_commit": taken.commit, "step": taken.step})


def dig(folder: Path, name: str, depth: int) -> None:
    """A file at the bottom of so many folders, one within the other, however long its path gets."""
    at = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=at))
    os.close(at)


def tree(root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file() and not name.startswith(".git/"):
            found[name] = path.read_text()
    return found


async def test_it_is_a_clone_at_the_commit_on_the_branch_of_the_session(
    server: ProtocolServer, workspace: Workspace
) -> None:
    assert tree(workspace.files) == FILES
    assert git(workspace.files, "status", "--porcelain", "--branch") == "## quarterdeck/1"
    assert git(workspace.files, "rev-parse", "HEAD", "origin/main").split() == [server.commit] * 2
    assert git(workspace.files, "fsck", "--strict") == ""
    config = (workspace.files / ".git" / "config").read_text()
    assert "url" not in config
    assert "worktree" not in config
    objects = [path for path in (workspace.files / ".git/objects").rglob("*") if path.is_file()]
    assert objects
    assert all(path.stat().st_nlink == 1 for path in objects)
    assert not (workspace.files / ".git/objects/info/alternates").exists()


async def test_a_clone_that_was_cut_off_is_made_anew(
    server: ProtocolServer, source: Source, workspace: Workspace
) -> None:
    (workspace.folder / "state.json").unlink()
    (workspace.files / "a.txt").write_text("half")
    shutil.rmtree(workspace.folder / "shadow.git" / "objects")
    again = Workspace(workspace.folder)
    assert again.state is None
    assert await again.prepare(server.spec(), 1, source)
    assert tree(again.files) == FILES
    assert not await again.prepare(server.spec(), 1, source)


async def test_a_server_that_is_away_can_be_tried_again_and_a_refusal_can_not(
    server: ProtocolServer, source: Source, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "other")
    with pytest.raises(GitError, match="refused the token"):
        await workspace.prepare(server.spec(), 1, replace(source, token="wrong"))
    await server.stop()
    with pytest.raises(UnavailableError):
        await workspace.prepare(server.spec(), 1, source)
    await server.start()
    assert await workspace.prepare(server.spec(), 1, source)


async def test_a_snapshot_holds_every_change_and_restores_elsewhere(
    server: ProtocolServer, source: Source, workspace: Workspace, tmp_path: Path
) -> None:
    files, spec = workspace.files, server.spec()
    assert await workspace.snapshot(spec) is None
    odd = 'new\t"\né.txt'
    (files / "a.txt").rename(files / "renamed.txt")
    shutil.rmtree(files / "dir")
    (files / "dir").symlink_to("/etc")  # a folder with tracked files becomes a way out
    (files / odd).write_text("odd\n")
    (files / "binary").write_bytes(bytes(range(256)))
    (files / "outside").symlink_to("/etc/passwd")
    (files / "build").mkdir()
    (files / "build" / "ignored").write_text("x")
    os.mkfifo(files / "pipe")
    first = await workspace.snapshot(spec)
    assert first
    assert first.step == 1
    assert {(file.path, file.change, file.added, file.removed) for file in first.files} == {
        ("renamed.txt", "renamed", 0, 0), ("dir/b.txt", "deleted", 0, 1), ("dir/c.txt", "deleted", 0, 1),
        ("dir", "added", 1, 0), (odd, "added", 1, 0), ("binary", "added", 0, 0), ("outside", "added", 1, 0),
    }  # fmt: skip
    assert "root:" not in first.whole_diff.read_text()
    workspace.settle(1, first.step, first.commit)
    assert await workspace.snapshot(spec) is None

    (files / odd).unlink()
    (files / "binary").unlink()
    second = await workspace.snapshot(spec)
    assert second
    assert second.step == 2
    assert {(file.path, file.change) for file in second.files} == {(odd, "deleted"), ("binary", "deleted")}
    assert "renamed.txt" in second.whole_diff.read_text()
    assert "renamed.txt" not in second.step_diff.read_text()

    later = after(spec, second, server)
    other = Workspace(tmp_path / "elsewhere")
    assert await other.prepare(later, 2, source)
    expected = {name: text for name, text in tree(files).items() if not name.startswith("build/")}
    assert tree(other.files) == expected
    assert os.readlink(other.files / "outside") == "/etc/passwd"
    assert await other.snapshot(later) is None
    (files / "renamed.txt").write_text("nobody was told of this\n")
    assert not await workspace.prepare(later, 1, source)
    assert await workspace.prepare(later, 3, source)
    assert tree(files) == tree(other.files) | {"build/ignored": "x"}


async def test_nothing_of_a_hostile_workspace_is_run_by_host_git(
    server: ProtocolServer, source: Source, workspace: Workspace, tmp_path: Path
) -> None:
    mark, files = tmp_path / "mark", workspace.files
    program = marking(tmp_path / "program", mark)
    nested = files / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    (nested / "inner.txt").write_text("inner\n")
    git(nested, "add", "-A")
    git(nested, "commit", "-q", "-m", "inner")
    for place in (files, nested):
        for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "core.pager",
                    "diff.external", "core.sshCommand", "core.editor", "gpg.program"):  # fmt: skip
            git(place, "config", key, program)
        git(place, "config", "commit.gpgSign", "true")
        hooks = place / ".git" / "hooks"
        hooks.mkdir(exist_ok=True)
        for hook in ("pre-commit", "post-checkout", "post-commit", "reference-transaction", "post-index-change"):
            marking(hooks / hook, mark)
        (place / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    (files / "a.txt").write_text("changed\n")
    (nested / "inner.txt").write_text("changed inside\n")
    empty = files / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    (empty / "file").write_text("of a repository without a commit\n")

    taken = await workspace.snapshot(server.spec())
    assert taken
    assert {file.path for file in taken.files} == {
        ".gitattributes", "a.txt", "empty/file", "nested/.gitattributes", "nested/inner.txt",
    }  # fmt: skip
    (nested / "inner.txt").write_text("and again\n")
    (nested / "later.txt").write_text("later\n")
    commit = await workspace.commit(server.spec(), "All", source)
    assert {"nested/inner.txt", "nested/later.txt"} <= {file.path for file in commit.files}
    assert await workspace.prepare(after(server.spec(), taken, server), 2, source)
    assert (nested / "inner.txt").read_text() == "changed inside\n"
    assert not mark.exists()


async def test_what_is_too_large_or_unreadable_is_left_out_and_named(
    server: ProtocolServer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quarterdeck.executor.snapshots.FILE_BYTES", 1000)
    (workspace.files / "large").write_bytes(b"x" * 1001)
    (workspace.files / "small").write_text("small\n")
    taken = await workspace.snapshot(server.spec())
    assert taken
    assert [file.path for file in taken.files] == ["small"]
    assert taken.left_out == ("large",)


async def test_commits_follow_each_other_on_the_branch(
    server: ProtocolServer, source: Source, workspace: Workspace
) -> None:
    spec = server.spec()
    with pytest.raises(InvalidInputError, match="nothing to commit"):
        await workspace.commit(spec, "Nothing", source)
    repo, branch = server.folder / "repo.git", "quarterdeck/1"
    parents = [server.commit]
    for text in ("first\n", "second\n"):
        (workspace.files / "a.txt").write_text(text)
        commit = await workspace.commit(spec, f"Make it {text}", source)
        assert commit.branch == branch
        assert [file.path for file in commit.files] == ["a.txt"]
        git(repo, "fetch", "-q", str(commit.bundle), f"refs/heads/{branch}:refs/heads/{branch}")
        assert git(repo, "rev-parse", f"{branch}^") == parents[-1]
        parents.append(commit.commit)
    assert git(repo, "log", "-1", "--format=%an %ae %cn %ce", branch) == (
        "Ada ada@example.org Quarterdeck q@example.org"
    )
    with pytest.raises(InvalidInputError, match=parents[-1][:10]):
        await workspace.commit(spec, "Nothing more", source)
    again = await workspace.commit(spec, "Make it second\n", source)
    assert (again.commit, [file.path for file in again.files]) == (parents[-1], ["a.txt"]), "a repeat is no new commit"

    work = server.folder / "person"
    git(server.folder, "clone", "-q", "-b", branch, "repo.git", "person")
    (work / "by_hand.txt").write_text("mine\n")
    git(work, "add", "-A")
    git(work, "-c", "user.email=q@example.org", "commit", "-q", "-m", "By hand")
    git(work, "push", "-q", "origin", branch)
    (workspace.files / "a.txt").write_text("third\n")
    with pytest.raises(ConflictError, match="didn't make"):
        await workspace.commit(spec, "Would undo it", source)
    tip = git(repo, "rev-parse", branch)
    fork = await workspace.commit(spec.model_copy(update={"branch_commit": tip}), "On from there", source)
    git(repo, "fetch", "-q", str(fork.bundle), f"refs/heads/{branch}:refs/heads/{branch}")
    assert git(repo, "rev-parse", f"{branch}^") == tip, "what a fork's branch begins with is no stranger's"


async def test_it_can_be_deleted_whatever_is_in_it(workspace: Workspace) -> None:
    deep = workspace.files / "locked" / "deep"
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    (workspace.files / "link").symlink_to("/")
    deep.chmod(0)
    deep.parent.chmod(0)
    dig(workspace.files, "a-long-name", 1_500)
    await workspace.delete()
    assert not workspace.folder.exists()
    await workspace.delete()


async def test_a_list_of_files_stays_small_enough_to_be_told(server: ProtocolServer, workspace: Workspace) -> None:
    for number in range(1_200):
        (workspace.files / f"{number:0240}").touch()
    taken = await workspace.snapshot(server.spec())
    assert taken
    assert taken.files_changed == 1_200
    told = sum(len(file.model_dump_json()) + 1 for file in taken.files)
    assert 200 * 1024 < told <= 256 * 1024


async def test_no_depth_and_no_number_of_repositories_stops_a_snapshot(
    server: ProtocolServer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quarterdeck.executor.snapshots.NESTED_REPOSITORIES", 3)
    nested = workspace.files
    for name in ("r1", "r2", "r3", "r4"):
        nested /= name
        nested.mkdir()
        git(nested, "init", "-q")
        (nested / "file").write_text(name)
    dig(workspace.files, "d", 1_200)
    taken = await workspace.snapshot(server.spec())
    assert taken
    assert {file.path for file in taken.files} == {
        "r1/file", "r1/r2/file", "r1/r2/r3/file", "d/" * 1_200 + "file",
    }  # fmt: skip
    assert taken.left_out == ("r1/r2/r3/r4/",)


async def test_names_links_and_settings_that_lead_elsewhere(
    server: ProtocolServer, source: Source, workspace: Workspace, tmp_path: Path
) -> None:
    """What `.git` says of other places is nothing to the host, and no file that is none stops or leaves a snapshot."""
    files, mark, spec = workspace.files, tmp_path / "mark", server.spec()
    program = marking(tmp_path / "program", mark)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    git(elsewhere, "init", "-q")
    (elsewhere / "secret.txt").write_text("the server's\n")
    git(elsewhere, "add", "-A")
    git(elsewhere, "commit", "-q", "-m", "secret")
    secret = git(elsewhere, "rev-parse", "HEAD")
    own = files / ".git"
    (tmp_path / "included").write_text(f"[core]\n\tfsmonitor = {program}\n\thooksPath = {tmp_path}\n")
    for key, value in (
        ("include.path", str(tmp_path / "included")), ("credential.helper", f"!{program}"),
        (f"url.ext::{program}.insteadOf", server.url), ("core.worktree", str(elsewhere)),
        ("core.alternateRefsCommand", program), ("uploadpack.packObjectsHook", program),
        ("protocol.ext.allow", "always"), ("core.gitProxy", program), ("remote.origin.uploadpack", program),
    ):  # fmt: skip
        git(files, "config", key, value)
    (own / "objects" / "info").mkdir(exist_ok=True)
    (own / "objects" / "info" / "alternates").write_text(f"{elsewhere}/.git/objects\n")
    (own / "HEAD").write_text(f"{secret}\n")
    (files / ".gitmodules").write_text(
        f'[submodule "../../evil"]\n\tpath = -u./x\n\turl = ext::{program}\n\tupdate = !{program}\n'
    )
    (files / "gitlink").mkdir()
    (files / "gitlink" / ".git").write_text(f"gitdir: {elsewhere}/.git\n")
    (files / "gitlink" / "own.txt").write_text("own\n")
    (files / "up").symlink_to(elsewhere)
    os.mknod(files / "socket", stat.S_IFSOCK | 0o600)
    os.mkfifo(files / "fifo")
    odd = os.fsencode(files) + b"/line\nend \xff\xfe"
    with open(odd, "w", encoding="utf-8") as file:
        file.write("odd\n")
    with (files / "sparse").open("wb") as file:
        file.truncate(10 * 1024**4)
    # What is a repository's own folder on some system, and goes into no tree.
    unwanted = (".GIT/config", ".git /config", ".g\u200cit/config", "git~1/config", "deep/.git::$INDEX_ALLOCATION/x")
    unwanted += ("x\\.git", "a\\git~1", ".\u200cgit/config", "\u200c.git/config")
    for name in unwanted:
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text(f"[core]\n\tfsmonitor = {program}\n")
    for name in (".gitmodules", "GITMOD~1"):
        (files / "deep" / name).symlink_to(elsewhere / "secret.txt")
    (files / ".github").mkdir()
    (files / ".github" / "kept").touch()

    taken = await workspace.snapshot(spec)

    assert taken
    shown = {file.path for file in taken.files}
    assert shown == {".github/kept", ".gitmodules", "gitlink/own.txt", "up", "line\nend \ufffd\ufffd"}
    assert set(taken.left_out) == {"sparse", "deep/.gitmodules", "deep/GITMOD~1", *unwanted}
    commit = await workspace.commit(spec, "All", source)
    for bundle in (taken.bundle, commit.bundle):
        git(tmp_path, "clone", "-q", str(server.folder / "repo.git"), bundle.stem)
        git(tmp_path / bundle.stem, "-c", "fetch.fsckObjects=true", "fetch", "-q", str(bundle), "+refs/*:refs/taken/*")
        assert secret not in git(tmp_path / bundle.stem, "cat-file", "--batch-all-objects", "--batch-check")
    assert b"the server's" not in taken.whole_diff.read_bytes()
    assert await workspace.prepare(after(spec, taken, server), 2, source)
    assert (elsewhere / "secret.txt").read_text() == "the server's\n"
    assert not mark.exists()


async def test_a_hundred_thousand_files(server: ProtocolServer, workspace: Workspace) -> None:
    for number in range(100):
        folder = workspace.files / f"{number}"
        folder.mkdir()
        for name in range(1_000):
            os.close(os.open(folder / f"{name}", os.O_CREAT | os.O_WRONLY))
    taken = await workspace.snapshot(server.spec())
    assert taken
    assert taken.files_changed == 100_000
    assert len(taken.files) <= 2_000
    (workspace.files / "5" / "5").write_text("changed\n")
    workspace.settle(1, taken.step, taken.commit)
    second = await workspace.snapshot(server.spec())
    assert second
    assert [(file.path, file.added) for file in second.files] == [("5/5", 1)]
