"""Read a commit."""

from quarterdeck.app import contents
from quarterdeck.core.text import cut
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.get_commit import Args

MESSAGE_CHARACTERS = 4_000
DIFF_CHARACTERS = 24_000


async def run(case: Case, args: Args) -> Done:
    """The commit as text."""
    seen = await contents.commit(case.app, case.actor, case.project_id, args.sha)
    parents = ", ".join(parent[:12] for parent in seen.parents) or "none"
    more = "\n(the diff goes on)" if seen.diff_cut_off else ""
    return Done(
        f"{seen.sha} by {seen.author}, {seen.at:%Y-%m-%d %H:%M}, parents: {parents}\n\n"
        f"{cut(seen.message, MESSAGE_CHARACTERS)}\n\n{cut(seen.diff, DIFF_CHARACTERS)}{more}"
    )
