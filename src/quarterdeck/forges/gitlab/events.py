"""GitLab's webhooks: signed or with a token, and deliveries read into what they say is so now."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping

from pydantic import ValidationError

from quarterdeck.core.errors import InvalidInputError, UnauthenticatedError
from quarterdeck.core.remote import (
    Delivery,
    Fact,
    RemoteComment,
    RemoteIssue,
    RemoteMergeRequest,
    RemotePerson,
    RemotePipeline,
    RemotePush,
    RemoteVerdict,
)
from quarterdeck.forges.gitlab import shapes
from quarterdeck.forges.gitlab.shapes import Shape, Time, User

FOLLOWED = ("Push events", "Comments", "Issues events", "Merge request events", "Pipeline events")
"""What to choose when the webhook is made."""


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> tuple[str, str]:
    """The delivery's id and event. A signature, where there is one, has to fit and to be of the last minutes."""
    from standardwebhooks import Webhook, WebhookVerificationError

    event = headers.get("x-gitlab-event", "")[:100]
    if "webhook-signature" in headers:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            raise UnauthenticatedError("The signature doesn't fit the connection's secret, or is too old.") from None
        return headers["webhook-id"][:200], event
    given = headers.get("x-gitlab-token", "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode()):
        raise UnauthenticatedError(
            "X-Gitlab-Token is not the connection's secret: enter that as the webhook's signing or secret token."
        )
    return headers.get("idempotency-key", "")[:200] or hashlib.sha256(body).hexdigest(), event


class _Label(Shape):
    title: str


class _Commit(Shape):
    id: str


class _Change(Shape):
    previous: bool | None = None
    current: bool | None = None


class _Changes(Shape):
    draft: _Change | None = None


class _Project(Shape):
    id: int | None = None
    web_url: str = ""


class _Attributes(Shape):
    """What an event is about; each kind has some of these."""

    id: int | None = None
    iid: int | None = None
    title: str = ""
    description: str | None = None
    state: str = ""
    action: str | None = None
    url: str = ""
    author_id: int | None = None
    created_at: Time | None = None
    updated_at: Time | None = None
    finished_at: Time | None = None
    draft: bool = False
    source_branch: str = ""
    target_branch: str = ""
    source_project_id: int | None = None
    target_project_id: int | None = None
    last_commit: _Commit | None = None
    merge_commit_sha: str | None = None
    note: str = ""
    noteable_type: str | None = None
    system: bool = False
    position: shapes.Position | None = None
    ref: str = ""
    sha: str = ""
    status: str = ""


class _Build(Shape):
    id: int
    stage: str
    name: str
    status: str
    created_at: Time | None = None
    started_at: Time | None = None
    finished_at: Time | None = None
    allow_failure: bool = False


class _Of(Shape):
    iid: int
    source_branch: str | None = None


class _Sent(Shape):
    """Any delivery."""

    object_kind: str = ""
    ref: str = ""
    user: User | None = None
    user_username: str | None = None
    project: _Project = _Project()
    object_attributes: _Attributes = _Attributes()
    labels: tuple[_Label, ...] = ()
    assignees: tuple[User, ...] = ()
    reviewers: tuple[User, ...] = ()
    changes: _Changes | None = None
    issue: _Of | None = None
    merge_request: _Of | None = None
    builds: tuple[_Build, ...] = ()

    @property
    def who(self) -> RemotePerson | None:
        """Whose doing it is."""
        login = self.user.username if self.user else self.user_username
        return RemotePerson(login=login) if login else None

    @property
    def author(self) -> RemotePerson:
        """Who made the thing: only of a new one that is whoever did this; of others the number is told alone."""
        if self.object_attributes.action in ("open", "create") and self.who is not None:
            return self.who
        return RemotePerson(login=f"user {self.object_attributes.author_id or 'unknown'}")


def read(body: bytes) -> Delivery:
    """What a delivery says. Raises InvalidInputError."""
    try:
        sent = _Sent.model_validate(json.loads(body))
        reader = _READERS.get(sent.object_kind)
        facts = tuple(reader(sent)) if reader else ()
    except (ValidationError, ValueError, RecursionError) as error:
        raise InvalidInputError("GitLab's delivery has another form than is known.") from error
    return Delivery(actor=sent.who, facts=facts)


def _push(sent: _Sent) -> list[Fact]:
    branch = sent.ref.removeprefix("refs/heads/")
    return [RemotePush(branch=branch)] if branch and branch != sent.ref else []


def _issue(sent: _Sent) -> list[Fact]:
    it = sent.object_attributes
    return [
        RemoteIssue.model_validate(
            {
                "number": it.iid,
                "title": it.title,
                "description": it.description or "",
                "status": it.state,
                "labels": tuple(one.title for one in sent.labels),
                "assignees": tuple(one.username for one in sent.assignees),
                "author": sent.author,
                "url": it.url,
                "created_at": it.created_at,
                "updated_at": it.updated_at,
            }
        )
    ]


def _merge_request(sent: _Sent) -> list[Fact]:
    it, draft = sent.object_attributes, sent.changes.draft if sent.changes else None
    ours = it.source_project_id == it.target_project_id
    head = it.last_commit.id if it.last_commit else ""
    request = RemoteMergeRequest.model_validate(
        {
            "number": it.iid,
            "title": it.title,
            "description": it.description or "",
            "status": "opened" if it.state == "locked" else it.state,
            "draft": it.draft,
            "ready": draft is not None and bool(draft.previous) and not draft.current,
            "source_branch": it.source_branch if ours else f"merge-requests/{it.iid}",
            "source_ref": None if ours else f"refs/merge-requests/{it.iid}/head",
            "target_branch": it.target_branch,
            "head": head,
            "merge_commit": it.merge_commit_sha,
            "assignees": tuple(one.username for one in sent.assignees),
            "reviewers": tuple(one.username for one in sent.reviewers),
            "author": sent.author,
            "url": it.url,
            "created_at": it.created_at,
            "updated_at": it.updated_at,
        }
    )
    said = {"approved": "approved", "approval": "approved", "unapproved": None, "unapproval": None}
    if it.action not in said or sent.who is None:
        return [request]
    verdict = {"number": it.iid, "author": sent.who, "verdict": said[it.action], "commit": head}
    return [request, RemoteVerdict.model_validate(verdict)]


def _note(sent: _Sent) -> list[Fact]:
    it, place = sent.object_attributes, sent.object_attributes.position or shapes.Position()
    of = {"Issue": ("issue", sent.issue), "MergeRequest": ("merge_request", sent.merge_request)}
    kind, thing = of.get(it.noteable_type or "", ("", None))
    if thing is None or it.system or sent.who is None:
        return []
    return [
        RemoteComment.model_validate(
            {
                "id": f"note:{it.id}",
                "on": kind,
                "number": thing.iid,
                "text": it.note,
                "author": sent.who,
                "url": it.url,
                "created_at": it.created_at,
                "updated_at": it.updated_at or it.created_at,
                "path": place.new_path or place.old_path,
                "new_line": place.new_line,
                "old_line": place.old_line,
                "commit": place.head_sha,
            }
        )
    ]


def _pipeline(sent: _Sent) -> list[Fact]:
    it, web = sent.object_attributes, sent.project.web_url
    jobs = tuple(shapes.Job.model_validate(one.model_dump()).job(web) for one in sent.builds)
    branch = sent.merge_request.source_branch if sent.merge_request and sent.merge_request.source_branch else it.ref
    return [
        RemotePipeline.model_validate(
            {
                "id": f"pipeline:{it.id}",
                "name": "pipeline",
                "branch": branch,
                "sha": it.sha,
                "status": shapes.pipeline_status(it.status),
                "url": it.url or f"{web}/-/pipelines/{it.id}",
                "created_at": it.created_at,
                "updated_at": it.finished_at
                or max([one.updated_at for one in jobs if one.started_at], default=it.created_at),
                "jobs": jobs,
            }
        )
    ]


_READERS: dict[str, Callable[[_Sent], list[Fact]]] = {
    "push": _push,
    "issue": _issue,
    "merge_request": _merge_request,
    "note": _note,
    "pipeline": _pipeline,
}
