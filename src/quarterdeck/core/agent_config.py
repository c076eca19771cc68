"""What a project's `agent-config.yml` asks for its sessions, as a session pins it when it starts."""

from pydantic import BaseModel, ConfigDict

from quarterdeck.core.network import NetworkPolicy

PATHS = (".quarterdeck/agent-config.yml", ".gitlab/duo/agent-config.yml")
"""Where it lies, on the default branch; the first that is there is the only one that is read."""
FILE_BYTES = 64 * 1024


class CacheConfig(BaseModel):
    """What of a setup script's work is kept for the next sessions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    files: tuple[str, ...] = ()
    """Files of the repository whose contents are a part of the key."""
    paths: tuple[str, ...]


class AgentConfig(BaseModel):
    """Of the default branch and never of the session's own, so that no merge request widens what its session may do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    commit: str
    setup_script: tuple[str, ...] = ()
    network: NetworkPolicy | None = None
    cache: CacheConfig | None = None
    notes: tuple[str, ...] = ()
    """What of the file has no effect here, and why."""
