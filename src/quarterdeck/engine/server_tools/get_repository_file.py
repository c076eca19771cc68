"""Read a file of the repository."""

from quarterdeck.app import repositories
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import cut, decode
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.get_repository_file import Args

TEXT_CHARACTERS = 30_000


async def run(case: Case, args: Args) -> Done:
    """The lines that were asked for, below one that says which they are."""
    data = await repositories.file(case.app, case.actor, case.project_id, args.file_path, args.ref or None)
    if b"\0" in data[:8_000]:
        raise InvalidInputError(f"{args.file_path} is no text file; it has {len(data):,} bytes.")
    lines = decode(data).splitlines()
    shown = lines[args.offset - 1 : args.offset - 1 + args.limit]
    if not shown:
        return Done(f"{args.file_path} has {len(lines)} lines; none from line {args.offset} on.")
    head = f"{args.file_path}, lines {args.offset} to {args.offset - 1 + len(shown)} of {len(lines)}:"
    return Done(head + "\n" + cut("\n".join(shown), TEXT_CHARACTERS))
