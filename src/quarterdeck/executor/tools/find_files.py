"""Find files by name, with the sandbox's own `find`."""

from quarterdeck.core.errors import InvalidInputError, UnavailableError
from quarterdeck.core.events import Outcome
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.executor.processes import Ended
from quarterdeck.tools.find_files import Args

_SHOWN = 500
_SECONDS = 30


async def run(hands: Hands, args: Args) -> Done:
    """Paths, sorted, one a line; none is no error.

    Raises:
        InvalidInputError: the pattern is not one.
        UnavailableError: it took too long.
    """
    if "\x00" in args.name_pattern:
        raise InvalidInputError("The pattern has a NUL character in it.")
    argv = ["find", ".", "-name", ".git", "-prune", "-o", "!", "-type", "d", "(", *_test(args.name_pattern), ")"]
    ended = await hands.run([*argv, "-print"], timeout=_SECONDS, quiet=True)
    _check(ended)
    paths = sorted(path[2:] for path in ended.text.splitlines() if path.startswith("./"))
    if not paths:
        return Done(Outcome.OK, f"No file matches {args.name_pattern}.")
    more = len(paths) > _SHOWN or ended.truncated
    note = ["[… more than that; use a narrower pattern …]"] if more else []
    return Done(Outcome.OK, "\n".join([*paths[:_SHOWN], *note]), truncated=more)


def _test(pattern: str) -> list[str]:
    pattern = pattern.removeprefix("/workspace/").removeprefix("./")
    if "/" not in pattern:
        return ["-name", pattern]
    # For find a * takes slashes too; what **/ also means, no folder at all, it has to be told.
    return ["-path", f"./{pattern}", "-o", "-path", f"./{pattern.replace('**/', '')}"]


def _check(ended: Ended) -> None:
    if ended.outcome is Outcome.TIMED_OUT:
        raise UnavailableError(f"The search was not done after {_SECONDS} seconds. Use a narrower pattern.")
    if ended.exit_code not in (0, 1):
        raise UnavailableError(f"find ended with exit code {ended.exit_code}: {ended.text.strip()[:500]}")
