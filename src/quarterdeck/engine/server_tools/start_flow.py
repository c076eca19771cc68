"""Start a flow as a session of its own."""

from quarterdeck.app import child_sessions
from quarterdeck.core.events import LinkAdded
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.start_flow import Args


async def run(case: Case, args: Args) -> Done:
    """The child's number and link; the same call again finds the same child."""
    child = await child_sessions.start(
        case.app,
        case.actor,
        case.session_id,
        case.call_id,
        child_sessions.Wish(args.flow, args.goal, args.pipeline_id or None, args.inputs),
    )
    link = LinkAdded(relation="child", target="session", name=f"#{child.id}", url=child.url)
    return Done(f"Session #{child.id} has begun: {child.flow}, {child.title!r}. {child.url}", (link,))
