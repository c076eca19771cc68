"""Roles, abilities, and which role has which: the one table."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Role(IntEnum):
    """A member's role in a project; a higher one has all of a lower one's abilities. Numbers are GitLab's."""

    GUEST = 10
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50


class Ability(StrEnum):
    """What somebody may do in a project."""

    READ_PROJECT = "read_project"
    READ_REPOSITORY = "read_repository"
    READ_PIPELINE = "read_pipeline"
    READ_ISSUE = "read_issue"
    READ_MERGE_REQUEST = "read_merge_request"
    COMMENT = "comment"
    CREATE_ISSUE = "create_issue"
    WRITE_ISSUE = "write_issue"
    PUSH = "push"
    RUN_PIPELINE = "run_pipeline"
    WRITE_MERGE_REQUEST = "write_merge_request"
    READ_SESSION = "read_session"
    START_SESSION = "start_session"
    CANCEL_SESSION = "cancel_session"
    DELETE_SESSION = "delete_session"
    HOLD_SESSION = "hold_session"
    PUSH_PROTECTED = "push_protected"
    MANAGE_RUNNER = "manage_runner"
    MANAGE_NETWORK = "manage_network"
    MANAGE_MCP_SERVERS = "manage_mcp_servers"
    MANAGE_WEBHOOKS = "manage_webhooks"
    MANAGE_CONNECTIONS = "manage_connections"
    MANAGE_FLOWS = "manage_flows"
    MANAGE_MEMBERS = "manage_members"
    MANAGE_AGENTS = "manage_agents"
    MANAGE_TRIGGERS = "manage_triggers"
    MANAGE_PROJECT = "manage_project"


LEAST_ROLE: dict[Ability, Role] = {
    Ability.READ_PROJECT: Role.GUEST,
    Ability.READ_ISSUE: Role.GUEST,
    Ability.READ_REPOSITORY: Role.REPORTER,
    Ability.READ_PIPELINE: Role.REPORTER,
    Ability.READ_MERGE_REQUEST: Role.REPORTER,
    Ability.COMMENT: Role.REPORTER,
    Ability.CREATE_ISSUE: Role.REPORTER,
    Ability.WRITE_ISSUE: Role.REPORTER,
    Ability.PUSH: Role.DEVELOPER,
    Ability.RUN_PIPELINE: Role.DEVELOPER,
    Ability.WRITE_MERGE_REQUEST: Role.DEVELOPER,
    Ability.READ_SESSION: Role.DEVELOPER,
    Ability.START_SESSION: Role.DEVELOPER,
    Ability.CANCEL_SESSION: Role.MAINTAINER,
    Ability.DELETE_SESSION: Role.OWNER,
    Ability.HOLD_SESSION: Role.MAINTAINER,
    Ability.PUSH_PROTECTED: Role.MAINTAINER,
    Ability.MANAGE_RUNNER: Role.MAINTAINER,
    Ability.MANAGE_NETWORK: Role.MAINTAINER,
    Ability.MANAGE_MCP_SERVERS: Role.MAINTAINER,
    Ability.MANAGE_WEBHOOKS: Role.MAINTAINER,
    Ability.MANAGE_CONNECTIONS: Role.MAINTAINER,
    Ability.MANAGE_FLOWS: Role.MAINTAINER,
    Ability.MANAGE_MEMBERS: Role.MAINTAINER,
    Ability.MANAGE_AGENTS: Role.MAINTAINER,
    Ability.MANAGE_TRIGGERS: Role.MAINTAINER,
    Ability.MANAGE_PROJECT: Role.OWNER,
}
"""The least role that has each ability."""

INITIATOR_ABILITIES = frozenset(
    {
        Ability.READ_SESSION,
        Ability.CANCEL_SESSION,
        Ability.DELETE_SESSION,
        Ability.HOLD_SESSION,
    }
)
"""What a session's initiator may do with it whatever the role."""


def allows(role: Role | None, ability: Ability) -> bool:
    """Whether `role` has `ability`; None is somebody who is not a member."""
    return role is not None and role >= LEAST_ROLE[ability]


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands to a session: all that decides what they may do with it."""

    initiator: bool
    private: bool
    """It is a chat or an IDE's: its initiator's alone."""
    in_project: bool
    role: Role | None
    """In its project; an administrator is an owner in all."""
    admin: bool

    def allows(self, ability: Ability) -> bool:
        """Whether they may; who may not read it may not even know of it."""
        if self.initiator and ability in INITIATOR_ABILITIES:
            return True
        if self.private:
            return False
        if not self.in_project:
            return self.admin
        return allows(self.role, Ability.READ_SESSION) and allows(self.role, ability)

    @property
    def steers(self) -> bool:
        """Answers, writes, pauses and resumes: its initiator, as long as their role lets them start sessions there."""
        return self.initiator and (not self.in_project or allows(self.role, Ability.START_SESSION))
