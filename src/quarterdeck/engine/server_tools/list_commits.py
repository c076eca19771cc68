"""List commits."""

from quarterdeck.app import repositories
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.list_commits import Args


async def run(case: Case, args: Args) -> Done:
    """One line for each, the newest first."""
    found = await repositories.commits(case.app, case.actor, case.project_id, args.ref or None, args.limit)
    return Done("\n".join(f"{one.sha[:12]} {one.at:%Y-%m-%d %H:%M} {one.author}: {one.title}" for one in found))
