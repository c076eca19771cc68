"""Who you are, and the link that signs you in."""

from litestar import Router, get, post
from pydantic import BaseModel, ConfigDict

from quarterdeck.app import people
from quarterdeck.app.people import PersonView
from quarterdeck.doors.api.parameters import Caller, TheApp


class SignInLink(BaseModel):
    """Signs you in, once, within an hour."""

    model_config = ConfigDict(frozen=True)
    url: str


@get("/whoami", summary="Show who you are")
async def whoami(app: TheApp, actor: Caller) -> PersonView:
    """The person behind the token."""
    return await people.whoami(app, actor)


@post("/sign-in-links", summary="Make a sign-in link")
async def sign_in_link(app: TheApp, actor: Caller) -> SignInLink:
    """A link for your browser."""
    return SignInLink(url=await people.sign_in_link(app, actor))


ROUTES = Router("/", route_handlers=[whoami, sign_in_link], tags=["people"])
