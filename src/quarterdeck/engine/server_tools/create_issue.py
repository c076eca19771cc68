"""Open an issue."""

from quarterdeck.app import issues
from quarterdeck.app.issues import TITLE_CHARACTERS, CreateIssue
from quarterdeck.core.events import LinkAdded
from quarterdeck.core.text import line
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.create_issue import Args


async def run(case: Case, args: Args) -> Done:
    """The issue, made once; the title is the first line of what was given."""
    made = await issues.create(
        case.app,
        case.actor,
        case.project_id,
        CreateIssue(
            title=line(args.title.strip().partition("\n")[0], TITLE_CHARACTERS),
            description=args.description,
            labels=tuple(args.labels),
        ),
        session_id=case.session_id,
        call_id=case.call_id,
    )
    link = LinkAdded(relation="created", target="issue", name=made.name, url=made.url)
    return Done(f"Issue {made.name} “{made.title}” is {made.status}: {made.url}", (link,))
