"""What GitLab's published OpenAPI description (version 19.5) has of the part that is used, as a table of its facts.

`UNSEEN` names the operations that were not found in it: those of notes, whose facts are from the documentation of the
Notes API, and `GET /user`. What is within objects is not checked; an access level there is a string, as all fields are
that the description gives no type, and a number in GitLab's documentation.
"""

import re
from typing import Any, cast

VERSION = "19.5"
Types = dict[str, str]
Operation = tuple[Types, Types, str, Types]


def _types(text: str) -> Types:
    """`int: id iid; str: title` as the type of each name."""
    groups = [group.split(":") for group in text.split(";")]
    return {name: kind.strip() for kind, names in groups for name in names.split()}


_PAGES = "int: page per_page"
_USER = _types("int: id; str: username public_email name state avatar_url avatar_path web_url; bool: locked")
_AUTHOR = {**_USER, "bot": "bool"}
_ISSUE = _types(
    "int: id iid project_id user_notes_count; str: title description state web_url; time: created_at updated_at;"
    "strings: labels; user: author assignee; users: assignees; bool: confidential discussion_locked"
)
_MERGE_REQUEST = _types(
    "int: id iid project_id source_project_id target_project_id user_notes_count;"
    "str: title description state source_branch target_branch sha merge_commit_sha squash_commit_sha web_url;"
    "time: created_at updated_at merged_at closed_at; strings: labels; author: author; user: assignee merge_user;"
    "users: assignees reviewers; bool: draft squash has_conflicts"
)
_NOTE = _types("int: id; str: body; user: author; bool: system; time: created_at updated_at; object: position")
_PROJECT = _types("int: id; str: default_branch web_url http_url_to_repo path_with_namespace; object: permissions")
_PIPELINE = _types("int: id iid project_id; str: sha ref status source web_url; time: created_at updated_at")
_JOB = _types(
    "int: id; str: name stage status ref web_url failure_reason; bool: allow_failure tag;"
    "time: created_at started_at finished_at"
)
_STATUS = _types(
    "int: id pipeline_id; str: sha ref status name target_url description; bool: allow_failure;"
    "time: created_at started_at finished_at"
)
_LISTED = f"{_PAGES}; time: updated_after; str: search"
_BY = "created_at,updated_at"
_NOTES: Operation = (_types(_PAGES) | {"sort": "asc,desc", "order_by": _BY}, {}, "", _NOTE)
_SAYS: Operation = ({}, _types("str: body"), "body", _NOTE)
_LIST = {"state": "opened,closed,all", "sort": "asc,desc", "order_by": _BY}

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/user"): ({}, {}, "", _AUTHOR),
    ("GET", "/projects/{id}"): ({}, {}, "", _PROJECT),
    ("GET", "/projects/{id}/issues"): (
        _types(_LISTED) | _LIST | {"scope": "created_by_me,assigned_to_me,all"}, {}, "", _ISSUE),
    ("POST", "/projects/{id}/issues"): ({}, _types("str: title description; labels: labels"), "title", _ISSUE),
    ("GET", "/projects/{id}/issues/{n}"): ({}, {}, "", _ISSUE),
    ("PUT", "/projects/{id}/issues/{n}"): (
        {}, _types("str: title description; labels: labels") | {"state_event": "close,reopen"}, "", _ISSUE),
    ("GET", "/projects/{id}/issues/{n}/notes"): _NOTES,
    ("POST", "/projects/{id}/issues/{n}/notes"): _SAYS,
    ("GET", "/projects/{id}/merge_requests"): (
        _types(f"{_LISTED} source_branch target_branch") | _LIST
        | {"state": "opened,closed,locked,merged,all", "scope": "created_by_me,assigned_to_me,reviews_for_me,all"},
        {}, "", _MERGE_REQUEST),
    ("POST", "/projects/{id}/merge_requests"): (
        {}, _types("str: title description source_branch target_branch; labels: labels"),
        "title source_branch target_branch", _MERGE_REQUEST),
    ("GET", "/projects/{id}/merge_requests/{n}"): ({}, {}, "", _MERGE_REQUEST),
    ("PUT", "/projects/{id}/merge_requests/{n}"): (
        {}, _types("str: title description target_branch; labels: labels") | {"state_event": "close,reopen"},
        "", _MERGE_REQUEST),
    ("GET", "/projects/{id}/merge_requests/{n}/notes"): _NOTES,
    ("POST", "/projects/{id}/merge_requests/{n}/notes"): _SAYS,
    ("GET", "/projects/{id}/pipelines"): (
        _types(_PAGES) | {"order_by": "id,status,ref,updated_at,user_id", "sort": "asc,desc"}, {}, "", _PIPELINE),
    ("GET", "/projects/{id}/pipelines/{n}/jobs"): (_types(f"{_PAGES}; bool: include_retried"), {}, "", _JOB),
    ("GET", "/projects/{id}/jobs/{n}/trace"): (_types("int: byte_offset byte_limit"), {}, "", {}),
    ("POST", "/projects/{id}/statuses/{sha}"): (
        {}, _types("str: ref name context target_url description; int: pipeline_id")
        | {"state": "pending,running,success,failed,canceled,skipped"}, "state", _STATUS),
}  # fmt: skip
"""Of each operation the parameters of its query, the fields of its body, those of them it needs, and its answer's."""
UNSEEN = [(method, path) for method, path in OPERATIONS if path.endswith("/notes") or path == "/user"]


def request_faults(method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> list[str]:
    """What of a request isn't in the description."""
    found = OPERATIONS.get((method, _template(path)))
    if found is None:
        return [f"{method} {path} is no operation"]
    asked, sent, needed, _ = found
    read = {name: int(value) if value.isdecimal() else value for name, value in query.items()}
    return [
        *_faults(read, asked),
        *_faults(body, sent),
        *(f"{name} is missing" for name in needed.split() if name not in body),
    ]


def answer_faults(method: str, path: str, answer: Any) -> list[str]:
    """What of an answer isn't in the description."""
    fields = OPERATIONS[method, _template(path)][3]
    listed = cast("list[dict[str, Any]]", answer if isinstance(answer, list) else [answer])
    return [fault for one in listed for fault in _faults(one, fields)]


def _template(path: str) -> str:
    path = re.sub(r"^/projects/[^/]+", "/projects/{id}", path)
    return re.sub(r"/\d+(?=/|$)", "/{n}", re.sub(r"/statuses/[0-9a-f]{40}$", "/statuses/{sha}", path))


def _faults(value: dict[str, Any], known: Types) -> list[str]:
    return [f"{name} = {one!r} is not {known.get(name, 'known')}" for name, one in value.items()
            if name not in known or not _fits(one, known[name])]  # fmt: skip


def _fits(value: Any, kind: str) -> bool:
    match kind:
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool)
        case "str":
            return value is None or isinstance(value, str)
        case "time":
            return value is None or (
                isinstance(value, str) and bool(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", value))
            )
        case "strings":
            return isinstance(value, list) and all(isinstance(one, str) for one in cast("list[object]", value))
        case "labels":  # an array of strings, said to be comma-separated names: either is taken
            return isinstance(value, str) or _fits(value, "strings")
        case "object":
            return value is None or isinstance(value, dict)
        case "user" | "author":
            return value is None or not _faults(value, _USER if kind == "user" else _AUTHOR)
        case "users":
            return all(_fits(one, "user") for one in value)
        case _:
            return value in kind.split(",")
