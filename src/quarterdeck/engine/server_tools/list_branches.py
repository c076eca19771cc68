"""List branches."""

from quarterdeck.app import repositories
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.list_branches import Args

BRANCHES = 200


async def run(case: Case, args: Args) -> Done:
    """One line for each."""
    del args
    found = await repositories.branches(case.app, case.actor, case.project_id)
    lines = [f"{one.name} {one.commit[:12]}{' (default)' if one.default else ''}" for one in found[:BRANCHES]]
    lines += [f"and {len(found) - BRANCHES} more"] * (len(found) > BRANCHES)
    return Done("\n".join(lines) or "The repository is empty.")
