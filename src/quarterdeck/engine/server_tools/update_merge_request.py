"""Change a merge request."""

from quarterdeck.app import merge_requests
from quarterdeck.app.merge_requests import TITLE_CHARACTERS, UpdateMergeRequest
from quarterdeck.core.text import line
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.update_merge_request import Args


async def run(case: Case, args: Args) -> Done:
    """The merge request as it is then."""
    title = line(args.title.strip().partition("\n")[0], TITLE_CHARACTERS)
    seen = await merge_requests.change(
        case.app,
        case.actor,
        case.project_id,
        args.merge_request_iid,
        UpdateMergeRequest(title=title or None, description=args.description or None),
        session_id=case.session_id,
    )
    return Done(f"Merge request {seen.name} “{seen.title}” is {seen.status}: {seen.url}")
