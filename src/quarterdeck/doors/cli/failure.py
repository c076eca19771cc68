"""How a command ends when it can't do what it was asked: one sentence, and an exit status that scripts can rely on."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit statuses of `qd`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    FORBIDDEN = 4
    UNREACHABLE = 5
    CONFLICT = 6
    INTERRUPTED = 130
    TERMINATED = 143


class Failure(Exception):
    """Ends the command with `exit` after its sentence was written to standard error."""

    def __init__(self, message: str, exit: Exit = Exit.FAILED, *, passes: bool = False) -> None:
        super().__init__(message)
        self.exit = exit
        self.passes = passes
        """Whether the same request may succeed a little later: the server is away, or has too much to do."""


def exit_of(status: int) -> Exit:
    """The exit status for an HTTP status."""
    match status:
        case 400 | 413 | 415 | 422:
            return Exit.USAGE
        case 401 | 403:
            return Exit.FORBIDDEN
        case 404 | 410:
            return Exit.NOT_FOUND
        case 409:
            return Exit.CONFLICT
        case 502 | 503 | 504:
            return Exit.UNREACHABLE
        case _:
            return Exit.FAILED
