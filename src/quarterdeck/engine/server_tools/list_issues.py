"""List issues."""

from quarterdeck.app import issues
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.list_issues import Args


async def run(case: Case, args: Args) -> Done:
    """One line for each."""
    found = await issues.find(
        case.app,
        case.actor,
        case.project_id,
        status=None if args.status == "all" else args.status,
        label=args.label or None,
        assignee=args.assignee or None,
        search=args.search or None,
        limit=args.limit,
    )
    lines = [
        f"{one.name} {one.status} {one.title} [{', '.join(one.labels)}] {', '.join(one.assignees)}".rstrip()
        for one in found
    ]
    return Done("\n".join(lines) or "There is no such issue.")
