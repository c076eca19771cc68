"""What every use case is given: the database, the doorbell, and the world outside behind Protocols."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from quarterdeck.app.outside import Asking, Dispatch, FlowLibrary, Forge
from quarterdeck.core.redaction import Redactor
from quarterdeck.store.database import Database
from quarterdeck.store.doorbell import Doorbell


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
    default_model: str | None
    """What a session uses that names no model; None when none is configured."""
    check_model: Callable[[str], None]
    """Raises InvalidInputError for a model that no configured provider has; asks nobody."""
    check_script: Callable[[str], None]
    """Raises InvalidInputError with every fault of a scripted model's YAML."""
    ask: Asking
    """Asks a model one question, without a session."""
    redactor: Redactor
    """Takes the server's own secrets, and whatever looks like one, out of everything that is stored."""
    models: tuple[str, ...] = ()
    """The providers that are configured."""
