"""Review a merge request."""

from pydantic import BaseModel, ConfigDict, Field

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class LineNote(BaseModel):
    """A comment on one line."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    file_path: str = Field(min_length=1, max_length=4_096, description="The file, as its diff names it.")
    new_line: int = Field(default=0, ge=0, le=2**31 - 1, description="Its number after the change; 0: none.")
    old_line: int = Field(default=0, ge=0, le=2**31 - 1, description="Of a removed line: its number before.")
    text: str = Field(min_length=1, max_length=65_536, description="The comment, in Markdown.")


class Args(ToolArgs):
    """What it is given."""

    merge_request_iid: int = Field(ge=1, le=2**31 - 1, description="Its number within the project.")
    summary: str = Field(min_length=1, max_length=65_536, description="The verdict and what matters most, in Markdown.")
    comments: list[LineNote] = Field(default=[], max_length=100, description="Comments on lines, one for each finding.")


TOOL = Tool(
    name="submit_review",
    description=(
        "Submits a review of a merge request in one go: a summary, and comments on lines of its diff. When a "
        "line isn't in the diff nothing is said, and the answer names the nearest lines that are."
    ),
    args=Args,
    side="server",
    risk="write",
    privilege=Privilege.READ_WRITE_GITLAB,
    level=Level.CONCISE,
)
