"""Flow files of every kind: those in `flows/clean` must be clean, those in `flows/faulty` say what is found in them."""

from pathlib import Path

import pytest

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
