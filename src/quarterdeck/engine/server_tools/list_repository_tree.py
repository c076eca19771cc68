"""List a folder of the repository."""

from quarterdeck.app import contents
from quarterdeck.app.contents import ENTRIES
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.list_repository_tree import Args


async def run(case: Case, args: Args) -> Done:
    """One line for each entry; a folder has a slash at its end."""
    found = await contents.tree(
        case.app, case.actor, case.project_id, args.path, args.ref or None, recursive=args.recursive
    )
    marks = {"file": "", "folder": "/", "submodule": " (submodule)"}
    lines = [f"{one.path}{marks[one.kind]}" + (f" {one.size:,} bytes" if one.size is not None else "") for one in found]
    if len(found) == ENTRIES:
        lines.append(f"(the first {ENTRIES}; list a folder below for the rest)")
    return Done("\n".join(lines) or "The folder is empty.")
