"""The flows that ship."""

from typing import Annotated

from litestar import Router, get
from litestar.params import PathParameter, QueryParameter
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


class ShippedText(BaseModel):
    """A flow's YAML."""

    model_config = ConfigDict(frozen=True)
    name: str
    version: str
    text: str


@get("/", summary="List flows")
async def find(app: TheApp) -> list[FlowEntry]:
    """All of them, by name."""
    return [_entry(app, name) for name in app.flows.names()]


@get("/schema", summary="The JSON Schema of flow files")
async def schema() -> dict[str, JsonValue]:
    """For editors; of draft 7, with the names of the tools that there are."""
    return json_schema(CATALOGUE)


@get("/{name:str}", summary="Read a flow that ships")
async def show(
    app: TheApp,
    name: Annotated[str, PathParameter(max_length=200, description="Its name.")],
    version: Annotated[str, QueryParameter(max_length=50, description="A version or a constraint.")] = "",
) -> ShippedText:
    """Its YAML."""
    text, _ = app.flows.shipped(f"{name}/{version}" if version else name)
    flow = app.flows.read(text)
    return ShippedText(name=flow.name, version=flow.version, text=text)


def _entry(app: TheApp, name: str) -> FlowEntry:
    text, script = app.flows.shipped(name)
    return FlowEntry(id=name, description=app.flows.read(text).description, scripted=script is not None)


ROUTES = Router("/flows", route_handlers=[find, schema, show], tags=["flows"])
