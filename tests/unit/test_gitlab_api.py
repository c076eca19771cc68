"""The small GitLab of the tests refuses what GitLab's published description doesn't have."""

from typing import Any

import pytest

from tests.emulators import gitlab_api


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("GET", "/projects/a%2Fb/nothing", {}, {}),
        ("DELETE", "/projects/a%2Fb", {}, {}),
        ("GET", "/projects/a%2Fb/issues", {"odd": "1"}, {}),
        ("GET", "/projects/a%2Fb/issues", {"state": "merged"}, {}),
        ("GET", "/projects/a%2Fb/issues", {"per_page": "many"}, {}),
        ("POST", "/projects/a%2Fb/issues", {}, {"description": "no title"}),
        ("PUT", "/projects/a%2Fb/merge_requests/1", {}, {"source_branch": "cannot be moved"}),
        ("POST", f"/projects/a%2Fb/statuses/{'a' * 40}", {}, {"state": "odd"}),
    ],
)
def test_what_is_not_described_is_refused(method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> None:
    assert len(gitlab_api.request_faults(method, path, query, body)) == 1


def test_answers_have_the_fields_and_types_described() -> None:
    path, user = "/projects/a%2Fb/issues", {"id": 1, "username": "octo", "name": "Octo"}
    good = {"iid": 1, "title": "It breaks", "author": user, "created_at": "2026-01-01T00:00:00Z", "labels": ["bug"]}
    assert gitlab_api.answer_faults("GET", path, [good]) == []
    for wrong in (
        {"iid": "1"},
        {"odd": 1},
        {"author": {**user, "bot": True}},
        {"created_at": "now"},
        {"labels": "bug"},
    ):
        assert len(gitlab_api.answer_faults("GET", path, [{**good, **wrong}])) == 1
