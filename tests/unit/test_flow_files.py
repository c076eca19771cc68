"""Flow files of every kind: those in `flows/clean` must be clean, those in `flows/faulty` say what is found in them."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from quarterdeck.core.limits import FLOW_BYTES
from quarterdeck.flows.document import REPORTED_FAULTS, closest, read
from quarterdeck.flows.json_schema import json_schema
from quarterdeck.flows.library import Library
from quarterdeck.flows.reader import examine
from quarterdeck.tools.catalogue import CATALOGUE

FOLDER = Path(__file__).parent / "flows"
CLEAN = sorted((FOLDER / "clean").glob("*.yml"))
FAULTY = sorted((FOLDER / "faulty").glob("*.yml"))
LIBRARY = Library(CATALOGUE)
SHIPPED = LIBRARY.names()


@pytest.mark.parametrize("path", CLEAN, ids=[path.stem for path in CLEAN])
def test_nothing_is_found_in_a_clean_file(path: Path) -> None:
    reading = examine(path.read_text(encoding="utf-8"), CATALOGUE)
    assert [str(finding) for finding in reading.document.findings()] == []
    assert reading.flow is not None


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_is_found_in_what_ships(name: str) -> None:
    assert examine(LIBRARY.shipped(name)[0], CATALOGUE).document.findings() == []


@pytest.mark.parametrize("path", FAULTY, ids=[path.stem for path in FAULTY])
def test_exactly_what_a_faulty_file_says_is_found_in_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    expected = [line.removeprefix("# ") for line in text.partition("\n# Findings\n")[2].splitlines()]
    reading = examine(text, CATALOGUE)
    assert [f"{finding.severity} {finding}" for finding in reading.document.findings()] == expected
    assert expected
    assert (reading.flow is None) == any(line.startswith("fault") for line in expected)


SCHEMA = Draft7Validator(json_schema(CATALOGUE))
BEYOND_THE_SCHEMA = {"notes"}
"""Faulty files of which a schema can know nothing."""


def faults_of_schema(text: str) -> list[str]:
    schema: Any = SCHEMA
    found = schema.iter_errors(read(text, FLOW_BYTES).value)
    return [f"{list(error.absolute_path)}: {error.message}" for error in found]


def test_a_hint_is_looked_for_as_often_as_it_is_told() -> None:
    """Thousands of unknown names in a large file would take seconds."""
    text = "version: v1\nenvironment: ambient\ncomponents: []\nrouters:\n"
    text += "".join(f"  - {{from: a{n}, to: en}}\n" for n in range(800))
    hints = [one.hint for one in examine(text, CATALOGUE).document.findings() if "component 'en'" in one.what]
    assert len(hints) == 800
    assert 0 < len([hint for hint in hints if hint]) <= REPORTED_FAULTS
    assert closest("a", [f"a{n}" for n in range(201)]) == ""


def test_the_schema_is_a_schema() -> None:
    Draft7Validator.check_schema(json_schema(CATALOGUE))


@pytest.mark.parametrize("path", CLEAN, ids=[path.stem for path in CLEAN])
def test_the_schema_takes_what_is_clean(path: Path) -> None:
    assert faults_of_schema(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_the_schema_takes_what_ships(name: str) -> None:
    assert faults_of_schema(LIBRARY.shipped(name)[0]) == []


@pytest.mark.parametrize("path", FAULTY, ids=[path.stem for path in FAULTY])
def test_the_schema_refuses_what_it_can_know_of(path: Path) -> None:
    assert bool(faults_of_schema(path.read_text(encoding="utf-8"))) == (path.stem not in BEYOND_THE_SCHEMA)
