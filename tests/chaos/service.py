"""A process that is kept alive."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.instance import processes_below


@dataclass
class Service:
    """One of the processes that are kept alive, with its log."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    ends: list[int] = field(default_factory=list[int])
    """How it has ended each time."""

    def start(self) -> None:
        """Starts it, if it isn't there."""
        if self.process is not None:
            if self.process.poll() is None:
                return
            self.ends.append(self.process.returncode)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.command],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int | None:
        """The living process."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def child(self, words: str) -> int | None:
        """The process below it with these words in its command."""
        found = [pid for pid, line in processes_below(self.pid).items() if words in line] if self.pid else []
        return min(found, default=None)
