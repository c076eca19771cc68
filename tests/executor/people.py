"""Runs a test file once more as a normal user, when the tests run as root."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NOBODY = "65534"
REPOSITORY = Path(__file__).parents[2]
PLUGINS = ("-p", "no:cacheprovider", "-p", "asyncio", "-p", "timeout")
"""Those that the executor's tests need: to load all of them takes longer than many a test."""


def as_normal_user(file: str, seconds: float = 280) -> None:
    """Run the tests of `file` as nobody; nothing when we are a normal user already.

    Root's home is closed to others, and Python or the checkout may be in it: bubblewrap shows just these there.
    """
    if os.geteuid() != 0:
        return
    with tempfile.TemporaryDirectory(prefix="normal-user-") as folder:
        shutil.chown(folder, int(NOBODY), int(NOBODY))
        view = ["bwrap", "--dev-bind", "/", "/", "--tmpfs", str(Path.home())]
        for path in (sys.base_prefix, sys.prefix, str(REPOSITORY)):
            for parent in reversed(Path(path).parents):
                if Path.home() in parent.parents:
                    view += ["--perms", "0755", "--dir", str(parent)]
            view += ["--ro-bind", path, path]
        view += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--chdir", str(REPOSITORY)]
        user = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
        tests = [sys.executable, "-m", "pytest", "-x", "-q", "--noconftest", *PLUGINS]
        tests += [f"--basetemp={folder}/pytest", "--deselect", f"{file}::test_all_of_this_as_a_normal_user", file]
        environment = {**os.environ, "HOME": folder, "TMPDIR": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        ended = subprocess.run(
            [*view, "--", *user, "--", *tests],
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " passed" in ended.stdout
