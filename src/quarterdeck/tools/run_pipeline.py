"""Run the pipeline of the pushed work."""

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""


TOOL = Tool(
    name="run_pipeline",
    description=(
        "Runs the pipeline of the session's branch at its newest commit, waits for its end, and answers its status, "
        "number and failed jobs with the ends of their logs. It succeeds only when the pipeline passed. Push by "
        "create_commit first."
    ),
    args=Args,
    side="server",
    risk="execute",
    privilege=Privilege.READ_WRITE_GITLAB,
    level=Level.CONCISE,
    timeout_seconds=7200,
)
