"""Search in the repository."""

from pydantic import Field

from quarterdeck.core.events import Level
from quarterdeck.core.limits import REF_CHARACTERS
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs


class Args(ToolArgs):
    """What it is given."""

    search: str = Field(min_length=1, max_length=1_000, description="A part of a line, as it is; no pattern.")
    path: str = Field(default="", max_length=4_096, description="Only in this folder or file; empty: everywhere.")
    ref: str = Field(default="", max_length=REF_CHARACTERS, description="Branch, tag, commit; else the default branch.")
    limit: int = Field(default=50, ge=1, le=100, description="How many at most.")


TOOL = Tool(
    name="blob_search",
    description=(
        "Finds lines of the repository's text files that hold a text, in upper or lower case, and answers "
        "path, number and line. It needs no workspace."
    ),
    args=Args,
    side="server",
    risk="read",
    privilege=Privilege.READ_ONLY_GITLAB,
    level=Level.FULL,
    parallel=True,
)
