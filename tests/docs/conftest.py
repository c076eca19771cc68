"""What the tests of the documentation share: all Markdown files of the repository, and a server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.instance import Instance

ROOT = Path(__file__).parents[2]


def markdown() -> list[Path]:
    """README.md and its like, and everything below docs/."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.fixture(params=markdown(), ids=lambda path: str(path.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Path:
    """Each Markdown file in turn."""
    path: Path = request.param
    return path


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    """A running server, for what doesn't have to be the first thing that is done on it."""
    running = Instance()
    try:
        yield running.start()
    finally:
        running.remove()
