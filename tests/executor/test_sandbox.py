"""What a command can reach, seen from within; as root and as a normal user."""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from quarterdeck.core.session_limits import Limits
from quarterdeck.executor.command import SandboxBrokenError
from quarterdeck.executor.confines import SPARE_PROCESSES
from quarterdeck.executor.probe import SandboxUnavailableError, probe
from quarterdeck.executor.processes import Processes
from quarterdeck.executor.sandbox import Sandbox
from tests.executor.people import REPOSITORY, as_normal_user

REDUCED = Sandbox("reduced", "for a test")


async def said(command: str, root: Path, sandbox: Sandbox | None = None, readable: tuple[Path, ...] = ()) -> str:
    """What a shell prints within the walls."""
    ended = await Processes(sandbox or await probe()).run(
        "session:1", ["sh", "-c", command], root=root, timeout=60, readable=readable
    )
    return ended.text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("the server's", encoding="utf-8")
    workspace = tmp_path / "files"
    workspace.mkdir()
    return workspace


async def test_the_machine_is_not_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    secret = root.parent / "secret"

    text = await said(f"cat {secret} {Path.home()} {REPOSITORY}/pyproject.toml; env; cat /proc/*/environ; pwd", root)

    assert text.count("No such file") == 3
    assert "sk-planted" not in text
    assert "the server's" not in text
    assert text.endswith("/workspace\n")


async def test_nobody_is_root_and_nothing_of_the_system_is_writable(root: Path) -> None:
    text = await said(
        "id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; ulimit -c; "
        "find /proc /usr /etc /bin /lib -maxdepth 4 -writable ! -type l ! -path '/proc/[0-9s]*' 2>/dev/null; "
        "find /proc/sys -writable 2>/dev/null; touch /x /usr/x /etc/x; unshare -U true; ls /proc/$$/fd",
        root,
    )

    lines = text.split("\n")
    assert int(lines[0]) > 0
    assert lines[1].split() == ["CapBnd:", "0" * 16] or lines[1].split() == ["CapEff:", "0" * 16]
    assert {line.split()[1] for line in lines[1:4]} == {"0" * 16, "1"}
    assert lines[4] == "0"
    assert all("Read-only" in line or "Permission denied" in line for line in lines[5:8])
    assert lines[8].startswith("unshare: ")
    assert lines[9:] == ["0", "1", "2", ""]


async def test_no_network_but_a_loopback_of_its_own(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = (
            "import socket\n"
            "own = socket.create_server(('127.0.0.1', 0))\n"
            "socket.create_connection(own.getsockname()); print('own')\n"
            f"try: socket.create_connection(('127.0.0.1', {port}), 2); print('reached')\n"
            "except OSError: print('refused')\n"
            "try: socket.create_connection(('192.0.2.1', 80), 2); print('reached')\n"
            "except OSError: print('refused')\n"
        )
        (root / "net.py").write_text(script, encoding="utf-8")
        assert await said("python3 net.py", root) == "own\nrefused\nrefused\n"
        assert await said(
            f"python3 -c \"import socket; socket.create_connection(('127.0.0.1', {port}), 2)\"", root, REDUCED
        )


async def test_files_of_the_workspace_belong_to_the_runner(root: Path) -> None:
    await said(
        "mkdir -p a/b; echo hi > a/b/c; chmod 600 a/b/c; git init -q .; git status >/dev/null && echo ok > git", root
    )

    assert (root / "a/b/c").read_text(encoding="utf-8") == "hi\n"
    assert (root / "git").exists()
    assert (root / "a/b/c").stat().st_uid == os.geteuid()


async def test_scratch_is_private_and_does_not_stay(root: Path) -> None:
    assert await said("echo x > /tmp/left; echo x > ~/left; cat /tmp/left ~/left", root) == "x\nx\n"
    assert await said("ls -A /tmp ~ | grep left", root) == ""


async def test_more_of_the_machine_on_demand(root: Path) -> None:
    tools = root.parent / "tools"
    (tools / "bin").mkdir(parents=True)
    (tools / "bin/hello").write_text("#!/bin/sh\necho hello\n", encoding="utf-8")
    (tools / "bin/hello").chmod(0o755)
    sandbox = await probe(extra_ro_paths=(tools,))

    assert await said("hello; cat ../x/secret 2>/dev/null; echo x 2>/dev/null > $0", root, sandbox) == "hello\n"
    assert (await said(f"cat {root.parent}/secret", root, None, readable=(root.parent / "secret",))) == "the server's"
    with pytest.raises(SandboxUnavailableError, match="nowhere"):
        await probe(extra_ro_paths=(Path("/nowhere"),))


async def test_a_fork_bomb_is_bounded(root: Path) -> None:
    script = "import os, time\nn = 0\ntry:\n  while n < 2000 and (os.fork() or time.sleep(60)) is not None: n += 1\n"
    (root / "bomb.py").write_text(f"{script}except OSError: pass\nprint(n)\n", encoding="utf-8")

    ended = await Processes(await probe()).run("session:1", ["python3", "bomb.py"], root=root, timeout=60)

    processes = Limits().processes
    assert f"{processes} processes at a time" in ended.limit or int(ended.text) <= processes + SPARE_PROCESSES


async def test_reduced_isolation_hides_files_too(root: Path) -> None:
    secret = root.parent / "secret"

    text = await said(f"cat {secret}; ls {Path.home()}; echo hi > made; cat made; echo x > {secret}", root, REDUCED)

    assert text.count("ermission denied") + text.count("cannot create") >= 3
    assert "hi\n" in text
    assert secret.read_text(encoding="utf-8") == "the server's"


async def test_a_command_whose_walls_break_says_so(root: Path) -> None:
    sandbox = await probe()
    with pytest.raises(SandboxBrokenError, match=r"could not be put up.*nowhere"):
        await Processes(sandbox).run("session:1", ["true"], root=root / "nowhere", timeout=60)


PROBE = """
import asyncio, json
from quarterdeck.executor.probe import SandboxUnavailableError, probe

async def main():
    for allowed in ({}, {"allow_reduced": True}, {"allow_unsandboxed": True}):
        try:
            sandbox = await probe(**allowed)
            print(json.dumps([sandbox.isolation, sandbox.reason]))
        except SandboxUnavailableError as error:
            print(json.dumps(["refused", error.message]))

asyncio.run(main())
"""


async def test_the_probe_where_bubblewrap_is_refused(root: Path) -> None:
    """Within the sandbox there are no more user namespaces, so it is itself the machine that refuses."""
    (root / "ask.py").write_text(PROBE, encoding="utf-8")
    readable = (Path(sys.base_prefix), Path(sys.prefix), REPOSITORY / "src")
    command = f"PYTHONPATH={REPOSITORY}/src {sys.executable} ask.py"

    answers = [json.loads(line) for line in (await said(command, root, None, readable=readable)).splitlines()]

    assert [kind for kind, _ in answers] == ["refused", "reduced", "reduced"]
    assert "bubblewrap is installed but refused to run" in answers[0][1]
    assert "QUARTERDECK_ALLOW_REDUCED_ISOLATION" in answers[0][1]


async def test_the_probe_names_the_walls() -> None:
    sandbox = await asyncio.wait_for(probe(allow_unsandboxed=True), 60)

    assert sandbox.isolation == "full"
    assert "bubblewrap" in sandbox.reason


def test_all_of_this_as_a_normal_user() -> None:
    as_normal_user(__file__)
