"""GitHub's webhooks: signatures checked, and deliveries read into what they say is so now."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from pydantic import ValidationError

from quarterdeck.core.errors import InvalidInputError, UnauthenticatedError
from quarterdeck.core.remote import Delivery, Fact, RemotePush
from quarterdeck.forges.github import shapes

ACTIONS_APP = "github-actions"
FOLLOWED = (
    "push", "issues", "issue_comment", "pull_request", "pull_request_review", "pull_request_review_comment",
    "workflow_run", "workflow_job", "check_run", "check_suite",
)  # fmt: skip
"""The events to choose when the webhook is made."""


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> tuple[str, str]:
    """The delivery's id and event. Raises UnauthenticatedError."""
    given = headers.get("x-hub-signature-256", "")
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise UnauthenticatedError(
            "The signature doesn't fit: the webhook at GitHub has another secret, or none, or somebody else sent this."
        )
    key, event = headers.get("x-github-delivery", ""), headers.get("x-github-event", "")
    if not key or not event:
        raise UnauthenticatedError("X-GitHub-Delivery and X-GitHub-Event are missing.")
    return key[:200], event[:100]


class _Sent(shapes.Shape):
    """Any delivery; each event has some of these."""

    action: str = ""
    sender: shapes.User | None = None
    repository: shapes.Repository | None = None
    ref: str | None = None
    issue: shapes.Issue | None = None
    pull_request: shapes.PullRequest | None = None
    number: int | None = None
    comment: shapes.Comment | shapes.LineComment | None = None
    review: shapes.Review | None = None
    workflow_run: shapes.WorkflowRun | None = None
    workflow_job: shapes.WorkflowJob | None = None
    check_run: shapes.CheckRun | None = None
    check_suite: shapes.CheckSuite | None = None


def read(event: str, body: bytes) -> Delivery:
    """What a delivery says. Raises InvalidInputError."""
    reader = _READERS.get(event)
    if reader is None:
        return Delivery()
    try:
        sent = _MODELS.get(event, _Sent).model_validate(_value(body))
    except (ValidationError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"GitHub's {event} has another form than is known.") from error
    found = tuple(reader(sent))
    return Delivery(actor=sent.sender.person() if sent.sender else None, facts=found)


def _value(body: bytes) -> object:
    """JSON, also as the form that GitHub sends unless it is told otherwise."""
    if body.startswith(b"payload="):
        return json.loads(parse_qs(body.decode("utf-8", "replace"))["payload"][0])
    return json.loads(body)


class _ReviewPullRequest(shapes.Shape):
    number: int


class _ReviewSent(_Sent):
    """Reviews and comments on lines come with less of the pull request."""

    pull_request: _ReviewPullRequest | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


class _LineSent(_ReviewSent):
    comment: shapes.LineComment | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


class _CommentSent(_Sent):
    comment: shapes.Comment | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


def _push(sent: _Sent) -> list[Fact]:
    branch = (sent.ref or "").removeprefix("refs/heads/")
    return [RemotePush(branch=branch)] if branch and branch != sent.ref else []


def _issues(sent: _Sent) -> list[Fact]:
    if sent.issue is None or sent.issue.state is None:  # an issue that was pinned comes without most of it
        return []
    issue = sent.issue.issue()
    if sent.action in ("deleted", "transferred"):
        issue = issue.model_copy(update={"status": "closed"})
    return [issue]


def _issue_comment(sent: _Sent) -> list[Fact]:
    if sent.issue is None or not isinstance(sent.comment, shapes.Comment):
        return []
    on = "merge_request" if sent.issue.pull_request is not None else "issue"
    said = sent.comment.comment(sent.issue.number, on, deleted=sent.action == "deleted")
    return [sent.issue.issue(), said] if on == "issue" else [said]


def _pull_request(sent: _Sent) -> list[Fact]:
    if sent.pull_request is None:
        return []
    ready = sent.action == "ready_for_review"
    return [sent.pull_request.merge_request().model_copy(update={"ready": ready})]


def _review(sent: _Sent) -> list[Fact]:
    if sent.review is None or sent.pull_request is None:
        return []
    said = sent.review.verdict(sent.pull_request.number), sent.review.comment(sent.pull_request.number)
    return [one for one in said if one is not None]


def _line(sent: _Sent) -> list[Fact]:
    if sent.pull_request is None or not isinstance(sent.comment, shapes.LineComment):
        return []
    return [sent.comment.comment(sent.pull_request.number, deleted=sent.action == "deleted")]


def _run(sent: _Sent) -> list[Fact]:
    """Runs of a fork's own branches are named as ours are: they are left out."""
    run, ours = sent.workflow_run, sent.repository
    if run is None or (run.head_repository and ours and run.head_repository.full_name != ours.full_name):
        return []
    return [run.pipeline()]


def _job(sent: _Sent) -> list[Fact]:
    return [sent.workflow_job.pipeline()] if sent.workflow_job is not None else []


def _check(sent: _Sent) -> list[Fact]:
    run = sent.check_run
    if run is None or run.check_suite is None or _of_workflows(run.app) or run.name.startswith(shapes.OUR_CONTEXT):
        return []
    if not run.check_suite.head_branch:  # of a fork, or of a branch that is gone
        return []
    return [shapes.checks(run.check_suite, (run,), run.html_url or "")]


def _suite(sent: _Sent) -> list[Fact]:
    suite = sent.check_suite
    if suite is None or not suite.head_branch or _of_workflows(suite.app):
        return []
    return [shapes.checks(suite, (), "")]


def _of_workflows(app: shapes.CheckApp | None) -> bool:
    return app is not None and app.slug == ACTIONS_APP


_READERS: dict[str, Callable[[_Sent], list[Fact]]] = {
    "push": _push,
    "issues": _issues,
    "issue_comment": _issue_comment,
    "pull_request": _pull_request,
    "pull_request_review": _review,
    "pull_request_review_comment": _line,
    "workflow_run": _run,
    "workflow_job": _job,
    "check_run": _check,
    "check_suite": _suite,
}
_MODELS: dict[str, type[_Sent]] = {
    "issue_comment": _CommentSent,
    "pull_request_review": _ReviewSent,
    "pull_request_review_comment": _LineSent,
}
