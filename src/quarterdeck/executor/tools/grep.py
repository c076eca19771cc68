"""Search in files, with the sandbox's own `grep`, so that no pattern and no file can do harm outside of it."""

from quarterdeck.core.errors import InvalidInputError, UnavailableError
from quarterdeck.core.events import Outcome
from quarterdeck.core.text import line
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.executor.processes import Ended
from quarterdeck.tools.grep import Args

_SHOWN = 200
_LINE_CHARACTERS = 300
_PER_FILE = 100
_SECONDS = 30


async def run(hands: Hands, args: Args) -> Done:
    """Lines as `path:number:text`; no match is no error.

    Raises:
        InvalidInputError: the pattern is no regular expression, or the folder isn't there.
        UnavailableError: it took too long.
    """
    if "\x00" in args.pattern or "\n" in args.pattern:
        raise InvalidInputError("The pattern has a line end or a NUL character in it; a search is line by line.")
    where = hands.files.relative(args.directory)
    argv = ["grep", "-rnHIsP", "--exclude-dir=.git", f"--max-count={_PER_FILE}", "--color=never"]
    argv += ["-i"] * args.case_insensitive
    ended = await hands.run([*argv, "-e", args.pattern, "--", where], timeout=_SECONDS, quiet=True)
    if ended.outcome is Outcome.TIMED_OUT:
        raise UnavailableError(
            f"The search was not done after {_SECONDS} seconds. Search in one folder, or more simply."
        )
    if ended.exit_code not in (0, 1) and not _hits(ended):
        hands.files.exists(args.directory)
        said = ended.text.strip()[:500] or f"grep ended with exit code {ended.exit_code}"
        raise InvalidInputError(f"The search was refused: {said}")
    return _done(ended, args.pattern)


def _hits(ended: Ended) -> list[str]:
    return [hit.removeprefix("./") for hit in ended.text.splitlines() if hit and not hit.startswith("grep: ")]


def _done(ended: Ended, pattern: str) -> Done:
    hits = _hits(ended)
    if not hits:
        return Done(Outcome.OK, f"No line matches {pattern}.")
    more = len(hits) > _SHOWN or ended.truncated
    shown = [line(hit, _LINE_CHARACTERS) if len(hit) > _LINE_CHARACTERS else hit for hit in hits[:_SHOWN]]
    note = ["[… more than that; search in one folder, or more narrowly …]"] if more else []
    return Done(Outcome.OK, "\n".join([*shown, *note]), truncated=more)
