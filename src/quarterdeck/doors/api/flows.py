"""The flows that ship."""

from litestar import Router, get
from pydantic import BaseModel, ConfigDict, JsonValue

from quarterdeck.doors.api.parameters import TheApp
from quarterdeck.flows.json_schema import json_schema
from quarterdeck.tools.catalogue import CATALOGUE


class FlowEntry(BaseModel):
    """A flow that a session may be started with."""

    model_config = ConfigDict(frozen=True)
    id: str
    """`name/version`."""
    description: str
    scripted: bool
    """A script ships with it, so that the `scripted` model can be asked for by name."""


@get("/", summary="List flows")
async def find(app: TheApp) -> list[FlowEntry]:
    """All of them, by name."""
    return [_entry(app, name) for name in app.flows.names()]


@get("/schema", summary="The JSON Schema of flow files")
async def schema() -> dict[str, JsonValue]:
    """For editors; of draft 7, with the names of the tools that there are."""
    return json_schema(CATALOGUE)


def _entry(app: TheApp, name: str) -> FlowEntry:
    text, script = app.flows.shipped(name)
    return FlowEntry(id=name, description=app.flows.read(text).description, scripted=script is not None)


ROUTES = Router("/flows", route_handlers=[find, schema], tags=["flows"])
