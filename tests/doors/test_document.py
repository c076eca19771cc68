"""The API's description is valid and complete, and loads nothing from elsewhere."""

import importlib
import json
import pkgutil
import re
from typing import Any

import schemathesis
from litestar import Router
from litestar.routes import HTTPRoute

from quarterdeck.app.application import App
from quarterdeck.doors import api as package
from quarterdeck.doors.http import application
from tests.doors.conftest import Api


async def test_the_document_is_valid_and_whole(api: Api, app: App) -> None:
    answer = await api.client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()
    assert set(_references(document)) <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    described = {(verb.upper(), path) for path, item in document["paths"].items() for verb in item}
    served = {
        (str(method), re.sub(r":\w+\}", "}", route.path))
        for route in application(app).routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/api/v1/") and "openapi.json" not in route.path
        for method in route.methods
        if method != "OPTIONS"
    }
    assert described == served

    operations = [operation for item in document["paths"].values() for operation in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert operation["summary"]
        assert "application/problem+json" in operation["responses"]["default"]["content"]
        assert not [status for status in operation["responses"] if status.startswith(("4", "5"))]


def _references(value: object) -> list[str]:
    return re.findall(r'"\$ref": "([^"]+)"', json.dumps(value))


def test_no_module_of_the_api_is_forgotten(app: App) -> None:
    modules = [
        importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)
    ]
    promised = {
        re.sub(r"//+", "/", f"/api/v1/{route.path}").rstrip("/")
        for module in modules
        if isinstance(routes := getattr(module, "ROUTES", None), Router)
        for route in routes.routes
    }
    assert len(promised) > 40
    assert promised <= {route.path for route in application(app).routes}
