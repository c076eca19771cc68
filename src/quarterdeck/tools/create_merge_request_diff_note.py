"""Comment on a line of a merge request."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    merge_request_iid: int = Field(ge=1, le=2**31 - 1, description="Its number within the project.")
    file_path: str = Field(min_length=1, max_length=4_096, description="The file, as its diff names it.")
    new_line: int = Field(default=0, ge=0, le=2**31 - 1, description="Its number after the change; 0: none.")
    old_line: int = Field(default=0, ge=0, le=2**31 - 1, description="Of a removed line: its number before.")
    text: str = Field(min_length=1, max_length=65_536, description="The comment, in Markdown.")


TOOL = Tool(
    name="create_merge_request_diff_note",
    description=(
        "Writes a comment on one line of a merge request's diff: an added, an unchanged or a removed one, by "
        "its number. A line that isn't in the diff is refused. Use submit_review for several."
    ),
    args=Args,
    side="server",
    risk="write",
    privilege=Privilege.READ_WRITE_GITLAB,
    level=Level.CONCISE,
)
