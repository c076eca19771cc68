"""The option for all benchmarks."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/bench --bench-all` also runs the benchmarks that need many seconds even when they are small."""
    parser.addoption("--bench-all", action="store_true", help="run every benchmark, not only the quick ones")
