"""What is read of a diff is what git meant: compared with git itself on files made by chance."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.diff import FileDiff, file_of, find_line, listed, read_diff
from quarterdeck.core.errors import InvalidInputError

ROWS = st.lists(st.sampled_from(["a", "b", "", "-- x", "++ y", "@@ -1 +1 @@", "diff --git a/x b/x", "\r", "\\ No"]))


def diff(folder: Path, old: dict[str, bytes], new: dict[str, bytes]) -> tuple[FileDiff, ...]:
    """Git's own diff of two folders, read."""
    for side, files in (("a", old), ("b", new)):
        for name, data in files.items():
            path = folder / side / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (folder / side).mkdir(exist_ok=True)
    base = ("git", "-c", "core.quotePath=false", "-c", "init.defaultBranch=main", "-C", str(folder))
    subprocess.run([*base, "init", "-q"], check=True, timeout=60)
    trees: list[str] = []
    for side in "ab":
        work = (*base, f"--work-tree={folder / side}")
        subprocess.run([*work, "add", "-A"], check=True, timeout=60)
        trees.append(subprocess.run([*base, "write-tree"], check=True, capture_output=True, timeout=60).stdout.decode())
    told = subprocess.run(
        [*base, "diff", "--find-renames", "--no-color", *(tree.strip() for tree in trees)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    text = told.stdout.decode()
    files = read_diff(text)
    assert [(one.path, one.added, one.removed) for one in listed(text)] == [
        (one.path, one.added, one.removed) for one in files
    ]
    for one in files:
        assert file_of(text, one.path) == file_of(text, one.old_path) == one.text
    assert file_of(text, "no such file") is None
    return files


@settings(max_examples=25, deadline=None)
@given(old=ROWS, new=ROWS, data=st.data())
def test_each_line_of_a_diff_can_be_named_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str], data: st.DataObject
) -> None:
    sides = ["\n".join(rows) for rows in (old, new)]
    folder = tmp_path_factory.mktemp("diff")
    files = diff(folder, {"f": sides[0].encode(), "k": b""}, {"f": sides[1].encode(), "k": b"x"})
    file = next((one for one in files if one.path == "f"), None)
    was, now = sides[0].split("\n"), sides[1].split("\n")
    for line in file.lines if file else ():
        assert line.old is None or was[line.old - 1] == line.text
        assert line.new is None or now[line.new - 1] == line.text
        new_only = find_line(files, "f", line.new, None if line.new else line.old)
        assert new_only == (file, line)
        assert find_line(files, "f", line.new, line.old) == (file, line)
    number = data.draw(st.integers(1, 60))
    for side in ("new", "old"):
        known = {getattr(line, side) for line in (file.lines if file else ())}
        if number not in known:
            asked = (number, None) if side == "new" else (None, number)
            with pytest.raises(InvalidInputError, match=r"isn't in the diff|has no"):
                find_line(files, "f", *asked)
    if file:
        assert file.added - file.removed == len(_rows(sides[1])) - len(_rows(sides[0]))


def _rows(text: str) -> list[str]:
    return text.split("\n")[:-1] if text.endswith("\n") or not text else text.split("\n")


def test_files_of_all_kinds_have_their_names(tmp_path: Path) -> None:
    text = "".join(f"line {n}\n" for n in range(30)).encode()
    old = {"gone.txt": b"x\n", "a/moved.py": text, "same.bin": b"\0\1", "b with\ttab": b"1\n", "plain name": b"1\n"}
    new = {"b/moved.py": text + b"more\n", "same.bin": b"\0\2", "b with\ttab": b"2\n", "plain name": b"2\n",
           'q"uote\\é': b"new\n", "empty": b""}  # fmt: skip
    files = {one.path: one for one in diff(tmp_path, old, new)}
    assert set(files) == {*new, "gone.txt"}
    assert files["b/moved.py"].old_path == "a/moved.py"
    assert (files["b/moved.py"].added, files["gone.txt"].removed) == (1, 1)
    assert files["same.bin"].lines == files["empty"].lines == ()
    kinds = {one.path: one.change for one in listed("".join(one.text for one in files.values()))}
    assert (kinds["b/moved.py"], kinds["gone.txt"], kinds["empty"]) == ("renamed", "deleted", "added")
    assert kinds["same.bin"] == kinds["plain name"] == "modified"
    assert files["gone.txt"].old_path == "gone.txt"
    assert files["b with\ttab"].text.startswith("diff --git ")
    control = read_diff('diff --git "a/x\\001y" "b/x\\001y"\nold mode 100644\nnew mode 100755\n')
    assert [one.path for one in control] == ["x\x01y"]
    found, line = find_line(tuple(files.values()), "a/moved.py", 31, None)
    assert (found.path, line.text, line.old) == ("b/moved.py", "more", None)


def test_a_refusal_says_what_would_do(tmp_path: Path) -> None:
    before = b"".join(b"%d\n" % n for n in range(1, 41))
    after = before.replace(b"20\n", b"twenty\n")
    files = diff(tmp_path, {"f": before, "bin": b"\0\1"}, {"f": after, "bin": b"\0\2"})
    with pytest.raises(InvalidInputError, match=r"new line 30 of f isn't .* that are: 20, 21, 22, 23"):
        find_line(files, "f", 30, None)
    with pytest.raises(InvalidInputError, match=r"old line 1 of f .* 17, 18, 19, 20"):
        find_line(files, "f", None, 1)
    with pytest.raises(InvalidInputError, match=r"g isn't in the diff. Its files: bin, f\."):
        find_line(files, "g", 1, None)
    with pytest.raises(InvalidInputError, match=r"Its files: none\."):
        find_line((), "g", 1, None)
    many = tuple(FileDiff(str(n), str(n), "", ()) for n in range(14))
    with pytest.raises(InvalidInputError, match="and 4 more"):
        find_line(many, "g", 1, None)
    with pytest.raises(InvalidInputError, match="bin has no new lines"):
        find_line(files, "bin", 1, None)
    with pytest.raises(InvalidInputError, match="Say which line of f"):
        find_line(files, "f", None, None)
    with pytest.raises(InvalidInputError, match="Line 19 of f was line 19 before; the old line 18"):
        find_line(files, "f", 19, 18)
    with pytest.raises(InvalidInputError, match="Line 20 of f wasn't there before"):
        find_line(files, "f", 20, 20)
