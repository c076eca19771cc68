"""Read the comments of an issue."""

from quarterdeck.app import issues
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.list_issue_notes import Args


async def run(case: Case, args: Args) -> Done:
    """The newest of them, in their order."""
    seen = await issues.show(case.app, case.actor, case.project_id, args.issue_iid)
    shown = seen.comments[-args.limit :]
    lines = [f"{len(seen.comments)} comments on {seen.name}, the newest {len(shown)} of them:"]
    lines += [f"\n{one.author}, {one.created_at:%Y-%m-%d %H:%M}: {one.text}" for one in shown]
    return Done("\n".join(lines))
