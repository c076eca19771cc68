"""Read an issue."""

from quarterdeck.app import issues
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.get_issue import Args


async def run(case: Case, args: Args) -> Done:
    """The issue as text; its comments are another tool's."""
    seen = await issues.show(case.app, case.actor, case.project_id, args.issue_iid)
    closed = f" by {seen.closed_by} {seen.closed_reason}".rstrip() if seen.closed_by else ""
    return Done(
        f"{seen.name} {seen.title}\n"
        f"{seen.status}{closed}, by {seen.author}, labels: {', '.join(seen.labels) or 'none'}, "
        f"assignees: {', '.join(seen.assignees) or 'none'}, {len(seen.comments)} comments\n{seen.url}\n\n"
        f"{seen.description or '(no description)'}"
    )
