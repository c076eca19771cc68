"""Benchmarks, run by hand: `.venv/bin/python -m bench.NAME --help`. None asserts a time."""
