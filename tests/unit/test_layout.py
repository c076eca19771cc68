"""The shape of the source tree: names, sizes, and where the outside world may be touched."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

import quarterdeck

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "quarterdeck"
MODULES = sorted(SOURCE.rglob("*.py"))
LINES_AT_MOST = 500
EXCUSE = "Why this module is long: "
VAGUE_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "service", "util", "utils"}
CORE_LIBRARIES = {"pydantic", "pydantic_core", "quarterdeck"}
OUTSIDE_WORLD = {
    "asyncio", "http", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "shutil", "signal", "socket",
    "sqlite3", "subprocess", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
# in two halves, so that this file passes its own test
HOSTS = ("pypi." + "org", "python" + "hosted.org", "npm" + "js.org", "deb.debian" + ".org", "archive.ubuntu" + ".com")


def docstring(module: Path) -> str:
    return ast.get_docstring(ast.parse(module.read_bytes())) or ""


def imports(module: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, timeout=60,
    ).stdout  # fmt: skip
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_modules_are_short_or_say_why_not(record_property: Callable[[str, object], None]) -> None:
    lengths = {module: len(module.read_bytes().splitlines()) for module in MODULES}
    record_property("median_lines", median(length for length in lengths.values() if length > 1))
    long = [module for module, length in lengths.items() if length > LINES_AT_MOST and EXCUSE not in docstring(module)]
    assert long == [], f"over {LINES_AT_MOST} lines without a docstring line '{EXCUSE}…'"


def test_every_module_says_what_it_is() -> None:
    assert [module for module in MODULES if not docstring(module)] == []


def test_modules_are_named_by_the_noun_they_hold() -> None:
    named = [module for module in MODULES if VAGUE_NAMES & set(re.split(r"[_/]", str(module.relative_to(SOURCE))[:-3]))]
    assert named == []


def test_only_settings_read_the_environment() -> None:
    reads = re.compile(r"\bos\.(environ|getenv)|from os import .*(environ|getenv)")
    reading = {module for module in MODULES if reads.search(module.read_text(encoding="utf-8"))}
    assert reading <= {SOURCE / "settings.py"}


def test_core_is_pure() -> None:
    for module in (SOURCE / "core").rglob("*.py"):
        roots = {name.partition(".")[0] for name in imports(module)}
        assert roots <= sys.stdlib_module_names | CORE_LIBRARIES, f"{module} imports a framework"
        assert roots.isdisjoint(OUTSIDE_WORLD), f"{module} can reach the outside world"
        assert not re.search(r"\b(datetime\.now|uuid[147]|open)\(", module.read_text(encoding="utf-8")), module


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_names_no_host_and_has_every_hash(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert all(" \\\n" in entry and "--hash=sha256:" in entry for entry in re.split(r"\n(?=\S)", text.strip()))


def test_locks_agree_and_hold_what_is_asked_for() -> None:
    def pins(lock: str) -> set[str]:
        text = (ROOT / lock).read_text(encoding="utf-8")
        found = re.findall(r"^([a-z0-9][^ ;\[=]*)(?:\[[^\]]*\])?(==[^ ;]+)", text, re.MULTILINE)
        return {name + version for name, version in found}

    def names(asked: list[str]) -> set[str]:
        return {re.split(r"[\[<>=~;! ]", one)[0].lower().replace(".", "-") for one in asked}

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert runtime <= dev
    assert names(project["project"]["dependencies"]) <= {pin.partition("==")[0] for pin in runtime}
    assert names(project["dependency-groups"]["dev"]) <= {pin.partition("==")[0] for pin in dev}


def test_no_file_names_a_registry_host() -> None:
    naming = {
        str(path.relative_to(ROOT)): host
        for path in tracked_files()
        for host in HOSTS
        if host.encode() in path.read_bytes()
    }
    assert naming == {}


def test_version_is_told_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == quarterdeck.__version__


def test_starting_a_program_loads_no_framework() -> None:
    """What the CLI waits for on every call: the package itself must cost nothing."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import json, sys, quarterdeck; print(json.dumps(sorted(sys.modules)))"],
        check=True, capture_output=True, timeout=60,
    ).stdout  # fmt: skip
    assert {"litestar", "pydantic", "sqlalchemy"}.isdisjoint(json.loads(loaded))
