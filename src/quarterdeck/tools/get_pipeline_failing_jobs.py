"""See why a pipeline failed."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    pipeline_id: int = Field(ge=1, description="The number of the pipeline.")


TOOL = Tool(
    name="get_pipeline_failing_jobs",
    description=(
        "Answers the failed jobs of a pipeline: name, stage, exit code, and the end of the log of each. Begin here "
        "when a pipeline has failed."
    ),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
