"""GitHub asked and written to by its REST API. Implements `app.remote_forge.RemoteForge`."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from quarterdeck.app.remote_forge import CommitStatus, Remote, Writing, Written
from quarterdeck.core.errors import ForbiddenError, NotFoundError, UnavailableError
from quarterdeck.core.remote import Delivery, Fact, Kind, RemoteRepository
from quarterdeck.core.text import cut
from quarterdeck.forges.api import Api, Json
from quarterdeck.forges.github import events, shapes

VERSION = "2022-11-28"
RUNS = 30
"""How many of the newest runs of workflows are looked at."""

_STATES = {"pending": "pending", "running": "pending", "success": "success", "failed": "failure", "canceled": "error"}
_Shape = TypeVar("_Shape", bound=shapes.Shape)


class GitHub:
    """All of GitHub; what it is asked about comes with each call."""

    def verify(self, headers: Mapping[str, str], body: bytes, secret: str, now: datetime) -> tuple[str, str]:
        """The id and event of a delivery; GitHub signs no time, so that the same again is told by its body."""
        del now
        return events.verify(headers, body, secret)

    def read(self, event: str, body: bytes) -> Delivery:
        """What a delivery says."""
        return events.read(event, body)

    def git_username(self) -> str:
        """As GitHub has it for tokens of any kind."""
        return "x-access-token"

    async def repository(self, remote: Remote) -> RemoteRepository:
        """The repository, and whose token it is; an App's own token is nobody's."""
        api = _api(remote)
        found = _as(shapes.Repository, await api.get(_path(remote)))
        return RemoteRepository(
            login=await _login(api),
            default_branch=found.default_branch,
            web_url=found.html_url,
            git_url=found.clone_url,
            may_push=found.permissions.get("push") if found.permissions else None,
        )

    async def changed(self, remote: Remote, since: datetime | None) -> AsyncIterator[Fact]:
        """What changed; without `since` what is open, and what is said on it."""
        api, path = _api(remote), _path(remote)
        talked = list[shapes.Issue]()
        state: dict[str, str | int] = {"state": "open"} if since is None else {"state": "all", "since": _iso(since)}
        async for one in api.pages(f"{path}/issues", **state, sort="updated", direction="asc"):
            issue = _as(shapes.Issue, one)
            talked += [issue] if issue.comments or issue.pull_request is not None else []
            if issue.pull_request is None:
                yield issue.issue()
        order = {"sort": "updated", "direction": "desc", "state": "open" if since is None else "all"}
        async for one in api.pages(f"{path}/pulls", **order):
            request = _as(shapes.PullRequest, one)
            if since is not None and request.updated_at < since:
                break
            yield request.merge_request()
        async for said in _said_on(api, path, talked) if since is None else _said_since(api, path, since):
            yield said
        for run in await _runs(api, path):
            if run.head_repository is None or run.head_repository.full_name.lower() == remote.repository.lower():
                yield run.pipeline()

    async def job_log(self, remote: Remote, log: str, *, limit: int) -> bytes:
        """The end of a job's log; GitHub deletes them after some time."""
        try:
            return await _api(remote).tail(f"{_path(remote)}/actions/jobs/{int(log)}/logs", limit)
        except NotFoundError:
            return b""

    async def write_issue(self, remote: Remote, number: int | None, wish: Writing) -> Written:
        """Makes an issue, or brings one to what is wished."""
        body: Json = {"title": wish.title, "body": wish.description, "labels": list(wish.labels)}
        return await self._write(remote, "issues", number, body, wish.status)

    async def write_merge_request(self, remote: Remote, number: int | None, wish: Writing) -> Written:
        """Opens a pull request, or brings one to what is wished."""
        body: Json = {"title": wish.title, "body": wish.description, "base": wish.target_branch}
        if number is None:
            body["head"] = wish.source_branch
        return await self._write(remote, "pulls", number, body, wish.status)

    async def _write(self, remote: Remote, what: str, number: int | None, body: Json, status: str) -> Written:
        api, path = _api(remote), f"{_path(remote)}/{what}"
        if number is None:
            made = _written(await api.send("POST", path, body))
            return made if status == "opened" else await self._write(remote, what, int(made.id), {}, status)
        state = {"opened": "open", "closed": "closed"}.get(status)
        return _written(await api.send("PATCH", f"{path}/{number}", {**body, **({"state": state} if state else {})}))

    async def find_merge_request(self, remote: Remote, source: str, target: str) -> Written | None:
        """The open one of two branches."""
        owner = remote.repository.partition("/")[0]
        found = await _api(remote).get(
            f"{_path(remote)}/pulls", state="open", head=f"{owner}:{source}", base=target, per_page=10
        )
        return next((_written(one) for one in found if one["head"]["ref"] == source), None)

    async def find_marked(self, remote: Remote, kind: Kind, number: int | None, mark: str) -> Written | None:
        """The issue or comment with our mark: the newest hundred of all, the comments from the first on."""
        api, path = _api(remote), _path(remote)
        if number is not None:
            async for one in api.pages(f"{path}/issues/{number}/comments"):
                if mark in (one.get("body") or ""):
                    return _said(one)
            return None
        for one in await api.get(f"{path}/issues", state="all", sort="created", direction="desc", per_page=100):
            if mark in (one.get("body") or ""):
                return _written(one)
        return None

    async def comment(self, remote: Remote, on: Kind, number: int, text: str) -> Written:
        """Says something; of pull requests by the same way as of issues."""
        del on
        return _said(await _api(remote).send("POST", f"{_path(remote)}/issues/{number}/comments", {"body": text}))

    async def set_status(self, remote: Remote, sha: str, status: CommitStatus) -> None:
        """A status of the commit."""
        body = {
            "state": _STATES[status.status],
            "context": status.context,
            "description": cut(status.description, 140),
            "target_url": status.url,
        }
        await _api(remote).send("POST", f"{_path(remote)}/statuses/{sha}", body)


def _api(remote: Remote) -> Api:
    return Api(
        remote,
        {
            "Authorization": f"Bearer {remote.token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": VERSION,
        },
    )


def _path(remote: Remote) -> str:
    return f"/repos/{remote.repository}"


async def _said_on(api: Api, path: str, things: list[shapes.Issue]) -> AsyncIterator[Fact]:
    """What is said on each of these."""
    for thing in things:
        of_pull = thing.pull_request is not None
        async for one in api.pages(f"{path}/issues/{thing.number}/comments"):
            yield _as(shapes.Comment, one).comment(thing.number, "merge_request" if of_pull else "issue")
        if of_pull:
            async for one in api.pages(f"{path}/pulls/{thing.number}/comments"):
                yield _as(shapes.LineComment, one).comment(thing.number)


async def _said_since(api: Api, path: str, since: datetime) -> AsyncIterator[Fact]:
    """What was said or changed since then, on whatever."""
    order = {"since": _iso(since), "sort": "updated", "direction": "asc"}
    async for one in api.pages(f"{path}/issues/comments", **order):
        said = _as(shapes.Comment, one)
        yield said.comment(_number(said.issue_url), None)
    async for one in api.pages(f"{path}/pulls/comments", **order):
        line = _as(shapes.LineComment, one)
        yield line.comment(_number(line.pull_request_url))


async def _runs(api: Api, path: str) -> list[shapes.WorkflowRun]:
    """The newest runs of workflows, oldest first; none where the token may not see them."""
    try:
        found: Json = await api.get(f"{path}/actions/runs", per_page=RUNS)
    except (ForbiddenError, NotFoundError):
        return []
    return [_as(shapes.WorkflowRun, one) for one in reversed(found.get("workflow_runs", ()))]


async def _login(api: Api) -> str:
    return _as(shapes.User, await api.get("/user")).login


def _as(shape: type[_Shape], value: object) -> _Shape:
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise UnavailableError(f"GitHub answered with another {shape.__name__} than is known.") from error


def _written(one: Any) -> Written:
    return Written(id=str(one["number"]), url=one["html_url"], updated_at=datetime.fromisoformat(one["updated_at"]))


def _said(one: Any) -> Written:
    at = datetime.fromisoformat(one["updated_at"])
    return Written(id=f"comment:{one['id']}", url=one["html_url"], updated_at=at)


def _number(url: str) -> int:
    """What a thing's URL ends with."""
    last = url.rstrip("/").rpartition("/")[2]
    return int(last) if last.isdigit() else 0


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
