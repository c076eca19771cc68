"""Run a line of shell in the sandbox."""

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import Outcome
from quarterdeck.executor.answers import told
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.tools.run_command import Args

_SHELL = 'if command -v bash >/dev/null; then exec bash -c "$1"; else exec sh -c "$1"; fi'


async def run(hands: Hands, args: Args) -> Done:
    """Exit code and output; a command that fails is outcome `error`, one that takes too long `timed_out`."""
    if "\x00" in args.command:
        raise InvalidInputError("The command has a NUL character in it.")
    ended = await hands.run(["sh", "-c", _SHELL, "sh", args.command], timeout=args.timeout_seconds, online=True)
    match ended.outcome:
        case Outcome.TIMED_OUT:
            heading = f"Killed after {args.timeout_seconds} seconds, with all that it started."
        case Outcome.CANCELLED:
            heading = "Killed, because the session was stopped."
        case _:
            heading = f"Exit code {ended.exit_code}."
    return told(heading, ended)
