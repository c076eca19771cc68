"""What all benchmarks share: their options, where they measure, and how their figures are told.

A benchmark is a module with a `measure(options)` that yields figures, and ends with `run(__doc__, measure, …)`.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from quarterdeck.store import schema
from quarterdeck.store.embedded import EmbeddedPostgres
from tests.instance import Instance


@dataclass(frozen=True)
class Figure:
    """One thing that was measured; `aim` is what it was designed for, in words, and `note` what is included."""

    name: str
    value: float
    unit: str
    aim: str = ""
    note: str = ""


def spread(name: str, samples: Sequence[float], unit: str, aim: str = "", note: str = "") -> list[Figure]:
    """The median, p95 and p99 of samples as figures; the aim stands beside the one that it names, else the median."""
    cuts = statistics.quantiles(samples, n=100, method="inclusive") if len(samples) > 1 else [samples[0]] * 99
    values = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}
    aimed = next((one for one in values if one in aim), "p50")
    return [
        Figure(f"{name}, {one}", value, unit, aim if one == aimed else "", note or f"{len(samples)} samples")
        for one, value in values.items()
    ]


def run(
    description: str,
    measure: Callable[[argparse.Namespace], Iterable[Figure]],
    options: Callable[[argparse.ArgumentParser], None] | None = None,
) -> None:
    """Measure with the options of the command line, and tell the figures as a table and, if asked, as JSON."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a size of seconds, to see that it works; no figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there, with the machine's")
    if options is not None:
        options(parser)
    chosen = parser.parse_args()
    table = Table("figure", "value", "unit", "designed for", "note", title=parser.prog, title_justify="left")
    figures: list[Figure] = []
    for figure in measure(chosen):
        figures.append(figure)
        table.add_row(figure.name, f"{figure.value:,.2f}", figure.unit, figure.aim, figure.note)
        print(f"{figure.name}: {figure.value:,.2f} {figure.unit}", file=sys.stderr, flush=True)
    Console(width=160 if not sys.stdout.isatty() else None).print(table)
    if chosen.json is not None:
        report = {"machine": machine(), "small": chosen.small, "figures": [asdict(one) for one in figures]}
        chosen.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, str | int]:
    """What was measured on."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "cores": os.cpu_count() or 0,
        "load": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


@contextmanager
def server(*options: str, settings: dict[str, str] | None = None) -> Generator[Instance]:
    """A whole `quarterdeck serve` on an empty home, ready, with its runner; gone afterwards."""
    instance = Instance(options=options, settings=settings or {})
    try:
        yield instance.start()
    finally:
        instance.remove()


@contextmanager
def database() -> Generator[str]:
    """The URL of a PostgreSQL of its own with all tables, and nothing in them; gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="qd-bench-", dir="/tmp"))
    home.chmod(0o755)
    embedded = EmbeddedPostgres(home)
    try:
        url = embedded.start()
        schema.upgrade(url)
        yield url
    finally:
        embedded.stop(immediate=True)
        moved = home / "postgres.path"
        if moved.is_file():
            shutil.rmtree(moved.read_text(encoding="utf-8").strip(), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
