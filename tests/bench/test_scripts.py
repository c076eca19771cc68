"""Every benchmark still runs and tells figures; what they are, nobody asks here."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(file.stem for file in (ROOT / "bench").glob("*.py") if "__main__" in file.read_text("utf-8"))
SLOW = {"lists", "live", "rest", "tail", "turns", "watchers"}
"""Several servers, or many sessions, even when small: with --bench-all."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "script" in metafunc.fixturenames:
        every = bool(metafunc.config.getoption("--bench-all", default=False))
        metafunc.parametrize("script", [one for one in SCRIPTS if every or one not in SLOW])


@pytest.mark.timeout(300)
def test_a_benchmark_runs_and_tells_figures(script: str, tmp_path: Path) -> None:
    told = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{script}", "--small", "--json", told],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    report = json.loads(told.read_text("utf-8"))
    assert report["small"] is True, "nobody takes these for figures"
    assert report["figures"]
    for one in report["figures"]:
        assert one["name"] in done.stderr, "it is told as soon as it is there"
        assert one["unit"], one
        assert math.isfinite(one["value"]), one
    assert len({one["name"] for one in report["figures"]}) == len(report["figures"]), "no two have one name"
    assert any(one["aim"] for one in report["figures"]), "it says what was designed for"


def test_the_page_about_benchmarks_has_all_and_no_other() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| `bench\.(\w+)` ", page, re.MULTILINE)) == SCRIPTS
    assert set(SCRIPTS) >= SLOW
