"""What every use case is given: the database, the doorbell, and the world outside behind Protocols."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from quarterdeck.app.actor import Actor, Door
from quarterdeck.app.appended import Append, Appended
from quarterdeck.app.board_bells import Boards
from quarterdeck.app.model_access import ModelAccess
from quarterdeck.app.outside import Courier, Dispatch, FlowLibrary, Forge, McpClient, Registries
from quarterdeck.app.recent_events import RecentEvents
from quarterdeck.app.remote_forge import RemoteForge
from quarterdeck.app.session_access import Facts
from quarterdeck.app.tails import Tails
from quarterdeck.app.together import Together
from quarterdeck.core.network import REGISTRIES, Groups
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.remote import ForgeName
from quarterdeck.store.database import Database
from quarterdeck.store.doorbell import Doorbell
from quarterdeck.store.vault import Vault


@dataclass(frozen=True)
class App:
    """One process's Quarterdeck, assembled by `server.py`."""

    database: Database
    doorbell: Doorbell
    dispatch: Dispatch
    forge: Forge
    flows: FlowLibrary
    home: Path
    public_url: str
    """Without a slash at its end; links in answers and messages begin with it."""
    models: ModelAccess
    vault: Vault
    """Encrypts what is stored of secrets."""
    mcp: McpClient
    courier: Courier
    check_script: Callable[[str], None]
    """Raises InvalidInputError with every fault of a scripted model's YAML."""
    redactor: Redactor
    """Takes the server's own secrets, and whatever looks like one, out of everything that is stored."""
    registries: Registries
    remotes: Mapping[ForgeName, RemoteForge]
    """The forges that projects can be connected to."""
    network_hosts: tuple[str, ...] = (REGISTRIES,)
    """Rules and groups of hosts that a repository may ask for."""
    network_groups: Groups = field(default_factory=dict[str, tuple[str, ...]])
    """Groups that the administrator defined; they come before those that ship and what tools say."""
    tails: Tails = field(default_factory=Tails)
    """The ends of the logs that this process's watchers share."""
    boards: Boards = field(default_factory=Boards)
    """The short lists that this process's pages share."""
    appends: Together[Append, Appended] = field(default_factory=lambda: Together(2_000, attrgetter("size")))
    """What sources of external sessions sent to this process, and is not stored yet."""
    asking: Together[tuple[str, Door], Actor] = field(default_factory=Together[tuple[str, Door], Actor])
    """Those whose tokens are being looked up."""
    rights: Together[tuple[Actor, int], Facts] = field(default_factory=Together[tuple[Actor, int], Facts])
    """Those who ask what they may do with a session."""
    recent: RecentEvents = field(default_factory=RecentEvents)
    """The logs that this process's turns have read."""
    hands: dict[bytes, int] = field(default_factory=dict[bytes, int])
    """The runner tokens that were shown to this process, by the digests of their secrets."""
