"""Open a merge request."""

from quarterdeck.app import merge_requests
from quarterdeck.app.merge_requests import TITLE_CHARACTERS, CreateMergeRequest
from quarterdeck.core.events import AnyPayload, ArtifactCreated, MergeRequestEnded
from quarterdeck.core.text import line
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.create_merge_request import Args


async def run(case: Case, args: Args) -> Done:
    """The merge request from the session's branch; the title is the first line of what was given."""
    made = await merge_requests.create(
        case.app,
        case.actor,
        case.project_id,
        CreateMergeRequest(
            source_branch=case.branch,
            title=line(args.title.strip().partition("\n")[0], TITLE_CHARACTERS) or case.branch,
            description=args.description,
        ),
        session_id=case.session_id,
        call_id=case.call_id,
    )
    events: tuple[AnyPayload, ...] = (
        ArtifactCreated(
            artifact="merge_request",
            name=made.name,
            url=made.url,
            ref={"iid": made.iid, "source_branch": made.source_branch, "target_branch": made.target_branch},
        ),
    )
    if made.status != "opened":  # ended by somebody before this call did
        events += (MergeRequestEnded(name=made.name, status=made.status),)
    return Done(f"Merge request {made.name} “{made.title}” is {made.status}: {made.url}", events)
