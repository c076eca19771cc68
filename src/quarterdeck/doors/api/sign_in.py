"""How an editor that a person allowed in the browser gets its token."""

from litestar import post
from litestar.params import JSONBody

from quarterdeck.app import editor_sign_in
from quarterdeck.app.editor_sign_in import Redeem, SignedIn
from quarterdeck.doors.api.parameters import TheApp


@post("/sign-in/codes", status_code=200, security=[], tags=["people"], summary="Redeem an editor's code")
async def redeem(app: TheApp, data: JSONBody[Redeem]) -> SignedIn:
    """No token is needed: the code, and the verifier that it was made for, are what is shown."""
    return await editor_sign_in.redeem(app, data)
