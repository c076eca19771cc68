"""GitLab asked and written to by its REST API, version 4. Implements `app.remote_forge.RemoteForge`."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from quarterdeck.app.remote_forge import CommitStatus, Remote, Writing, Written
from quarterdeck.core.errors import ForbiddenError, NotFoundError, UnavailableError
from quarterdeck.core.remote import Delivery, Fact, Kind, RemoteRepository
from quarterdeck.core.text import cut
from quarterdeck.forges.api import Api, Json
from quarterdeck.forges.gitlab import events, shapes

PIPELINES = 20
"""How many of the newest are looked at, each with its jobs."""
_WORDS: dict[Kind, str] = {"issue": "issues", "merge_request": "merge_requests"}
_Shape = TypeVar("_Shape", bound=shapes.Shape)


class GitLab:
    """All of GitLab; what it is asked about comes with each call."""

    def verify(self, headers: Mapping[str, str], body: bytes, secret: str, now: datetime) -> tuple[str, str]:
        """The id and event of a delivery."""
        del now
        return events.verify(headers, body, secret)

    def read(self, event: str, body: bytes) -> Delivery:
        """What a delivery says; the body says of what kind it is."""
        del event
        return events.read(body)

    def git_username(self) -> str:
        """As GitLab has it for tokens of any kind."""
        return "oauth2"

    async def repository(self, remote: Remote) -> RemoteRepository:
        """The repository, and whose token it is."""
        api = _api(remote)
        found = _as(shapes.Project, await api.get(_path(remote)))
        return RemoteRepository(
            login=_as(shapes.User, await api.get("/user")).username,
            default_branch=found.default_branch or "main",
            web_url=found.web_url,
            git_url=found.http_url_to_repo,
            may_push=found.may_push,
        )

    async def changed(self, remote: Remote, since: datetime | None) -> AsyncIterator[Fact]:
        """What changed, and what is said on it; without `since` what is open."""
        api, path = _api(remote), _path(remote)
        asked = {"state": "opened"} if since is None else {"updated_after": _iso(since), "scope": "all"}
        order = {"order_by": "updated_at", "sort": "asc"}
        async for one in api.pages(f"{path}/issues", **asked, **order):
            issue = _as(shapes.Issue, one)
            yield issue.issue()
            if issue.user_notes_count:
                async for said in _notes(api, path, "issue", issue.iid, issue.web_url):
                    yield said
        async for one in api.pages(f"{path}/merge_requests", **asked, **order):
            request = _as(shapes.MergeRequest, one)
            yield request.merge_request()
            if request.user_notes_count:
                async for said in _notes(api, path, "merge_request", request.iid, request.web_url):
                    yield said
        async for found in _pipelines(api, path):
            yield found

    async def job_log(self, remote: Remote, log: str, *, limit: int) -> bytes:
        """The end of a job's trace."""
        try:
            return await _api(remote).tail(f"{_path(remote)}/jobs/{int(log)}/trace", limit)
        except NotFoundError:
            return b""

    async def write_issue(self, remote: Remote, number: int | None, wish: Writing) -> Written:
        """Makes an issue, or brings one to what is wished."""
        body: Json = {"title": wish.title, "description": wish.description, "labels": ",".join(wish.labels)}
        return await self._write(remote, "issue", number, body, wish.status)

    async def write_merge_request(self, remote: Remote, number: int | None, wish: Writing) -> Written:
        """Opens a merge request, or brings one to what is wished."""
        body: Json = {"title": wish.title, "description": wish.description, "target_branch": wish.target_branch}
        if number is None:
            body["source_branch"] = wish.source_branch
        return await self._write(remote, "merge_request", number, body, wish.status)

    async def _write(self, remote: Remote, kind: Kind, number: int | None, body: Json, status: str) -> Written:
        """A state is moved by an event, and one that it has already is refused: it is looked at first."""
        api, path = _api(remote), f"{_path(remote)}/{_WORDS[kind]}"
        made = await api.send("POST", path, body) if number is None else await api.get(f"{path}/{number}")
        moves = {("opened", "closed"): "close", ("closed", "opened"): "reopen"}
        move = moves.get((made["state"], status))
        if number is not None or move:
            more = {"state_event": move} if move else {}
            made = await api.send("PUT", f"{path}/{made['iid']}", {**body, **more})
        return _written(made)

    async def find_merge_request(self, remote: Remote, source: str, target: str) -> Written | None:
        """The open one of two branches."""
        asked = {"state": "opened", "source_branch": source, "target_branch": target}
        found = await _api(remote).get(f"{_path(remote)}/merge_requests", **asked)
        return next((_written(one) for one in found), None)

    async def find_marked(self, remote: Remote, kind: Kind, number: int | None, mark: str) -> Written | None:
        """The issue or comment with our mark: the newest hundred of all, the comments from the newest on."""
        api, path = _api(remote), f"{_path(remote)}/{_WORDS[kind]}"
        if number is None:
            found = await api.get(path, order_by="created_at", sort="desc", per_page=100, scope="all")
            return next((_written(one) for one in found if mark in (one.get("description") or "")), None)
        async for one in api.pages(f"{path}/{number}/notes", sort="desc", order_by="created_at"):
            if mark in one["body"]:
                return _said(one, "")
        return None

    async def comment(self, remote: Remote, on: Kind, number: int, text: str) -> Written:
        """Says something."""
        api, path = _api(remote), f"{_path(remote)}/{_WORDS[on]}/{number}"
        made = await api.send("POST", f"{path}/notes", {"body": text})
        return _said(made, "")

    async def set_status(self, remote: Remote, sha: str, status: CommitStatus) -> None:
        """A status of the commit; GitLab takes its words as they are here."""
        body = {
            "state": status.status,
            "name": status.context,
            "ref": status.branch,
            "description": cut(status.description, 255),
            "target_url": status.url,
        }
        await _api(remote).send("POST", f"{_path(remote)}/statuses/{sha}", body)


async def _notes(api: Api, path: str, kind: Kind, number: int, url: str) -> AsyncIterator[Fact]:
    async for one in api.pages(f"{path}/{_WORDS[kind]}/{number}/notes", sort="asc", order_by="created_at"):
        note = _as(shapes.Note, one)
        if not note.system:
            yield note.comment(kind, number, url)


async def _pipelines(api: Api, path: str) -> AsyncIterator[Fact]:
    """The newest pipelines, oldest first; none where the token may not see them."""
    try:
        found = await api.get(f"{path}/pipelines", per_page=PIPELINES, order_by="id", sort="desc")
    except (ForbiddenError, NotFoundError):
        return
    for one in reversed(found):
        pipeline = _as(shapes.Pipeline, one)
        jobs = [_as(shapes.Job, job).job() async for job in api.pages(f"{path}/pipelines/{pipeline.id}/jobs")]
        yield pipeline.pipeline(tuple(jobs))


def _api(remote: Remote) -> Api:
    return Api(remote, {"PRIVATE-TOKEN": remote.token})


def _path(remote: Remote) -> str:
    return f"/projects/{quote(remote.repository, safe='')}"


def _as(shape: type[_Shape], value: object) -> _Shape:
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise UnavailableError(f"GitLab answered with another {shape.__name__} than is known.") from error


def _written(one: Any) -> Written:
    return Written(id=str(one["iid"]), url=one["web_url"], updated_at=datetime.fromisoformat(one["updated_at"]))


def _said(one: Any, url: str) -> Written:
    return Written(id=f"note:{one['id']}", url=url, updated_at=datetime.fromisoformat(one["updated_at"]))


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
