"""List merge requests."""

from quarterdeck.app import merge_requests
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.list_merge_requests import Args


async def run(case: Case, args: Args) -> Done:
    """One line for each."""
    found = await merge_requests.find(
        case.app,
        case.actor,
        case.project_id,
        status=None if args.status == "all" else args.status,
        limit=args.limit,
    )
    lines = [f"{one.name} {one.status} {one.title} ({one.source_branch} into {one.target_branch})" for one in found]
    return Done("\n".join(lines) or "There is no such merge request.")
