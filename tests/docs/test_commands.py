"""Every command that a page tells people to type is typed here, in its order, on a server of its own if it numbers.

"Session 1" is the first one of a fresh server; pages that name no number share one.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest

from tests.docs.conftest import ROOT
from tests.instance import Instance

PAGES = sorted(
    [ROOT / "README.md", *(ROOT / "docs" / "how-to").glob("*.md"), *(ROOT / "docs" / "tutorial").glob("*.md")]
)
"""The pages whose `sh` blocks people copy."""

NOT_RUN = {
    r"python3 dev\.py serve$": "it stays in the foreground; the server that all others run against is this one",
    r"python3 dev\.py test$": "it is what runs this",
    r"ANTHROPIC_API_KEY=\S+ python3 dev\.py serve$": "it needs a key, and stays in the foreground",
    r"\.venv/bin/qd runner (register|start) ": "another machine; scenarios/test_distant_runners.py does",
    r"QUARTERDECK_TRUSTED_PROXIES=\S+ \.venv/bin/qd serve ": "it stays in the foreground",
    r"\.venv/bin/qd demo --repo ~/my/repository$": "it needs a key and a repository of the reader's",
}
"""What is not typed here, and why; its words are still compared with what the command knows."""

NUMBERED = re.compile(r"\.venv/bin/qd \w+ \w+ \d+\b")
"""What is about a session or merge request by its number."""

AWAITED = re.compile(r"\.venv/bin/qd session (?:approve|deny) (\d+)")
"""A reader answers when they are asked; so does the test."""


@dataclass(frozen=True)
class Line:
    """One command of a page, without its comment."""

    page: Path
    text: str

    @property
    def reason(self) -> str:
        """Why it is not run; empty when it is."""
        return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, self.text)), "")


def commands(page: Path) -> list[Line]:
    """The commands of a page's `sh` blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"(^|\s+)# .*$", "", line) for block in blocks for line in block.splitlines()]
    return [Line(page, line) for line in lines if line]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_can_be_typed(page: Path, server: Instance) -> None:
    lines = commands(page)
    assert lines, f"{page.name} has no commands; it belongs elsewhere"
    for line in lines:
        if line.reason:
            _compare(line)
    told = {line.text: _type(line, server) for line in lines if not line.reason}
    if page.stem == "first-session":
        _has_told_the_truth(told, server)


@pytest.fixture
def server(page: Path, request: pytest.FixtureRequest) -> Iterator[Instance]:
    """The server to type a page's commands on."""
    if not any(NUMBERED.search(line.text) for line in commands(page)):
        yield request.getfixturevalue("instance")
        return
    instance = Instance()
    try:
        yield instance.start()
    finally:
        instance.remove()


def _type(line: Line, instance: Instance) -> str:
    if found := AWAITED.match(line.text):
        instance.wait_for(int(found[1]), "tool_call_approval_required")
    bin = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-c", line.text.replace(".venv/bin/", f"{bin}/")],
        cwd=ROOT,
        env={**instance.environment, "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{line.text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _compare(line: Line) -> None:
    """The command and the options of a line that isn't run are there."""
    words = [word for word in shlex.split(line.text) if not re.match(r"[A-Z_]+=", word)]
    command = takewhile(lambda word: not word.startswith("-"), words[1:])
    program = [sys.executable, *(["dev.py"] if words[1:2] == ["dev.py"] else ["-m", "quarterdeck", *command])]
    known = subprocess.run(
        [*program, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    for word in words[2:]:
        if word.startswith("--") or program[1] == "dev.py":
            assert word in known, line.text


def _has_told_the_truth(told: dict[str, str], instance: Instance) -> None:
    """What the tutorial promises about its sessions."""
    assert instance.session(1)["status"] == "finished"
    assert instance.session(2)["status"] == "failed"
    assert instance.session(3)["status"] == "stopped"
    assert "nothing was running" in next(text for line, text in told.items() if " cancel " in line)
    assert "+    return -(-items // per_page)" in told[".venv/bin/qd session diff 1"]
    assert "/sign-in?token=" in told[".venv/bin/qd sign-in-link"]


def test_nothing_is_excused_that_no_page_says() -> None:
    lines = [line.text for page in PAGES for line in commands(page)]
    for pattern in NOT_RUN:
        assert any(re.match(pattern, line) for line in lines), pattern
