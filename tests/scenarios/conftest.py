"""One running Quarterdeck for all scenarios of a test process."""

from collections.abc import Iterator

import pytest

from tests.instance import Instance


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    """`quarterdeck serve` as processes, with its sample project."""
    running = Instance()
    try:
        yield running.start()
    finally:
        running.remove()
