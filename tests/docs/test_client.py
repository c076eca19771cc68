"""The program on the page about the client library does what it says."""

import re
import subprocess
import sys

from tests.docs.conftest import ROOT
from tests.instance import Instance


def test_the_program_runs(instance: Instance) -> None:
    page = (ROOT / "docs" / "reference" / "client.md").read_text(encoding="utf-8")
    program = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    place = {"http://127.0.0.1:7433": instance.url, "~/.local/share/quarterdeck": str(instance.home)}
    for written, here in place.items():
        assert written in program
        program = program.replace(written, here)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == "1 session.created"
    assert said[-1] == "stopped"
    assert any(line.endswith("?") for line in said), "a person was asked"
