"""What a tool is to the catalogue: name, schema, risk, privilege, level, bounds. Its body is on its side."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import Level


class Privilege(StrEnum):
    """What a session may be trusted with; the words are GitLab's."""

    READ_WRITE_FILES = "read_write_files"
    READ_ONLY_GITLAB = "read_only_gitlab"
    READ_WRITE_GITLAB = "read_write_gitlab"
    RUN_COMMANDS = "run_commands"
    USE_GIT = "use_git"
    RUN_MCP_TOOLS = "run_mcp_tools"
    START_FLOWS = "start_flows"
    READ_ONLY_FILES = "read_only_files"


class ToolArgs(BaseModel):
    """The arguments of a tool; unknown ones are an error that the model is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Tool:
    """One entry of the catalogue."""

    name: str
    description: str
    """What the model reads: when to use it and what comes back."""
    args: type[ToolArgs]
    side: Literal["executor", "server"]
    risk: Literal["read", "write", "execute"]
    privilege: Privilege | None
    """None: a tool of the session's own state, which asks nobody."""
    level: Level
    parallel: bool = False
    """Whether calls of it may run beside others of the same answer."""
    timeout_seconds: int = 60
    snapshot: bool = False
    """Whether the workspace is looked at for changes after it."""

    def parse(self, args: dict[str, JsonValue]) -> ToolArgs:
        """The checked arguments.

        Raises:
            InvalidInputError: every fault at once, in words that a model can act on.
        """
        try:
            return self.args.model_validate(args)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(str(part) for part in fault['loc']) or 'arguments'}: {fault['msg']}"
                for fault in error.errors(include_url=False)
            )
            raise InvalidInputError(f"The arguments of {self.name} don't fit: {faults}") from None

    def schema(self) -> dict[str, JsonValue]:
        """The JSON Schema of the arguments, as models are given it."""
        return self.args.model_json_schema()
