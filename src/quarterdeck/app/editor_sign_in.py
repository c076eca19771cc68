"""How an editor gets a token: its person allows it in the browser, and it redeems the code that it gets for that.

The code is worth nothing to whoever sees it alone: it is bound to a secret that only the editor has (RFC 7636, S256).
"""

import hashlib
from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, select

from quarterdeck.app import people
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.credentials import NAME_CHARACTERS
from quarterdeck.core.errors import InvalidInputError, UnauthenticatedError
from quarterdeck.core.text import clean, line
from quarterdeck.store.tables import tokens, users

CODE_MINUTES = 5
TOKEN_DAYS = 365
"""An editor is signed in for as long; its person sees and ends it among their tokens at any time."""
EDITORS = ("vscode", "vscode-insiders", "vscodium", "codium", "code-oss", "cursor", "windsurf", "positron", "trae")
"""The schemes by which a system opens editors that take our extension."""
EXTENSION = "quarterdeck.quarterdeck"
"""By which such an editor hands an address to it."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
Verifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{43,128}$")]
Challenge = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$", description="SHA-256 of the verifier, base64url.")]


class AskSignIn(BaseModel):
    """What an editor asks its person's browser for."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: str = Field(min_length=1, max_length=NAME_CHARACTERS, description="The editor, as people know it.")
    code_challenge: Challenge
    state: str = Field(default="", max_length=500, description="Comes back with the code, as it is.")
    redirect_uri: str = Field(default="", max_length=2_000, description="Where the code goes; empty: it is pasted.")

    def back(self, code: str) -> str:
        """Where the browser brings the code; empty if nowhere."""
        if not self.redirect_uri:
            return ""
        joint = "&" if urlsplit(self.redirect_uri).query else "?"
        return f"{self.redirect_uri}{joint}{urlencode({'code': code, 'state': self.state})}"


class Redeem(BaseModel):
    """A code, and what proves whose it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    code: str = Field(min_length=1, max_length=200)
    code_verifier: Verifier


class SignedIn(BaseModel):
    """A token for the editor, which is shown here alone."""

    model_config = ConfigDict(frozen=True)
    token: str
    username: str


def check(asked: AskSignIn) -> None:
    """Raises InvalidInputError when the code would go to anything but an editor of this machine."""
    if asked.redirect_uri and not _opens_an_editor(asked.redirect_uri):
        raise InvalidInputError(
            "The code would go to what is no editor of this machine. Leave redirect_uri out, and paste the code."
        )


def _opens_an_editor(uri: str) -> bool:
    try:
        where = urlsplit(uri)
        port = where.port
    except ValueError:
        return False
    plain = not where.fragment and where.username is None and all("!" <= sign <= "~" for sign in uri)
    local = where.scheme == "http" and where.hostname in _LOOPBACK and port != 0
    return plain and (local or (where.scheme in EDITORS and where.netloc.lower() == EXTENSION))


async def allow(app: App, actor: Actor, asked: AskSignIn) -> str:
    """A code for the editor, good once and for five minutes.

    Raises:
        InvalidInputError: it would go to something that is no editor.
        UnauthenticatedError: the person was shut out meanwhile.
    """
    check(asked)
    async with app.database.transaction() as connection:
        await people.demand_in(connection, actor)
        return await people.issue(
            connection,
            "code",
            name=line(clean(asked.name), NAME_CHARACTERS),
            user_id=actor.user_id,
            subject=asked.code_challenge,
            lasts=timedelta(minutes=CODE_MINUTES),
        )


async def redeem(app: App, request: Redeem) -> SignedIn:
    """A token of the person who allowed it, among whose tokens it stands. A code that is tried in vain is used up.

    Raises:
        UnauthenticatedError: it was used, is too old, or was made for another editor.
    """
    challenge = urlsafe_b64encode(hashlib.sha256(request.code_verifier.encode()).digest()).decode().rstrip("=")
    code = tokens.c.hash == people.digest(request.code), tokens.c.kind == "code", people.valid()
    async with app.database.transaction() as connection:
        known = select(tokens.c.user_id, tokens.c.subject, tokens.c.name, users.c.username)
        row = (await connection.execute(known.join(users, users.c.id == tokens.c.user_id).where(*code))).one_or_none()
        await people.keep_in(connection, row.user_id if row else None)
        mine = (await connection.execute(delete(tokens).where(*code))).rowcount == 1
        if row is not None and mine and row.subject == challenge:
            lasts = timedelta(days=TOKEN_DAYS)
            token = await people.issue(connection, "personal", name=row.name, user_id=row.user_id, lasts=lasts)
            return SignedIn(token=token, username=row.username)
    raise UnauthenticatedError("This code was used already, is too old, or is another editor's. Sign in once more.")
