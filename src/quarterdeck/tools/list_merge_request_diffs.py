"""Read what a merge request changes."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    merge_request_iid: int = Field(ge=1, le=2**31 - 1, description="Its number within the project.")
    file_path: str = Field(default="", max_length=4_096, description="Only this file; empty: all of them.")


TOOL = Tool(
    name="list_merge_request_diffs",
    description=(
        "Answers the files that a merge request changes and their diffs, each line with its old and new "
        "number, which comments on lines need. Of a large one some diffs are left out; ask for those by "
        "file_path."
    ),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
