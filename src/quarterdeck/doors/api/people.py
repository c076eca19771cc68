"""Who you are, the tokens and links that let you in, and for administrators everybody else."""

from typing import Annotated

from litestar import Router, delete, get, post
from litestar.params import JSONBody, PathParameter
from pydantic import BaseModel, ConfigDict

from quarterdeck.app import accounts, credentials, people
from quarterdeck.app.accounts import AccountView, AddPerson, Invitation
from quarterdeck.app.credentials import AddToken, NewToken, TokenView
from quarterdeck.app.people import PersonView
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp

Username = Annotated[str, PathParameter(max_length=255)]


class SignInLink(BaseModel):
    """Signs you in, once, within an hour."""

    model_config = ConfigDict(frozen=True)
    url: str


class ShutOut(BaseModel):
    """What let somebody in until now."""

    model_config = ConfigDict(frozen=True)
    ended: int
    """How many tokens, browsers and links."""


@get("/whoami", summary="Show who you are")
async def whoami(app: TheApp, actor: Caller) -> PersonView:
    """The person behind the token."""
    return await people.whoami(app, actor)


@post("/sign-in-links", summary="Make a sign-in link")
async def sign_in_link(app: TheApp, actor: Caller) -> SignInLink:
    """A link for your browser."""
    return SignInLink(url=await people.sign_in_link(app, actor))


@get("/me/tokens", summary="List your tokens")
async def list_tokens(app: TheApp, actor: Caller) -> list[TokenView]:
    """Those that are good still, the newest first, and when each was last used."""
    return await credentials.list_tokens(app, actor)


@post("/me/tokens", summary="Make a token")
async def add_token(app: TheApp, actor: Caller, data: JSONBody[AddToken]) -> NewToken:
    """It does whatever you may; its secret is shown here alone."""
    return await credentials.add_token(app, actor, data)


@delete("/me/tokens/{token_id:int}", summary="Revoke a token")
async def revoke(app: TheApp, actor: Caller, token_id: RowId) -> None:
    """One of yours; whoever has it is let in no more."""
    await credentials.revoke(app, actor, token_id)


@get("/people", summary="List people")
async def find(app: TheApp, actor: Caller) -> list[AccountView]:
    """By username; administrators only."""
    return await accounts.find(app, actor)


@post("/people", summary="Add a person")
async def add(app: TheApp, actor: Caller, data: JSONBody[AddPerson]) -> Invitation:
    """With a link that lets them in, once, within an hour; administrators only."""
    return await accounts.add(app, actor, data)


@post("/people/{username:str}/sign-in-links", summary="Make a sign-in link for somebody")
async def invite(app: TheApp, actor: Caller, username: Username) -> Invitation:
    """For who can't get in any more; administrators only."""
    return await accounts.invite(app, actor, username)


@delete("/people/{username:str}/access", status_code=200, summary="Shut somebody out")
async def shut_out(app: TheApp, actor: Caller, username: Username) -> ShutOut:
    """Ends their tokens, browsers and links; what their sessions do goes on. Administrators only."""
    return ShutOut(ended=await accounts.shut_out(app, actor, username))


ROUTES = Router(
    "/",
    route_handlers=[
        whoami, sign_in_link, list_tokens, add_token, revoke, find, add, invite, shut_out,
    ],
    tags=["people"],
)  # fmt: skip
