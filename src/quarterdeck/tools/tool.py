"""What a tool is to the catalogue: name, schema, risk, privilege, level, bounds. Its body is on its side."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import Level, Side
from quarterdeck.tools import schema


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


class FreeArgs(ToolArgs):
    """Arguments that a JSON Schema checks, not a model of ours."""

    model_config = ConfigDict(frozen=True, extra="allow")


@dataclass(frozen=True)
class Tool:
    """One entry of the catalogue."""

    name: str
    description: str
    """What the model reads: when to use it and what comes back."""
    args: type[ToolArgs]
    side: Side
    risk: Literal["read", "write", "execute"]
    privilege: Privilege | None
    """None: a tool of the session's own state, which asks nobody."""
    level: Level
    parallel: bool = False
    """Whether calls of it may run beside others of the same answer."""
    timeout_seconds: int = 60
    snapshot: bool = False
    """Whether the workspace is looked at for changes after it."""
    form: dict[str, JsonValue] | None = None
    """The JSON Schema of the arguments where a flow or another server made it; `args` takes anything then."""

    @property
    def needs(self) -> Literal["workspace", "project", "session"]:
        """What a session must have for this tool to make sense in it."""
        if self.side == "executor":
            return "workspace"
        of_projects = (Privilege.READ_ONLY_GITLAB, Privilege.READ_WRITE_GITLAB, Privilege.START_FLOWS)
        return "project" if self.privilege in of_projects else "session"

    def parse(self, args: dict[str, JsonValue]) -> ToolArgs:
        """The checked arguments.

        Raises:
            InvalidInputError: every fault at once, in words that a model can act on.
        """
        if self.form is not None and (wrong := schema.faults(self.form, args)):
            raise InvalidInputError(f"The arguments of {self.name} don't fit: {'; '.join(wrong)}")
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
        return self.args.model_json_schema() if self.form is None else self.form
