"""Read a merge request."""

from quarterdeck.app import merge_requests
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.get_merge_request import Args


async def run(case: Case, args: Args) -> Done:
    """The merge request, its pipeline and its comments as text."""
    seen = await merge_requests.show(case.app, case.actor, case.project_id, args.merge_request_iid)
    pipeline = f"#{seen.pipeline.id} {seen.pipeline.status.value}" if seen.pipeline else "none"
    lines = [
        f"{seen.name} {seen.title}",
        f"{seen.status}, from {seen.source_branch} to {seen.target_branch}, by {seen.author}, pipeline {pipeline}",
        "",
        seen.description or "(no description)",
    ]
    for comment in seen.comments:
        place = f" on {comment.position.name}" if comment.position else ""
        lines.append(f"\n{comment.author}{place}: {comment.text}")
    return Done("\n".join(lines))
