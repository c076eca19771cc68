"""A small GitLab that keeps what it is told: the part of its REST API that is used, with its words and refusals.

Each request and each of its own answers is held against `gitlab_api`, facts of GitLab's published description of its
API: what isn't there is refused, and fails the test at the end of `running`.
"""

import json
import re
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from typing_extensions import override

from tests.emulators import gitlab_api

TOKEN = "glpat-of-the-tests"
BOT = {"id": 1, "username": "quarterdeck-bot", "name": "Quarterdeck"}
OCTO = {"id": 2, "username": "octo", "name": "Octo"}


@dataclass
class GitLab:
    """What it keeps, and what it was asked."""

    url: str = ""
    things: dict[str, dict[int, dict[str, Any]]] = field(default_factory=lambda: {"issues": {}, "merge_requests": {}})
    notes: dict[tuple[str, int], list[dict[str, Any]]] = field(
        default_factory=dict[tuple[str, int], list[dict[str, Any]]]
    )
    statuses: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    pipelines: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    jobs: dict[int, list[dict[str, Any]]] = field(default_factory=dict[int, list[dict[str, Any]]])
    traces: dict[int, str] = field(default_factory=dict[int, str])
    ticks: int = 0
    faults: list[str] = field(default_factory=list[str])

    def now(self) -> str:
        """A time, later than all before."""
        self.ticks += 1
        return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.ticks)).isoformat().replace("+00:00", "Z")

    def make(self, kind: str, author: dict[str, Any], **given: Any) -> dict[str, Any]:
        """An issue or merge request, as the API answers it."""
        iid, at = len(self.things[kind]) + 1, self.now()
        labels = given.pop("labels", "")
        own: dict[str, Any] = {"labels": labels.split(",") if labels else []} if kind == "issues" else {
            "source_project_id": 7, "target_project_id": 7, "sha": "b" * 40, "draft": False, "reviewers": [],
        }  # fmt: skip
        made: dict[str, Any] = {
            "id": 100 + iid, "iid": iid, "state": "opened", "author": author, "assignees": [], "description": "",
            "web_url": f"{self.url}/octo/hello/-/{kind}/{iid}", "created_at": at, "updated_at": at,
            "user_notes_count": 0, **own, **given,
        }  # fmt: skip
        self.things[kind][iid] = made
        return made

    def say(self, kind: str, iid: int, author: dict[str, Any], body: str) -> dict[str, Any]:
        """A note."""
        said = self.notes.setdefault((kind, iid), [])
        at = self.now()
        number = 1000 + sum(map(len, self.notes.values()))
        made = {"id": number, "body": body, "author": author, "system": False, "created_at": at, "updated_at": at}
        said.append(made)
        self.things[kind][iid]["user_notes_count"] += 1
        return made

    def hook(self, kind: str, thing: dict[str, Any], user: dict[str, Any], action: str, **more: Any) -> dict[str, Any]:
        """What a webhook says of an issue or merge request."""
        labels = [{"title": one} for one in thing.get("labels", ())]
        attributes = {
            **{name: value for name, value in thing.items() if name not in ("author", "assignees", "labels")},
            "url": thing["web_url"], "action": action, "author_id": thing["author"]["id"],
            "last_commit": {"id": thing.get("sha", "")},
        }  # fmt: skip
        project = {"id": 7, "path_with_namespace": "octo/hello", "web_url": f"{self.url}/octo/hello"}
        return {
            "object_kind": kind, "user": user, "project": project, "object_attributes": attributes, "labels": labels,
            "assignees": thing["assignees"], **more,
        }  # fmt: skip

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        """One request of the API, with what of it or of its answer isn't in the description noted."""
        if faults := gitlab_api.request_faults(method, path, query, body):
            self.faults += faults
            return 400, {"error": "; ".join(faults)}
        status, told = self._answer(method, path, query, body)
        if status < 300:
            self.faults += gitlab_api.answer_faults(method, path, told)
        return status, told

    def _answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        routes: list[tuple[str, Callable[[tuple[str, ...]], tuple[int, Any]]]] = [
            (r"", lambda _: self._project()),
            (r"/(issues|merge_requests)", lambda of: self._list(method, of[0], query, body)),
            (r"/(issues|merge_requests)/(\d+)", lambda of: self._one(method, of[0], int(of[1]), body)),
            (r"/(issues|merge_requests)/(\d+)/notes", lambda of: self._notes(method, of[0], int(of[1]), body)),
            (r"/statuses/([0-9a-f]{40})", lambda of: self._status(of[0], body)),
            (r"/pipelines", lambda _: (200, self.pipelines)),
            (r"/pipelines/(\d+)/jobs", lambda of: (200, self.jobs[int(of[0])])),
        ]
        if path == "/user":
            return 200, BOT
        for pattern, handle in routes:
            if found := re.fullmatch(pattern, path.removeprefix("/projects/octo%2Fhello")):
                return handle(found.groups())
        return 404, {"message": "404 Not found"}

    def _project(self) -> tuple[int, Any]:
        access = {"project_access": {"access_level": 30}, "group_access": None}
        told = {"web_url": f"{self.url}/octo/hello", "http_url_to_repo": f"{self.url}/octo/hello.git"}
        return 200, {"id": 7, "default_branch": "main", "permissions": access, **told}

    def _list(self, method: str, kind: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        found = list(self.things[kind].values())
        if method == "POST":
            open_ones = [one for one in found if kind != "issues" and one["state"] == "opened"]
            branches = [(one["source_branch"], one["target_branch"]) for one in open_ones]
            if kind != "issues" and (body["source_branch"], body["target_branch"]) in branches:
                return 409, {"message": ["Another open merge request already exists for this source branch"]}
            return 201, self.make(kind, BOT, **body)
        for name in ("state", "source_branch", "target_branch"):
            found = [one for one in found if query.get(name) in (None, one.get(name))]
        after = query.get("updated_after", "")
        return 200, [one for one in found if one["updated_at"] >= after]

    def _one(self, method: str, kind: str, iid: int, body: dict[str, Any]) -> tuple[int, Any]:
        one = self.things[kind].get(iid)
        if one is None:
            return 404, {"message": "404 Not found"}
        if method == "PUT":
            move = body.pop("state_event", None)
            if move is not None:
                state = {"close": "closed", "reopen": "opened"}[move]
                if state == one["state"]:
                    return 400, {"message": "state_event does not have a valid value"}
                one["state"] = state
            if "labels" in body:
                body["labels"] = body["labels"].split(",") if body["labels"] else []
            one |= {**body, "updated_at": self.now()}
        return 200, one

    def _notes(self, method: str, kind: str, iid: int, body: dict[str, Any]) -> tuple[int, Any]:
        if method == "POST":
            return 201, self.say(kind, iid, BOT, body["body"])
        return 200, self.notes.get((kind, iid), [])

    def _status(self, sha: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.statuses.append({"sha": sha, **body})
        return 200, {"id": 1, "sha": sha, "status": body["state"], "name": body.get("name")}


@contextmanager
def running() -> Generator[GitLab]:
    """A GitLab on loopback, until the end of the block."""
    made = GitLab()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        do_POST = do_PUT = do_GET

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            path = parts.path.removeprefix("/api/v4")
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            trace = re.fullmatch(r"/projects/octo%2Fhello/jobs/(\d+)/trace", path)
            if self.headers.get("PRIVATE-TOKEN") != TOKEN:
                status, answer = 401, b'{"message": "401 Unauthorized"}'
            elif trace:
                made.faults += gitlab_api.request_faults(self.command, path, {}, {})
                status, answer = 200, made.traces.get(int(trace[1]), "").encode()
            else:
                query = {name: unquote(values[0]) for name, values in parse_qs(parts.query).items()}
                status, told = made.answer(self.command, path, query, json.loads(body or b"{}"))
                answer = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
        assert not made.faults, f"not in GitLab {gitlab_api.VERSION}'s description: {made.faults}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
