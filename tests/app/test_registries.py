"""Which hosts pip, npm and apt of a machine say that they use: a real pip, and programs that speak like the others."""

import asyncio
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from quarterdeck import registries
from quarterdeck.core.network import rules
from quarterdeck.registries import Registries, hosts_of


def test_hosts_are_rules_without_names_passwords_and_folders() -> None:
    urls = [
        "https://user:secret@Mirror.test/simple", "http://mirror.test:80/", "https://mirror.test:8443/x",
        "http://[fd00::1]:3141/", "file:///srv/wheels", "cdrom:x", "https://", "https://a b/", "https://x:y/", "https://*/",
    ]  # fmt: skip
    assert hosts_of(urls) == ("mirror.test", "mirror.test:8443", "[fd00::1]:3141")


async def test_each_tool_is_asked_once_for_what_it_is_configured_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools, counted = tmp_path / "tools", tmp_path / "asked"
    tools.mkdir()
    lists = "'http://deb.test/a/InRelease' x 0\n'http://deb.test/b/InRelease' y 0\nBye.\n"
    said = {"npm": "https://npm.test/sub/", "apt-get": lists}
    for name, text in said.items():
        tool = tools / name
        tool.write_text(
            f'#!/bin/sh\necho {name} $SECRET "$@" >> {counted}\nprintf %s {shlex.quote(text)}\n', encoding="utf-8"
        )
        tool.chmod(0o755)
    monkeypatch.setenv("SECRET", "not told")
    mirror = "https://user:secret@pypi.test:8443/simple"
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": mirror}
    more = {"PIP_EXTRA_INDEX_URL": "https://more.test/simple file:///srv"}
    pip = shutil.which("python3") or sys.executable  # one that has pip; that of these tests may have none
    monkeypatch.setattr(sys, "executable", pip)
    asked = Registries(environment | more)
    cut_off = asyncio.create_task(asked.found())
    await asyncio.sleep(0)
    cut_off.cancel()
    await asyncio.wait({cut_off})
    counted.unlink(missing_ok=True)
    assert asked.told() is None
    found = await asked.found()
    assert asked.told() is found
    assert found == {"pypi": ("pypi.test:8443", "more.test"), "npm": ("npm.test",), "apt": ("deb.test",)}
    assert await asked.found() is found
    assert sorted(counted.read_text(encoding="utf-8").splitlines()) == [
        "apt-get update --print-uris",
        "npm config get registry --logs-max=0",
    ]

    # One that takes too long is asked again, and not for each who wants to know.
    quick = (tools / "npm").read_text(encoding="utf-8")
    (tools / "npm").write_text("#!/bin/sh\nexec sleep 8654\n", encoding="utf-8")
    monkeypatch.setattr(registries, "PATIENCE_SECONDS", 0.05)
    slow = Registries(environment)
    assert (await slow.found())["npm"] == ()
    (tools / "npm").write_text(quick, encoding="utf-8")
    monkeypatch.setattr(registries, "PATIENCE_SECONDS", 30)
    assert (await slow.found())["npm"] == ()
    monkeypatch.setattr(slow, "_holds", 0)
    assert (await slow.found())["npm"] == ("npm.test",)

    # Without a word about it: its own index, and the host that this keeps files on. Tools that fail say nothing.
    for name in said:
        (tools / name).write_text("#!/bin/sh\necho https://wrong.test/\nexit 1\n", encoding="utf-8")
    own = await Registries({"PATH": str(tools), "PIP_CONFIG_FILE": "/dev/null"}).found()
    assert (own["npm"], own["apt"]) == ((), ())
    assert len(own["pypi"]) == 2
    assert all(rules(host) for host in own["pypi"])
    assert "wrong.test" not in own["pypi"]
