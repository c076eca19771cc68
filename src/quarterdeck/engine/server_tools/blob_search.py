"""Search in the repository."""

from quarterdeck.app import contents
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.blob_search import Args


async def run(case: Case, args: Args) -> Done:
    """One line for each match."""
    found = await contents.search(
        case.app, case.actor, case.project_id, args.search, args.ref or None, path=args.path, limit=args.limit
    )
    lines = [f"{one.path}:{one.line}: {one.text}" for one in found]
    if len(found) == args.limit:
        lines.append(f"(the first {args.limit}; there may be more: search for a longer text, or below a path)")
    return Done("\n".join(lines) or "No line of a text file holds that.")
