"""Quarterdecks to be killed, the option for the whole matrix, and the figures at the end."""

from collections.abc import Iterator

import pytest

from tests.instance import Instance

FIGURES: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/chaos --chaos-all` kills at every single event, not only at every kind of event."""
    parser.addoption("--chaos-all", action="store_true", help="kill each victim at every event of the demo")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many kills, and how soon things went on."""
    for line in FIGURES:
        terminalreporter.write_line(f"chaos: {line}")


@pytest.fixture
def instance() -> Iterator[Instance]:
    """A Quarterdeck of this test's own."""
    running = Instance()
    try:
        yield running.start()
    finally:
        running.remove()


@pytest.fixture
def figures() -> list[str]:
    """What is told at the end of the run."""
    return FIGURES
