"""Your editors, which carry out the calls of sessions that you give them."""

from litestar import Router, delete, get, post
from litestar.params import JSONBody

from quarterdeck.app import editors
from quarterdeck.app.editors import AttachedEditor, AttachEditor, EditorView
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp


@get("/", summary="List your editors")
async def find(app: TheApp, actor: Caller) -> tuple[EditorView, ...]:
    """Each is a folder in a window; the one that was heard of last comes first."""
    return await editors.find(app, actor)


@post("/", status_code=200, summary="Attach an editor")
async def attach(app: TheApp, actor: Caller, data: JSONBody[AttachEditor]) -> AttachedEditor:
    """The answer has the token for the executor protocol; the one that its instance had before ends."""
    return await editors.attach(app, actor, data)


@delete("/{executor_id:int}", status_code=204, summary="Forget an editor")
async def forget(app: TheApp, actor: Caller, executor_id: RowId) -> None:
    """What it was carrying out is interrupted; its sessions wait until they are handed over."""
    await editors.forget(app, actor, executor_id)


ROUTES = Router("/executors", route_handlers=[find, attach, forget], tags=["editors"])
