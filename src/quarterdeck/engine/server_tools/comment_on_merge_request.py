"""Comment on a merge request."""

from quarterdeck.app import merge_requests
from quarterdeck.core.events import ArtifactCreated
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.comment_on_merge_request import Args


async def run(case: Case, args: Args) -> Done:
    """The comment, made once."""
    seen = await merge_requests.comment(
        case.app,
        case.actor,
        case.project_id,
        args.merge_request_iid,
        args.text,
        session_id=case.session_id,
        call_id=case.call_id,
    )
    made = ArtifactCreated(artifact="comment", name=f"comment on {seen.name}", url=seen.url)
    return Done(f"Commented on {seen.name}: {seen.url}", (made,))
