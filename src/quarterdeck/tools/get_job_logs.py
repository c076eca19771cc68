"""Read a job's log."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.core.limits import JOB_LOG_TAIL_BYTES
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    job_id: int = Field(ge=1, description="The number of the job.")
    tail_bytes: int = Field(
        default=32_768, ge=1, le=JOB_LOG_TAIL_BYTES, description="How much of the end of the log, in bytes."
    )


TOOL = Tool(
    name="get_job_logs",
    description=("Answers the end of one pipeline job's log, with its name and status."),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
