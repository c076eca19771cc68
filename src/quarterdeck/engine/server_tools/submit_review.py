"""Review a merge request."""

from quarterdeck.app import reviews
from quarterdeck.app.reviews import LineComment, Review
from quarterdeck.core.events import ArtifactCreated
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.submit_review import Args


async def run(case: Case, args: Args) -> Done:
    """The whole review, made once."""
    notes = tuple(
        LineComment(path=one.file_path, new_line=one.new_line or None, old_line=one.old_line or None, text=one.text)
        for one in args.comments
    )
    seen = await reviews.submit(
        case.app,
        case.actor,
        case.project_id,
        args.merge_request_iid,
        Review(summary=args.summary, comments=notes),
        session_id=case.session_id,
        call_id=case.call_id,
    )
    made = ArtifactCreated(
        artifact="comment", name=f"review of {seen.name}", url=seen.url, ref={"line_comments": len(notes)}
    )
    return Done(f"Reviewed {seen.name} with {len(notes)} comments on lines: {seen.url}", (made,))
