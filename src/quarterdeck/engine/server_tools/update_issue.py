"""Change an issue."""

from quarterdeck.app import issues
from quarterdeck.app.issues import TITLE_CHARACTERS, UpdateIssue
from quarterdeck.core.text import line
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.update_issue import Args


async def run(case: Case, args: Args) -> Done:
    """The issue as it is then; what it says comes to the same when it is said again."""
    target = (case.app, case.actor, case.project_id, args.issue_iid)
    seen = await issues.show(*target)
    labels = None
    if args.add_labels or args.remove_labels:
        labels = tuple(sorted({*seen.labels, *args.add_labels} - set(args.remove_labels)))
    title = line(args.title.strip().partition("\n")[0], TITLE_CHARACTERS)
    if title or args.description or labels is not None:
        seen = await issues.change(
            *target, UpdateIssue(title=title or None, description=args.description or None, labels=labels)
        )
    if args.state == "closed" and seen.status == "opened":
        seen = await issues.close(*target)
    elif args.state == "opened" and seen.status == "closed":
        seen = await issues.reopen(*target)
    return Done(f"Issue {seen.name} “{seen.title}” is {seen.status}, labels: {', '.join(seen.labels) or 'none'}.")
