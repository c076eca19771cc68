"""Who does something, and by which door."""

from dataclasses import dataclass
from typing import Literal

Door = Literal["api", "cli", "web", "git", "hook", "acp", "server"]


@dataclass(frozen=True)
class Actor:
    """A signed-in person. Use cases check abilities against it."""

    user_id: int
    username: str
    name: str
    email: str
    admin: bool
    door: Door = "api"
    account: "Actor | None" = None
    """The service account by which it is done for them: they may together what each of the two may."""

    @property
    def writer(self) -> "Actor":
        """As whose comments and commits it stands there."""
        return self.account or self
