"""Editors for the tests, installed by `python3 dev.py test --ide`: Node, a VS Code that runs in a browser, and acpx."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests import ports
from tests.browser.conftest import browser as browser
from tests.browser.conftest import instance as instance

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "editors" / "vscode"
PACKAGE = ROOT / "build" / "quarterdeck.vsix"
SHOTS = ROOT / "build" / "screenshots"
"""Looked at by people; git ignores them."""


@pytest.fixture(scope="session")
def node() -> Path:
    """The folder with `node` and `npm`, as the extension's tools run by."""
    folder = Path(sys.prefix) / "node"
    assert (folder / "node").exists(), "Node isn't here; run `python3 dev.py test --ide`"
    return folder


@pytest.fixture(scope="session")
def vscode_folder(node: Path) -> Path:
    """The extension's own folder, built and with its packages."""
    assert (EXTENSION / "node_modules" / ".bin").is_dir(), "packages are missing; run `python3 dev.py test --ide`"
    assert node
    return EXTENSION


@pytest.fixture(scope="session")
def acpx(vscode_folder: Path) -> list[str]:
    """The words that an acpx command begins with; it needs `node` on its PATH, as `node_environment` has it."""
    return [str(vscode_folder / "node_modules" / ".bin" / "acpx")]


@pytest.fixture
def node_environment(node: Path, tmp_path: Path) -> dict[str, str]:
    """A person's environment with Node and this Quarterdeck's commands, and a home in which nothing is."""
    home = tmp_path / "person"
    home.mkdir()
    path = os.pathsep.join((str(node), str(Path(sys.prefix) / "bin"), os.environ["PATH"]))
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "TERM": "xterm"}


class Workbench:
    """A VS Code in the browser that has the extension; what it keeps lies in `home`, and it can be started again."""

    def __init__(self, folder: Path, node: Path, home: Path) -> None:
        self.home = home
        self._code_server = folder / "node_modules" / ".bin" / "code-server"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("VSCODE_", "QUARTERDECK_"))},
            "PATH": f"{node}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
        }
        self._places = [f"--user-data-dir={home}/data", f"--extensions-dir={home}/extensions", f"--config={home}/none"]
        subprocess.run(
            [self._code_server, *self._places, "--install-extension", PACKAGE],
            env=self._environment, check=True, capture_output=True, timeout=100,
        )  # fmt: skip
        self.kept = ports.reserved()
        self.url = f"http://127.0.0.1:{ports.number(self.kept)}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Workbench":
        """Starts it; it answers when this returns."""
        with (self.home / "code-server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self._code_server, *self._places, "--auth=none", f"--bind-addr={self.url.removeprefix('http://')}",
                    "--disable-telemetry", "--disable-update-check", "--disable-workspace-trust",
                    "--disable-getting-started-override",
                ],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        transport = httpx.HTTPTransport(retries=10)
        with httpx.Client(transport=transport, timeout=60) as client:
            client.get(f"{self.url}/healthz").raise_for_status()
        return self

    def set(self, name: str, value: object) -> None:
        """A setting of the person's."""
        file = self.home / "data" / "User" / "settings.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        known: dict[str, object] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        file.write_text(json.dumps({**known, name: value}), encoding="utf-8")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it with all that it started."""
        if self.process is not None:
            os.killpg(self.process.pid, how)
            self.process.wait(60)
            self.process = None

    def open(self, page: Page, folder: Path) -> None:
        """Shows a folder in it, and returns when the workbench stands."""
        page.goto(f"{self.url}/?folder={folder}")
        page.locator(".monaco-workbench .activitybar").wait_for()


@contextmanager
def running_workbench(folder: Path, node: Path, home: Path) -> Generator[Workbench]:
    """A workbench that ends with the block."""
    workbench = Workbench(folder, node, home)
    try:
        yield workbench.start()
    finally:
        workbench.stop(signal.SIGKILL)
        workbench.kept.close()


@pytest.fixture
def workbench(vscode_folder: Path, node: Path, tmp_path: Path) -> Iterator[Workbench]:
    """One of this test alone."""
    home = tmp_path / "editor"
    home.mkdir()
    with running_workbench(vscode_folder, node, home) as running:
        yield running


@pytest.fixture
def editor_page(browser: Browser) -> Generator[Page]:
    """A window of a browser for a workbench."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, permissions=["clipboard-read"])
    yield context.new_page()
    context.close()
