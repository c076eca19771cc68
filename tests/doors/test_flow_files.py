"""`qd flow lint`, `schema` and `simulate` as processes: no server, no home, nothing but files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FLOWS = Path(__file__).parents[1] / "unit" / "flows"
CLEAN, FAULTY = FLOWS / "clean" / "plan_approval.yml", FLOWS / "faulty" / "routers.yml"
SCRIPT = FLOWS / "simulated" / "plan_approval.script.yml"


def qd(folder: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    home = {"QUARTERDECK_HOME": str(folder / "home"), "DATABASE_URL": "postgresql://nowhere.invalid/x", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-m", "quarterdeck", "flow", *map(str, args)],
        cwd=folder, env={**os.environ, **home}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("home/*")), "nothing was made"
    return done


def test_lint_tells_everything_with_its_place(tmp_path: Path) -> None:
    clean = qd(tmp_path, "lint", CLEAN)
    assert (clean.returncode, clean.stdout) == (0, f"{CLEAN}: nothing found\n")
    expected = FAULTY.read_text(encoding="utf-8").partition("\n# Findings\n")[2].splitlines()
    faulty = qd(tmp_path, "lint", CLEAN, FAULTY)
    assert faulty.returncode == 1
    told = faulty.stdout.splitlines()[1:]
    assert len(told) == len(expected)
    for line, wanted in zip(told, expected, strict=True):
        severity, where, what = wanted.removeprefix("# ").split(" ", 2)
        assert line == f"{FAULTY}:{where} {severity} {what}"
    assert "1 of 2 files" in faulty.stderr
    assert qd(tmp_path, "lint", FLOWS / "faulty" / "notes.yml").returncode == 0
    absent = qd(tmp_path, "lint", tmp_path / "none.yml", FAULTY)
    assert absent.returncode == 2
    assert "routers[1].to" in absent.stdout


def test_lint_for_programs(tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.yml"
    hostile.write_text('version: v1\nenvironment: "\\e[2Jx"\ncomponents: []\nflow: {}\n', encoding="utf-8")
    shown = qd(tmp_path, "lint", hostile)
    assert (shown.returncode, "\x1b" in shown.stdout + shown.stderr) == (1, False)
    answers = [json.loads(line) for line in qd(tmp_path, "lint", "--json", CLEAN, hostile).stdout.splitlines()]
    assert [(answer["ok"], Path(answer["file"]).name) for answer in answers] == [
        (True, CLEAN.name), (False, hostile.name),
    ]  # fmt: skip
    assert answers[1]["findings"][0].keys() == {"severity", "line", "column", "path", "what", "hint"}


def test_the_schema_is_printed(tmp_path: Path) -> None:
    assert json.loads(qd(tmp_path, "schema").stdout)["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_a_simulation_shows_the_way_and_its_exit_status_the_end(tmp_path: Path) -> None:
    well = qd(tmp_path, "simulate", CLEAN, "--script", SCRIPT, "--goal", "\x1b[2JGo")
    assert well.returncode == 0, well.stdout + well.stderr
    assert "way  planner → plan_approval → executor\nend  ✓ finished" in well.stdout
    assert "\x1b" not in well.stdout
    programs = qd(tmp_path, "simulate", CLEAN, "--script", SCRIPT, "--deny", "plan_approval", "--json")
    *events, ending = map(json.loads, programs.stdout.splitlines())
    assert programs.returncode == 1
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (ending["status"], ending["well"], ending["way"]) == ("stopped", False, ["planner", "plan_approval"])


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ((FAULTY,), "The flow can't be used"),
        ((CLEAN, "--script", CLEAN), "The script can't be used"),
        ((CLEAN, "--level", "loud"), "no level 'loud'"),
        ((CLEAN, "--input", "x"), "CATEGORY.FIELD=VALUE"),
        ((FLOWS / "clean" / "inputs.yml",), "merge_request.url is missing"),
        ((FLOWS / "clean" / "inputs.yml", "--input", "rules.title=text"), "rules.texts is missing"),
    ],
)
def test_what_can_not_be_simulated(tmp_path: Path, args: tuple[str | Path, ...], why: str) -> None:
    done = qd(tmp_path, "simulate", *args)
    assert (done.returncode, why in done.stderr) == (2, True), done.stderr
