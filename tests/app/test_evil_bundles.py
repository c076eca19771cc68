"""Bundles and pushes made by hand, as no git would make them: each is refused, and the repository is as it was."""

import asyncio
import os
import resource
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path

import pytest

from quarterdeck.app.outside import Author, RefUpdate
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError, TooLargeError
from quarterdeck.core.limits import BUNDLE_BYTES
from quarterdeck.forges.local import bundles, imports
from quarterdeck.forges.local import git as server_git
from quarterdeck.forges.local.pushes import line
from quarterdeck.forges.local.repository import LocalForge

KINDS = {"commit": 1, "tree": 2, "blob": 3, "delta": 7}
BRANCH = "session/1"
FILE, LINK, FOLDER, MODULE = "100644", "120000", "40000", "160000"
Entry = tuple[str, bytes, str]


@dataclass
class Work:
    """Objects that a hostile executor makes, and the bundle of them."""

    trunk: str
    objects: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    raw: list[bytes] = field(default_factory=list[bytes])
    """Entries of the pack as they stand there."""

    def add(self, kind: str, data: bytes) -> str:
        self.objects.append((kind, data))
        return named(kind, data)

    def blob(self, data: bytes = b"evil\n") -> str:
        return self.add("blob", data)

    def tree(self, *entries: Entry) -> str:
        """As given, in this order."""
        return self.add("tree", b"".join(b"%s %s\0%s" % (m.encode(), n, bytes.fromhex(o)) for m, n, o in entries))

    def commit(self, tree: str, message: bytes = b"evil\n", who: bytes = b"E <e@x> 1 +0000", more: bytes = b"") -> str:
        text = b"tree %s\nparent %s\n%sauthor %s\ncommitter %s\n\n" % (
            tree.encode(), self.trunk.encode(), more, who, who,
        )  # fmt: skip
        return self.add("commit", text + message)

    def pack(self, *, count: int | None = None, version: int = 2) -> bytes:
        entries = [entry(kind, data) for kind, data in self.objects] + self.raw
        body = struct.pack(">4sII", b"PACK", version, len(entries) if count is None else count) + b"".join(entries)
        return body + sha1(body, usedforsecurity=False).digest()

    def bundle(
        self,
        commit: str,
        *,
        refs: tuple[bytes, ...] = (b"refs/heads/" + BRANCH.encode(),),
        needs: tuple[str, ...] = (),
        head: bytes = b"# v2 git bundle\n",
        pack: bytes | None = None,
    ) -> bytes:
        lines = [b"-%s \n" % one.encode() for one in needs or (self.trunk,)]
        lines += [b"%s %s\n" % (commit.encode(), ref) for ref in refs]
        return head + b"".join(lines) + b"\n" + (self.pack() if pack is None else pack)


def named(kind: str, data: bytes) -> str:
    return sha1(b"%s %d\0%s" % (kind.encode(), len(data), data), usedforsecurity=False).hexdigest()


def entry(kind: str, data: bytes, base: str = "") -> bytes:
    """An object as a pack has it; of a delta after the name of its base."""
    size = len(data)
    head = bytearray([(KINDS[kind] << 4) | (size & 15)])
    size >>= 4
    while size:
        head[-1] |= 0x80
        head.append(size & 0x7F)
        size >>= 7
    return bytes(head) + bytes.fromhex(base) + zlib.compress(data)


def number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


Evil = tuple[bytes, str]


def files(*entries: tuple[str, bytes]) -> Callable[[Work], Evil]:
    """One commit with these names in its topmost folder."""

    def make(work: Work) -> Evil:
        blob = work.blob()
        commit = work.commit(work.tree(*((mode, name, blob) for mode, name in entries)))
        return work.bundle(commit), commit

    return make


def folder(name: bytes) -> Callable[[Work], Evil]:
    def make(work: Work) -> Evil:
        commit = work.commit(work.tree((FOLDER, name, work.tree((FILE, b"config", work.blob())))))
        return work.bundle(commit), commit

    return make


def modules(text: bytes, mode: str = FILE) -> Callable[[Work], Evil]:
    def make(work: Work) -> Evil:
        tree = work.tree((mode, b".gitmodules", work.blob(text)), (MODULE, b"sub", work.trunk))
        commit = work.commit(tree)
        return work.bundle(commit), commit

    return make


def commits(**how: bytes) -> Callable[[Work], Evil]:
    def make(work: Work) -> Evil:
        commit = work.commit(work.tree((FILE, b"a", work.blob())), **how)
        return work.bundle(commit), commit

    return make


def plain(work: Work) -> str:
    return work.commit(work.tree((FILE, b"a", work.blob())))


def bundled(
    refs: tuple[bytes, ...] | None = None, head: bytes | None = None, needs: tuple[str, ...] = ()
) -> Callable[[Work], Evil]:
    """A good commit in a bundle with another head."""

    def make(work: Work) -> Evil:
        commit = plain(work)
        more = ({"refs": refs} if refs is not None else {}) | ({"head": head} if head else {}) | {"needs": needs}
        return work.bundle(commit, **more), commit  # pyright: ignore[reportArgumentType]

    return make


def spoiled(change: Callable[[Work], bytes]) -> Callable[[Work], Evil]:
    """A good commit in a pack that is not."""

    def make(work: Work) -> Evil:
        commit = plain(work)
        return work.bundle(commit, pack=change(work)), commit

    return make


def flipped(work: Work) -> bytes:
    pack = bytearray(work.pack())
    pack[len(pack) // 2] ^= 0xFF
    return bytes(pack)


def without(kind: str) -> Callable[[Work], Evil]:
    """A pack from which an object is missing."""

    def make(work: Work) -> Evil:
        commit = plain(work)
        work.objects = [one for one in work.objects if one[0] != kind]
        return work.bundle(commit), commit

    return make


def bomb(work: Work) -> Evil:
    """Forty kilobytes that come to more than the server lets git have: a delta that copies its base 160 times."""
    base = bytes(0xFFFFFF)
    delta = number(len(base)) + number(160 * len(base)) + b"\xf0\xff\xff\xff" * 160
    work.blob(base)
    work.raw.append(entry("delta", delta, named("blob", base)))
    commit = plain(work)
    return work.bundle(commit), commit


def inflated(work: Work) -> Evil:
    commit = work.commit(work.tree((FILE, b"large", work.blob(bytes(2_000_000)))))
    return work.bundle(commit), commit


def many(work: Work) -> Evil:
    blobs = [(FILE, b"%04d" % n, work.blob(b"%d" % n)) for n in range(200)]
    commit = work.commit(work.tree(*blobs))
    return work.bundle(commit), commit


def deep(work: Work) -> Evil:
    """Folders in one another, whose name hides from those who read by lines how long the path gets."""
    tree = work.tree((FILE, b"f", work.blob()))
    for _ in range(1_500):
        tree = work.tree((FOLDER, b"d\nd", tree))
    commit = work.commit(tree)
    return work.bundle(commit), commit


def deletion(work: Work) -> Evil:
    plain(work)
    return work.bundle("0" * 40), "0" * 40


def other_commit(work: Work) -> Evil:
    """The ref is at another commit than the executor says."""
    return work.bundle(plain(work)), work.commit(work.tree(), b"other\n")


def trees_commit(work: Work) -> Evil:
    """What it calls a commit is a folder."""
    tree = work.tree((FILE, b"a", work.blob()))
    return work.bundle(tree), tree


MARK = "/tmp/quarterdeck-evil-mark"
URL = b'[submodule "%s"]\n\tpath = %s\n\turl = %s\n'
CASES: dict[str, tuple[str, Callable[[Work], Evil]]] = {
    "git folder": ("refused", folder(b".git")),
    "git folder in capitals": ("refused", folder(b".GIT")),
    "git folder of Windows": ("refused", folder(b"git~1")),
    "git folder and a space": ("refused", folder(b".git ")),
    "git folder of macOS": ("refused", folder(".g\u200cit".encode())),
    "git file": ("refused", files((FILE, b".git"))),
    "git link": ("refused", files((LINK, b".git"))),
    "upwards": ("refused", folder(b"..")),
    "itself": ("refused", folder(b".")),
    "slash": ("refused", files((FILE, b"a/../../b"))),
    "no name": ("unpacked|refused", files((FILE, b""))),
    "twice": ("refused", files((FILE, b"a"), (LINK, b"a"))),
    "unsorted": ("refused", files((FILE, b"b"), (FILE, b"a"))),
    "submodule of an option": ("refused", modules(URL % (b"s", b"sub", b"-u./evil"))),
    "submodule at an option": ("refused", modules(URL % (b"s", b"-evil", b"./x"))),
    "submodule upwards": ("refused", modules(URL % (b"../../hooks", b"sub", b"./x"))),
    "submodule by line feed": ("refused", modules(URL % (b"s", b"sub", b'"https://x/%0ahost=y"'))),
    "submodules by link": ("refused", modules(b"/etc/passwd", LINK)),
    "author": ("refused", commits(who=b"evil")),
    "two parents of nothing": ("refused|unpacked|read", commits(more=b"parent zzz\n")),
    "bytes behind NUL": ("refused|unpacked", commits(more=b"\0\n")),
    "tree for a commit": ("unpacked", trees_commit),
    "other commit": ("one ref", other_commit),
    "deletion": ("one ref|can't be", deletion),
    "no ref": ("one ref", bundled(refs=())),
    "two refs": ("one ref", bundled(refs=(b"refs/heads/" + BRANCH.encode(), b"refs/heads/trunk"))),
    "default branch": ("one ref", bundled(refs=(b"refs/heads/trunk",))),
    "tag": ("one ref", bundled(refs=(b"refs/tags/v1",))),
    "replacement": ("one ref", bundled(refs=(b"refs/replace/" + b"1" * 40,))),
    "head": ("one ref", bundled(refs=(b"HEAD",))),
    "ref upwards": ("one ref|can't be", bundled(refs=(b"refs/heads/../../config",))),
    "ref with a target": ("one ref|can't be", bundled(refs=(b"refs/heads/session/1:refs/heads/trunk",))),
    "ref by force": ("one ref|can't be", bundled(refs=(b"+refs/heads/session/1",))),
    "ref of all": ("one ref|can't be", bundled(refs=(b"refs/heads/*",))),
    "ref of an option": ("one ref|can't be", bundled(refs=(f"--upload-pack=touch${{IFS}}{MARK}".encode(),))),
    "ref with line ends": ("one ref", bundled(refs=(b"refs/heads/session/1\r",))),
    "ref with NUL": ("one ref|can't be", bundled(refs=(b"refs/heads/session/1\0x",))),
    "no end": ("can't be", bundled(head=b"# v2 git bundle\n-" + b"1" * 40 + b" " + b"x" * 1_100_000 + b"\n")),
    "no bundle": ("can't be", bundled(head=b"# v9 git bundle\n")),
    "other hashes": ("can't be", bundled(head=b"# v3 git bundle\n@object-format=sha256\n")),
    "of a filter": ("can't be", bundled(head=b"# v3 git bundle\n@filter=blob:none\n")),
    "strange capability": ("can't be", bundled(head=b"# v3 git bundle\n@hook=touch\n")),
    "needs what is not there": ("can't be used", bundled(needs=("e" * 40,))),
    "needs no commit": ("can't be", bundled(needs=(named("tree", b""),))),
    "one bit": ("can't be", spoiled(flipped)),
    "cut off": ("can't be", spoiled(lambda work: work.pack()[:-25])),
    "no pack": ("can't be", spoiled(lambda _: b"")),
    "fewer objects": ("can't be", spoiled(lambda work: work.pack(count=2))),
    "more objects": ("can't be", spoiled(lambda work: work.pack(count=2**31))),
    "version of the pack": ("can't be", spoiled(lambda work: work.pack(version=9))),
    "missing commit": ("can't be", without("commit")),
    "missing tree": ("can't be", without("tree")),
    "missing blob": ("can't be", without("blob")),
    "bomb": ("can't be unpacked.*memory", bomb),
    "inflated": ("'large' of 2,000,000 bytes", inflated),
    "long message": ("a commit of", commits(message=b"m" * 1_500_000)),
    "many objects": ("objects; at most", many),
    "long name": ("a path of 5,000 bytes", files((FILE, b"n" * 5_000))),
    "deep": ("a path of 6,001 bytes", deep),
}


def standing(repository: Path) -> dict[str, bytes]:
    """Every file of it, and what is in it."""
    found = (path for path in repository.rglob("*") if path.is_file())
    return {str(path.relative_to(repository)): path.read_bytes() for path in found}


@dataclass
class Site:
    forge: LocalForge
    trunk: str
    files: dict[str, bytes]

    @property
    def folder(self) -> Path:
        return self.forge.folder(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One repository for all: none of them leaves anything in it."""
    forge = LocalForge(tmp_path_factory.mktemp("home"))

    async def make() -> str:
        await forge.create(1, source=None)
        await imports.first_commit(forge.folder(1), {"a": b"1\n"}, message="first", author=Author("Ada", "a@x"))
        return await forge.commit_of(1, "main")

    trunk = asyncio.run(make())
    yield Site(forge, trunk, standing(forge.folder(1)))
    assert standing(forge.folder(1))["config"]


@pytest.fixture(autouse=True)
def smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "OBJECT_BYTES", 1_000_000)
    monkeypatch.setattr(bundles, "OBJECTS", 100)


@pytest.mark.parametrize("case", CASES)
async def test_a_bundle_that_is_refused_changes_nothing(
    site: Site, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if case == "deep":
        monkeypatch.setattr(bundles, "OBJECTS", 5_000)
    said, make = CASES[case]
    data, commit = make(Work(site.trunk))
    path = tmp_path / "work.bundle"
    path.write_bytes(data)
    with pytest.raises((InvalidInputError, TooLargeError), match=said):
        await site.forge.push_bundle(1, path, branch=BRANCH, commit=commit)
    assert standing(site.folder) == site.files
    assert os.listdir(tmp_path) == ["work.bundle"], "nothing of the draft is left"
    assert not Path(MARK).exists()
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert largest < server_git.WARY_BYTES


async def test_a_bundle_that_is_too_large_is_not_read(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "work.bundle"
    with path.open("wb") as file:
        file.truncate(BUNDLE_BYTES + 1)
    with pytest.raises(TooLargeError, match="larger than"):
        await site.forge.push_bundle(1, path, branch=BRANCH, commit="1" * 40)


async def test_what_is_odd_and_harmless_is_taken_as_it_is(site: Site, tmp_path: Path) -> None:
    """Also to show that the hand-made objects of this file are refused for what is wrong with each."""
    forge, work = LocalForge(tmp_path), Work("")
    await forge.create(1, source=None)
    await imports.first_commit(forge.folder(1), {"a": b"1\n"}, message="first", author=Author("Ada", "a@x"))
    work.trunk = await forge.commit_of(1, "main")
    tree = work.tree(
        (FILE, b".gitattributes", work.blob(b"* filter=evil diff=evil\n")),
        (FILE, b".gitmodules", work.blob(URL % (b"s", b"sub", b"https://example.org/x.git"))),
        (FILE, b"li\nne \xff", work.blob()),
        (LINK, b"out", work.blob(b"/etc/passwd")),
        (MODULE, b"sub", "a" * 40),
    )
    commit = work.commit(tree)
    path = tmp_path / "work.bundle"
    path.write_bytes(work.bundle(commit))
    config = (forge.folder(1) / "config").read_bytes()
    await forge.push_bundle(1, path, branch=BRANCH, commit=commit)
    assert await forge.commit_of(1, BRANCH) == commit
    assert [one.data for one in await forge.files(1, commit, ["out"], limit=9_999)] == [], "it leads to no file of git"
    assert await forge.read(1, commit, "out") == b"/etc/passwd"
    assert b"/etc/passwd" in await forge.diff(1, "main", BRANCH)
    assert (forge.folder(1) / "config").read_bytes() == config
    assert not (forge.folder(1) / "hooks").exists()


class Gate:
    """Lets nobody change the default branch."""

    def __init__(self) -> None:
        self.told: list[RefUpdate] = []

    def refusals(self, updates: tuple[RefUpdate, ...]) -> dict[str, str]:
        return {update.ref: "protected" for update in updates if update.ref == "refs/heads/main"}

    async def accepted(self, updates: tuple[RefUpdate, ...]) -> None:
        self.told += updates


def pushed(*lines: bytes) -> bytes:
    return b"".join(map(line, lines)) + b"0000"


def update(new: str, ref: bytes, old: str = "0" * 40, capabilities: bytes = b"\0report-status\n") -> bytes:
    return b"%s %s %s%s" % (old.encode(), new.encode(), ref, capabilities)


async def test_a_push_by_hand_gets_round_no_gate(site: Site) -> None:
    """What the gate reads of a push is what git does of it; and git's own look at the objects is as for a bundle."""
    work = Work(site.trunk)
    good = plain(work)
    pack, smuggled = work.pack(), update(good, b"refs/heads/main", site.trunk, b"\n")
    evil = Work(site.trunk)
    _, bad = folder(b".git")(evil)
    huge = Work(site.trunk)
    _, bombed = bomb(huge)
    for body in (
        pushed(update(good, b"refs/heads/main", site.trunk)) + pack,
        pushed(update("0" * 40, b"refs/heads/main", site.trunk)),
        pushed(update(good, b"refs/heads/x"), smuggled) + pack,
        pushed(b"push-cert\0report-status\n", b"certificate version 0.1\n", b"\n", smuggled, b"push-cert-end\n") + pack,
        pushed(b"shallow " + good.encode(), smuggled) + pack,
        pushed(update(good, b"refs/heads/../config")) + pack,
        pushed(update(good, b"refs/heads/x\n")) + pack,
        pushed(update(good, b"HEAD", site.trunk)) + pack,
        pushed(update(good, b"refs/heads/-x y")) + pack,
        pushed(update(good, b"refs/heads/x"))[:-4] + b"0001" + pushed(smuggled) + pack,
        b"+" + pushed(update(good, b"refs/heads/x"))[1:] + pack,
        pushed(update(good, b"refs/heads/x")) + pack[:-1],
        pushed(update(bad, b"refs/heads/x")) + evil.pack(),
        pushed(update(bombed, b"refs/heads/x")) + huge.pack(),
    ):
        gate = Gate()
        try:
            answer = site.forge.serve(
                1, service="git-receive-pack", body=_pieces(body), advertise=False, protocol="", gate=gate
            )
            said = b"".join([piece async for piece in answer])
        except QuarterdeckError as error:
            said = error.message.encode()
        # Objects of a push whose refs git refuses may stay, until they are tidied away.
        assert _beside_objects(standing(site.folder)) == _beside_objects(site.files), (body[:200], said)
        assert gate.told == []
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < server_git.WARY_BYTES


def _beside_objects(files: dict[str, bytes]) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if not path.startswith("objects/")}


async def _pieces(data: bytes, size: int = 1_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]
