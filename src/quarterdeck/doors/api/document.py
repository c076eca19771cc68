"""The API's own description: OpenAPI 3.1 at `/api/v1/openapi.json`, and no page that loads anything from elsewhere."""

from typing import Any

from litestar import Request
from litestar.handlers.http_handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.serialization import encode_json
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition

import quarterdeck
from quarterdeck.doors.problem import MEDIA_TYPE, STATUSES, Problem

PATH = "/api/v1"


class Document(JsonRenderPlugin):
    """The document, in which every operation says that its errors are problems."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The JSON."""
        del request
        return encode_json(described(openapi_schema))


def described(document: dict[str, Any]) -> dict[str, Any]:
    """`document` with our problem as the answer to whatever goes wrong."""
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs", {})
    components = {**document["components"], "schemas": {**document["components"].get("schemas", {})}}
    components["schemas"] |= {"Problem": schema, **parts}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    words = ", ".join(sorted({str(int(status)) for status in STATUSES.values()}))
    problem = {"description": f"A problem ({words} or 500)", "content": content}
    paths = {
        path: {verb: _operation(operation, problem) for verb, operation in item.items()}
        for path, item in document["paths"].items()
    }
    return {**document, "components": components, "paths": paths}


def _operation(operation: dict[str, Any], problem: dict[str, Any]) -> dict[str, Any]:
    answers = {status: answer for status, answer in operation["responses"].items() if status < "400"}
    return {**operation, "responses": {**answers, "default": problem}}


def _operation_id(handler: HTTPRouteHandler, _method: Method, _path: list[str | PathParameterDefinition]) -> str:
    """`sessions_start`: the module, which is named by its noun, and the verb."""
    function = handler.fn
    return f"{function.__module__.rpartition('.')[2]}_{function.__name__}"


CONFIG = OpenAPIConfig(
    title="Quarterdeck",
    version=quarterdeck.__version__,
    description="Starts sessions of agents and flows, shows, steers and stops them. Errors are problem details.",
    path=f"{PATH}/openapi.json",
    render_plugins=[Document(path="/openapi.json")],
    use_handler_docstrings=True,
    operation_id_creator=_operation_id,
    security=[{"bearer": []}, {"private_token": []}],
    components=Components(
        security_schemes={
            "bearer": SecurityScheme(type="http", scheme="bearer"),
            "private_token": SecurityScheme(type="apiKey", name="PRIVATE-TOKEN", security_scheme_in="header"),
        }
    ),
)
