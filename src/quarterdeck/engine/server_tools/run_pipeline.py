"""Run the pipeline of the pushed work."""

from quarterdeck.app import pipelines
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import Outcome
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.run_pipeline import Args


async def run(case: Case, args: Args) -> Done | None:
    """Takes the pipeline that the push started, or starts one; its end ends the call."""
    del args
    known = await pipelines.find(case.app, case.actor, case.project_id, ref=case.branch, limit=1)
    head = await pipelines.head(case.app, case.actor, case.project_id, case.branch)
    if known and known[0].sha == head:
        pipeline_id = known[0].id
    else:
        by = case.session_id
        pipeline_id = (await pipelines.start(case.app, case.actor, case.project_id, case.branch, session_id=by)).id
    ended = await pipelines.wait_for(case.app, pipeline_id, case.session_id, case.call_id)
    if ended is None:
        return None
    outcome, text = ended
    if outcome is Outcome.OK:
        return Done(text)
    raise InvalidInputError(text)
