"""Check a pipeline file."""

from quarterdeck.app import ci_lint
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.ci_linter import Args


async def run(case: Case, args: Args) -> Done:
    """The faults, or the jobs; a faulty file is an answer and no failure of the tool."""
    seen = await ci_lint.lint(case.app, case.actor, case.project_id, args.content, case.branch)
    if not seen.valid:
        return Done("The file can't be used:\n" + "\n".join(f"- {fault}" for fault in seen.faults))
    jobs = [f"- {job.stage}: {job.name}" for job in seen.jobs]
    return Done("The file is valid. A push of it would run:\n" + ("\n".join(jobs) or f"- nothing: {seen.nothing}"))
