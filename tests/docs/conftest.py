"""What the tests of the documentation share: all Markdown files of the repository."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def markdown() -> list[Path]:
    """README.md and its like, and everything below docs/."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.fixture(params=markdown(), ids=lambda path: str(path.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Path:
    """Each Markdown file in turn."""
    path: Path = request.param
    return path
