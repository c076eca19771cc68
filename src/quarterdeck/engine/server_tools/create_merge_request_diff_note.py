"""Comment on a line of a merge request."""

from quarterdeck.app import reviews
from quarterdeck.app.reviews import LineComment, Review
from quarterdeck.core.events import ArtifactCreated
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.create_merge_request_diff_note import Args


async def run(case: Case, args: Args) -> Done:
    """The comment, made once."""
    said = LineComment(
        path=args.file_path, new_line=args.new_line or None, old_line=args.old_line or None, text=args.text
    )
    seen = await reviews.submit(
        case.app,
        case.actor,
        case.project_id,
        args.merge_request_iid,
        Review(comments=(said,)),
        session_id=case.session_id,
        call_id=case.call_id,
    )
    made = ArtifactCreated(artifact="comment", name=f"comment on {seen.name}", url=seen.url)
    return Done(f"Commented on {args.file_path} in {seen.name}: {seen.url}", (made,))
