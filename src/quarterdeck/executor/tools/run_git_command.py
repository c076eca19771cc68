"""Run one git command in the sandbox."""

import shlex

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.executor.answers import told
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.tools.run_git_command import Args

_SECONDS = 120
_NETWORK = frozenset({"clone", "fetch", "ls-remote", "pull", "push", "remote", "send-email", "submodule"})


async def run(hands: Hands, args: Args) -> Done:
    """Exit code and output of git.

    Raises:
        InvalidInputError: a command that needs the network or that commits; says what to use.
    """
    if args.command in _NETWORK:
        raise InvalidInputError(
            f"git {args.command} needs the network, which the workspace has not. To commit and push the work, use "
            "create_commit; the history of the project is here already."
        )
    if args.command == "commit":
        raise InvalidInputError("Commit with create_commit: it commits every change, and pushes.")
    try:
        words = shlex.split(args.args)
    except ValueError as error:
        raise InvalidInputError(f"The arguments are not quoted as in a shell: {error}.") from None
    if any("\x00" in word for word in words):
        raise InvalidInputError("The arguments have a NUL character in them.")
    ended = await hands.run(["git", "--no-pager", args.command, *words], timeout=_SECONDS)
    return told(f"git {args.command}: exit code {ended.exit_code}.", ended)
