"""Commit every change and have the server push it."""

from quarterdeck.core.events import FileChange, Outcome
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.tools.create_commit import Args

_SHOWN = 100


async def run(hands: Hands, args: Args) -> Done:
    """Branch, commit and files."""
    committed = await hands.workspace.create_commit(args.message)
    files = [_line(file) for file in committed.files[:_SHOWN]]
    if len(committed.files) > _SHOWN:
        files.append(f"[… {len(committed.files) - _SHOWN:,} more …]")
    heading = f"Pushed commit {committed.commit} to branch {committed.branch}."
    return Done(Outcome.OK, "\n".join([heading, *files]), truncated=len(committed.files) > _SHOWN)


def _line(file: FileChange) -> str:
    return f"{file.change} {file.path} (+{file.added} -{file.removed})"
