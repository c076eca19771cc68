"""The journals of all runners as witnesses: read while they are written, for what is over is taken out of them."""

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

LOOK_SECONDS = 0.05


@dataclass
class Tail:
    """One journal, followed through the files that its runner writes anew."""

    path: Path
    begun: dict[str, str] = field(default_factory=dict[str, str])
    """Each call that began here, and its subject."""
    twice: list[str] = field(default_factory=list[str])
    _here: Counter[str] = field(default_factory=Counter[str])
    """How often each began by the file of now, where those of before stand once more."""
    _wiped: set[str] = field(default_factory=set[str])
    _file: BinaryIO | None = None
    _half: bytes = b""

    def look(self) -> None:
        """Takes in what is new."""
        while True:
            replaced = self._file is not None and not _same(self.path, self._file)
            for entry in self._entries():
                self._take(entry)
            if not replaced:
                return
            self.close()
            self._file, self._half = None, b""
            self._here.clear()

    def close(self) -> None:
        """Looks no more."""
        if self._file is not None:
            self._file.close()

    def _entries(self) -> Iterator[Any]:
        if self._file is None:
            if not self.path.exists():
                return
            self._file = self.path.open("rb")
        lines = (self._half + self._file.read()).split(b"\n")
        self._half = lines.pop()  # a runner that dies tears its last line, and the next one drops it
        for line in lines:
            yield json.loads(line)

    def _take(self, entry: Any) -> None:
        match entry["entry"]:
            case "begun":
                call_id, subject = entry["offer"]["call_id"], entry["offer"]["subject"]
                self._here[call_id] += 1
                if self._here[call_id] > 1 or call_id in self._wiped:
                    self.twice.append(call_id)
                self.begun[call_id] = subject
            case "wiped":
                self._wiped |= {call_id for call_id, subject in self.begun.items() if subject == entry["subject"]}
            case _:
                pass


def _same(path: Path, file: BinaryIO) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return True


class Witness:
    """Follows the journals of these homes until it is asked what it saw."""

    def __init__(self, homes: list[Path]) -> None:
        self.tails = {home.name: Tail(home / "journal.jsonl") for home in homes}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="witness", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            for tail in self.tails.values():
                tail.look()

    def begun(self) -> dict[str, list[str]]:
        """Who began each call; once more for each time that it was begun again."""
        self._stop.set()
        self._thread.join()
        found: dict[str, list[str]] = {}
        for name, tail in self.tails.items():
            tail.look()
            tail.close()
            for call_id in (*tail.begun, *tail.twice):
                found.setdefault(call_id, []).append(name)
        return found
