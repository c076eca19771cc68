"""A short storm over two servers, their workers, three runners and a database: nothing that is done to them shows."""

import pytest

from tests.chaos.storm import storm

SEED, SECONDS, EVERY = 7, 38.0, 2.5
"""Long enough for every kind of blow once."""


@pytest.mark.timeout(600)
def test_a_storm_loses_nothing_and_does_nothing_twice(figures: list[str]) -> None:
    said: list[str] = []
    report = storm(SEED, SECONDS, every=EVERY, say=said.append)
    figures += [f"storm of {line}" if line.startswith("seed") else line for line in report.lines()]
    assert not report.faults, "\n".join([*said, *report.lines()])
