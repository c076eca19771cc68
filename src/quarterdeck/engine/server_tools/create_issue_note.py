"""Comment on an issue."""

from quarterdeck.app import issues
from quarterdeck.core.events import ArtifactCreated
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.create_issue_note import Args


async def run(case: Case, args: Args) -> Done:
    """The comment, made once."""
    seen = await issues.comment(
        case.app,
        case.actor,
        case.project_id,
        args.issue_iid,
        args.text,
        session_id=case.session_id,
        call_id=case.call_id,
    )
    made = ArtifactCreated(artifact="comment", name=f"comment on {seen.name}", url=seen.url)
    return Done(f"Commented on {seen.name}: {seen.url}", (made,))
