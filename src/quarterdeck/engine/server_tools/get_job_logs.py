"""Read a job's log."""

from quarterdeck.app import pipelines
from quarterdeck.core.errors import NotFoundError
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.get_job_logs import Args


async def run(case: Case, args: Args) -> Done:
    """The end of the log, below one line that says whose it is."""
    job = await pipelines.job(case.app, case.actor, args.job_id)
    if (await pipelines.show(case.app, case.actor, job.pipeline_id)).project_id != case.project_id:
        raise NotFoundError(f"There is no job {args.job_id} in this project.")
    log = await pipelines.job_tail(case.app, case.actor, args.job_id, args.tail_bytes)
    return Done(f"Job {job.name} (id {job.id}, stage {job.stage}): {job.status.value}. The end of its log:\n{log}")
