"""List pipelines."""

from quarterdeck.app import pipelines
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.list_pipelines import Args


async def run(case: Case, args: Args) -> Done:
    """One line for each of the newest."""
    del args
    found = await pipelines.find(case.app, case.actor, case.project_id)
    lines = [f"#{one.id} {one.status.value} {one.ref} {one.sha[:12]} {one.created_at:%Y-%m-%d %H:%M}" for one in found]
    return Done("\n".join(lines) or "There is no pipeline yet.")
