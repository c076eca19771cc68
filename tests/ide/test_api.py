"""The extension's client of the API, by Node alone."""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PRESSES = """
const { Api } = await import(process.argv[1]);
const api = new Api(process.argv[2], "token");
for (const goal of ["one", "one", "one", "other"]) {
  await api.make("/sessions", { goal }).then(({ id }) => console.log(id), (error) => console.log(error.message));
}
"""


class Forgetful(BaseHTTPRequestHandler):
    """Hears what it is asked, and doesn't answer the first time."""

    keys: list[str]

    def do_POST(self) -> None:
        self.keys.append(self.headers["Idempotency-Key"])
        self.rfile.read(int(self.headers["Content-Length"]))
        if len(self.keys) == 1:
            self.close_connection = True
            return
        body = json.dumps({"id": len(self.keys)}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def forgetful() -> Iterator[tuple[str, list[str]]]:
    keys: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (Forgetful,), {"keys": keys}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", keys
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_is_pressed_again_after_a_lost_answer_is_the_same(
    forgetful: tuple[str, list[str]], node: Path, vscode_folder: Path
) -> None:
    url, keys = forgetful
    words = ["--experimental-transform-types", "--no-warnings", "--input-type=module", "--eval", PRESSES]
    program = [node / "node", *words, vscode_folder / "src" / "api.ts", url]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[1:] == ["2", "3", "4"]
    assert keys[0] == keys[1]
    assert len(set(keys[1:])) == 3
