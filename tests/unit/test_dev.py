"""dev.py as a person starts it: a copy of it in a folder of its own, with locks that ask for nothing: no network."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dev

COMMAND = '''"""Stands where the real command stands."""
import sys


def run() -> int:
    print("ran with", *sys.argv[1:])
    return 7
'''


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "a check out"  # with blanks, as people have them
    package = root / "src" / "quarterdeck" / "doors" / "cli"
    package.mkdir(parents=True)
    shutil.copy(dev.__file__, root)
    (package / "main.py").write_text(COMMAND, encoding="utf-8")
    for lock in (dev.RUNTIME_LOCK, dev.DEV_LOCK):
        (root / lock.name).write_text("", encoding="utf-8")
    yield root
    shutil.rmtree(root)


def python(root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(root)}
    return subprocess.run(
        [os.path.realpath(sys.executable), *args],
        cwd=root, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def started(root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return python(root, "dev.py", *args)


def test_installs_once_and_becomes_the_command(checkout: Path) -> None:
    first = started(checkout, "qd", "session", "list --json")
    assert (first.returncode, first.stdout) == (7, "ran with session list --json\n"), first.stderr
    assert "installing requirements.lock" in first.stderr

    second = started(checkout, "qd", "doctor")
    assert (second.returncode, second.stdout, second.stderr) == (7, "ran with doctor\n", "")

    for name in ("qd", "quarterdeck"):
        script = subprocess.run(
            [checkout / ".venv" / "bin" / name, "x"], capture_output=True, text=True, check=False, timeout=60
        )
        assert (script.returncode, script.stdout) == (7, "ran with x\n"), script.stderr


def test_repairs_what_was_killed_in_the_middle_and_follows_the_lock(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").write_text("half", encoding="utf-8")
    assert started(checkout, "qd").returncode == 7

    stray = checkout / ".venv" / "stray"
    stray.touch()
    (checkout / "requirements.lock").write_text("# another\n", encoding="utf-8")
    assert started(checkout, "qd").returncode == 7
    assert not stray.exists(), "an older environment is made anew, not mixed"

    moved = checkout.rename(checkout.with_name("moved"))
    try:
        again = started(moved, "qd", "there")
        assert (again.returncode, again.stdout) == (7, "ran with there\n"), again.stderr
        assert "installing" in again.stderr
    finally:
        moved.rename(checkout)


def test_failed_install_ends_with_the_command_that_failed_and_is_tried_again(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("unhashed==1\n", encoding="utf-8")
    for _ in range(2):
        failed = started(checkout, "qd")
        assert failed.returncode not in {0, 7}
        assert "this failed with exit status" in failed.stderr
        assert "requirements.lock" in failed.stderr


def test_tools_are_added_to_what_is_there(checkout: Path) -> None:
    assert started(checkout, "qd").returncode == 7
    stray = checkout / ".venv" / "stray"
    stray.touch()
    install_tools = "import dev; dev.install(dev.DEV_LOCK); print(len(dev.installed()), dev.installed())"
    tools = python(checkout, "-c", install_tools)
    assert tools.stdout.startswith("2 "), tools.stderr
    assert stray.exists()
    assert started(checkout, "qd").stderr == "", "and the runtime is there still"

    (checkout / ".venv" / "bin" / "python").unlink()
    again = started(checkout, "qd")
    assert again.returncode == 7, again.stderr
    assert not stray.exists(), "a Python that went away takes its packages along"


def test_missing_programs_are_named_with_the_command_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # neither the programs nor apt-get
    dev.provide_programs("serve")
    assert "type: sudo apt-get install -y --no-install-recommends git bubblewrap" in capsys.readouterr().err
    dev.provide_programs("session")
    assert capsys.readouterr().err == ""
    with pytest.raises(SystemExit):
        dev.provide_programs("test")


def test_unknown_command_tells_all(checkout: Path) -> None:
    unknown, asked = started(checkout, "dance"), started(checkout)
    assert (unknown.returncode, asked.returncode) == (2, 0)
    assert all(f"dev.py {command}" in asked.stdout for command in ("serve", "qd", "test", "check", "fix", "lock"))
    assert not (checkout / ".venv").exists()
