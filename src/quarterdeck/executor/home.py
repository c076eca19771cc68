"""A runner's folder: its id, journal, workspaces and output that waits, each subject's under its own name."""

import fcntl
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from quarterdeck.core.errors import ConflictError, InvalidInputError

_SUBJECT = re.compile(r"[a-z]{1,20}:[0-9]{1,18}")
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Home:
    """Where everything of a runner is; no path is made of a name that wasn't looked at."""

    root: Path

    @property
    def journal(self) -> Path:
        """The file of the journal."""
        return self.root / "journal.jsonl"

    def instance(self) -> str:
        """What tells this runner from all others, whatever their names: made once, by whoever has the home locked."""
        path = self.root / "id"
        if not path.exists() or not path.read_text(encoding="utf-8").strip():
            fresh = path.with_suffix(".new")
            fresh.write_text(f"{uuid4().hex}\n", encoding="utf-8")
            fresh.replace(path)
        return path.read_text(encoding="utf-8").strip()

    def workspace(self, subject: str) -> Path:
        """The folder of a subject's workspace, `workspaces/session-12`."""
        return self.root / "workspaces" / _folder(subject)

    def outputs(self, subject: str) -> Path:
        """Where the output of a subject's calls waits for the server."""
        return self.root / "outputs" / _folder(subject)

    def output(self, subject: str, call_id: str) -> Path:
        """The file in which one call's output waits.

        Raises:
            InvalidInputError: one of the two is no such name.
        """
        if not _CALL_ID.fullmatch(call_id):
            raise InvalidInputError(f"{call_id!r} is no id of a call.")
        return self.outputs(subject) / call_id

    @property
    def caches(self) -> Path:
        """Where what setup scripts made is kept, each project's in a folder of its own."""
        return self.root / "caches"

    def subjects(self) -> set[str]:
        """All subjects that have a workspace here, or half of one."""
        folder = self.root / "workspaces"
        names = [path.name.replace("-", ":") for path in folder.iterdir()] if folder.is_dir() else []
        return {name for name in names if _SUBJECT.fullmatch(name)}

    @contextmanager
    def locked(self) -> Generator[None]:
        """Have it for oneself; the kernel lets go of it when the runner dies, however it dies.

        Raises:
            ConflictError: another runner has it.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.root / "lock").open("w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConflictError(f"Another runner works in {self.root}. Give this one a home of its own.") from None
            yield


def _folder(subject: str) -> str:
    if not _SUBJECT.fullmatch(subject):
        raise InvalidInputError(f"{subject!r} is no subject.")
    return subject.replace(":", "-")
