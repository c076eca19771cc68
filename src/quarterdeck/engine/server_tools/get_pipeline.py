"""Read a pipeline."""

from quarterdeck.app import pipelines
from quarterdeck.core.errors import NotFoundError
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.get_pipeline import Args


async def run(case: Case, args: Args) -> Done:
    """The pipeline and one line for each of its jobs."""
    seen = await pipelines.show(case.app, case.actor, args.pipeline_id)
    if seen.project_id != case.project_id:
        raise NotFoundError(f"There is no pipeline #{args.pipeline_id} in this project.")
    lines = [f"Pipeline #{seen.id} of {seen.ref} at {seen.sha[:12]}: {seen.status.value}"]
    lines += [seen.error] * bool(seen.error)
    lines += [f"- {job.stage}: {job.name} (id {job.id}) {job.status.value}" for job in seen.jobs]
    return Done("\n".join(lines))
