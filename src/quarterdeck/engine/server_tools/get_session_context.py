"""Read the person's earlier sessions."""

from quarterdeck.app import earlier
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.get_session_context import Args


async def run(case: Case, args: Args) -> Done:
    """The list, or what one of them came to."""
    if not args.session:
        return Done(await earlier.listed(case.app, case.actor, case.session_id))
    return Done(await earlier.told(case.app, case.actor, case.session_id, args.session, args.messages))
