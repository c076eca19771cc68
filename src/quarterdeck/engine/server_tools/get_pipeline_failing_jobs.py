"""See why a pipeline failed."""

from quarterdeck.app import pipelines
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.get_pipeline_failing_jobs import Args


async def run(case: Case, args: Args) -> Done:
    """The failed jobs and the ends of their logs."""
    return Done(await pipelines.failing_jobs(case.app, case.actor, case.project_id, args.pipeline_id))
