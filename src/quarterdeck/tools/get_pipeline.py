"""Read a pipeline."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    pipeline_id: int = Field(ge=1, description="The number of the pipeline.")


TOOL = Tool(
    name="get_pipeline",
    description=("Answers a pipeline: its status, branch, commit, and each job with stage, status and number."),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
