"""The API's own description: OpenAPI 3.1 at `/api/v1/openapi.json`, and no page that loads anything from elsewhere."""

from types import NoneType
from typing import Any, get_origin

from litestar import Litestar, Request, Response
from litestar.handlers.http_handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute
from litestar.serialization import encode_json
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

import quarterdeck
from quarterdeck.doors.problem import MEDIA_TYPE, STATUSES, Problem

Bodies = dict[tuple[str, JsonSchemaMode], dict[str, Any]]
"""Schemas by operation: `validation` of what it takes, `serialization` of what it answers."""

PATH = "/api/v1"


class Document(JsonRenderPlugin):
    """The document, in which bodies are described by Pydantic itself, and every error is a problem."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The JSON."""
        return encode_json(described(openapi_schema, request.app))


def described(document: dict[str, Any], application: Litestar) -> dict[str, Any]:
    """`document` with exact bodies and answers, and our problem as the answer to whatever goes wrong."""
    bodies, schemas = _bodies(application)
    problem = {
        "description": f"A problem ({', '.join(sorted({str(int(one)) for one in STATUSES.values()}))} or 500)",
        "content": {MEDIA_TYPE: {"schema": bodies["", "serialization"]}},
    }
    paths = {
        path: {verb: _operation(operation, bodies, problem) for verb, operation in item.items()}
        for path, item in document["paths"].items()
    }
    return {**document, "components": {**document["components"], "schemas": schemas}, "paths": paths}


def _operation(operation: dict[str, Any], bodies: Bodies, problem: dict[str, Any]) -> dict[str, Any]:
    name = operation["operationId"]
    answers = {status: answer for status, answer in operation["responses"].items() if status < "400"}
    for answer in answers.values():
        _describe(answer.get("content", {}), bodies.get((name, "serialization")))
    _describe(operation.get("requestBody", {}).get("content", {}), bodies.get((name, "validation")))
    return {**operation, "responses": {**answers, "default": problem}}


def _describe(content: dict[str, Any], schema: dict[str, Any] | None) -> None:
    if schema is not None and "application/json" in content:
        content["application/json"]["schema"] = schema


def _bodies(application: Litestar) -> tuple[Bodies, dict[str, Any]]:
    """The schema of each operation's body and answer, and the components that they refer to.

    Litestar's own take tuples and mappings with bounds for lists of anything.
    """
    kinds: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [("", "serialization", TypeAdapter(Problem))]
    routes = [route for route in application.routes if isinstance(route, HTTPRoute)]
    for handler in {one for route in routes for one in route.route_handlers}:
        name = _name(handler)
        taken, given = handler.parsed_data_field, handler.parsed_return_field
        body = handler.opt.get("body", taken.annotation if taken is not None else bytes)
        if body is not bytes:
            kinds.append((name, "validation", TypeAdapter(body)))
        if handler.include_in_schema is not False and _is_json(given.annotation):
            kinds.append((name, "serialization", TypeAdapter(given.annotation)))
    found, whole = TypeAdapter.json_schemas(kinds, ref_template="#/components/schemas/{model}")
    return found, whole.get("$defs", {})


def _is_json(answer: Any) -> bool:
    origin = get_origin(answer) or answer
    return not (answer is None or (isinstance(origin, type) and issubclass(origin, Response | NoneType)))


def _operation_id(handler: HTTPRouteHandler, _method: Method, _path: list[str | PathParameterDefinition]) -> str:
    return _name(handler)


def _name(handler: HTTPRouteHandler) -> str:
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
