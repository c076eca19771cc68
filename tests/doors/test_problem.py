"""Whatever goes wrong is a problem: one shape, a stable code, nothing of the inside."""

import re
from typing import Any

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import AsyncTestClient

from quarterdeck.app import sessions
from quarterdeck.app.application import App
from quarterdeck.core import errors
from quarterdeck.doors.http import application
from quarterdeck.doors.problem import problem_of, status_of
from tests.conftest import Start
from tests.doors.conftest import Api


def problem(answer: Any) -> dict[str, Any]:
    """The body of an answer, checked for the shape that all have."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert body["status"] == answer.status_code
    assert {"type", "title", "detail", "code"} <= body.keys()
    assert re.fullmatch(r"[a-z_]+", body["code"])
    assert body["detail"]
    return body


def test_every_error_has_its_own_code_and_a_status() -> None:
    kinds = list(_all(errors.QuarterdeckError))
    known = {kind: status_of(kind("x")) for kind in kinds if kind.__module__ == errors.__name__}
    assert {kind.code for kind in known}
    assert len({kind.code for kind in known}) == len(known)
    assert [kind for kind, status in known.items() if status >= 500] == [errors.UnavailableError]


def _all(kind: type[errors.QuarterdeckError]) -> list[type[errors.QuarterdeckError]]:
    return [one for child in kind.__subclasses__() for one in (child, *_all(child))]


async def test_every_route_refuses_strangers_with_a_problem(app: App, start: Start) -> None:
    litestar = application(app)
    async with AsyncTestClient(litestar) as client:
        for method, path in _routes(litestar):
            if not path.startswith("/api/v1/") or "openapi.json" in path:
                continue
            if path in ("/api/v1/executor/register", "/api/v1/sign-in/codes"):  # the body shows who asks; it is missing
                continue
            answer = await client.request(method, path)
            assert answer.status_code == 401, (method, path, answer.text)
            assert problem(answer)["code"] == "unauthenticated"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            answer = await client.request(method, path, headers={"Authorization": "Bearer wrong"})
            assert answer.status_code == 401, (method, path)
            problem(answer)


async def test_every_route_answers_nonsense_with_a_problem(app: App, start: Start) -> None:
    litestar = application(app)
    async with AsyncTestClient(litestar) as client:
        for method, path in _routes(litestar):
            if not path.startswith("/api/v1/") or "openapi.json" in path or path.endswith("/sign-in-links"):
                continue
            secret = start.runner_token if "/executor/" in path else start.token
            headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
            nonsense: dict[str, Any] = (
                {"params": {"limit": "nonsense"}} if method == "GET" else {"content": b'{"nonsense": ['}
            )
            answer = await client.request(method, path, headers=headers, **nonsense)
            if answer.status_code >= 400:
                assert answer.status_code < 500, (method, path, answer.text)
                problem(answer)
            else:
                assert method == "GET" or not _has_body(litestar, method, path), (method, path, answer.text)


def _has_body(litestar: Litestar, method: str, path: str) -> bool:
    for route in litestar.routes:
        if isinstance(route, HTTPRoute) and _filled(route.path) == path:
            return any(
                "data" in handler.parsed_fn_signature.parameters
                for handler in route.route_handlers
                if method in handler.http_methods
            )
    return False


def _routes(litestar: Litestar) -> list[tuple[str, str]]:
    return [
        (str(method), _filled(route.path))
        for route in litestar.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    ]


def _filled(path: str) -> str:
    return re.sub(r"\{\w+:int\}", "999999", re.sub(r"\{\w+(:str)?\}", "session:999999", path))


async def test_unknown_routes_and_methods(api: Api) -> None:
    nowhere = problem(await api.client.get("/nowhere?token=secret"))
    assert nowhere["code"] == "not_found"
    assert "secret" not in nowhere["detail"]
    wrong = await api.client.delete("/healthz")
    assert problem(wrong)["code"] == "method_not_allowed"
    assert "GET" in wrong.headers["allow"]


async def test_all_faults_at_once(api: Api) -> None:
    answer = await api.post("/sessions", {"project": "sample", "goal": "x" * 20_000, "model": 7, "surprise": 1})
    assert answer.status_code == 400
    body = problem(answer)
    assert {fault["field"] for fault in body["errors"]} == {"goal", "model", "surprise"}
    assert "http" not in body["detail"]


async def test_a_body_that_is_too_large(api: Api) -> None:
    answer = await api.post("/sessions", {"project": "sample", "script": "x" * 2_000_000})
    assert answer.status_code == 413
    assert problem(answer)["code"] == "too_large"


async def test_numbers_that_no_row_can_have(api: Api) -> None:
    answer = await api.get(f"/sessions/{2**70}")
    assert answer.status_code in (400, 404)
    problem(answer)


async def test_nothing_of_the_inside_leaves(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("select * from tokens where hash = 'deadbeef'")

    monkeypatch.setattr(sessions, "show", broken)
    answer = await api.get("/sessions/1")
    assert answer.status_code == 500
    body = problem(answer)
    assert body["code"] == "internal"
    assert body["id"] in body["detail"]
    assert "deadbeef" not in answer.text
    assert "Traceback" not in answer.text


def test_messages_of_ours_are_told() -> None:
    told = problem_of(errors.ConflictError("Somebody was faster."))
    assert (told.status, told.code, told.detail) == (409, "conflict", "Somebody was faster.")
