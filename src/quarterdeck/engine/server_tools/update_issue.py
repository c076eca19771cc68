"""Change an issue."""

from quarterdeck.app import issues
from quarterdeck.app.issues import TITLE_CHARACTERS, UpdateIssue
from quarterdeck.core.text import line
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.update_issue import Args


async def run(case: Case, args: Args) -> Done:
    """The issue as it is then; saying the same again changes nothing."""
    seen = await issues.change(
        case.app,
        case.actor,
        case.project_id,
        args.issue_iid,
        UpdateIssue(
            title=line(args.title.strip().partition("\n")[0], TITLE_CHARACTERS) or None,
            description=args.description or None,
            status=args.state or None,
            add_labels=tuple(args.add_labels),
            remove_labels=tuple(args.remove_labels),
        ),
        session_id=case.session_id,
    )
    return Done(f"Issue {seen.name} “{seen.title}” is {seen.status}, labels: {', '.join(seen.labels) or 'none'}.")
