"""Open an issue."""

from typing import Annotated

from pydantic import Field, StringConstraints

from quarterdeck.core.events import Level
from quarterdeck.tools.tool import Privilege, Tool, ToolArgs

Label = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class Args(ToolArgs):
    """What it is given."""

    title: str = Field(min_length=1, max_length=65_536, description="What is wrong or wanted, in one line.")
    description: str = Field(default="", max_length=65_536, description="Markdown: what, where, how it shows.")
    labels: list[Label] = Field(default=[], max_length=20, description="A few plain words.")


TOOL = Tool(
    name="create_issue",
    description=(
        "Opens an issue in the project and answers its number and link. Look with list_issues first whether "
        "there is one of the matter already."
    ),
    args=Args,
    side="server",
    risk="write",
    privilege=Privilege.READ_WRITE_GITLAB,
    level=Level.CONCISE,
)
