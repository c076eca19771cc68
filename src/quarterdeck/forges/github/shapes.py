"""What GitHub's API and webhooks say, of which only what is used is named, in this project's words."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from quarterdeck.core.pipeline import JobStatus, PipelineStatus
from quarterdeck.core.remote import (
    Kind,
    RemoteComment,
    RemoteIssue,
    RemoteJob,
    RemoteMergeRequest,
    RemotePerson,
    RemotePipeline,
    RemoteVerdict,
)

OUR_CONTEXT = "quarterdeck"
"""What the names of our own checks begin with; they are not read back."""
STAGE = "checks"
UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of what comes without one: whatever comes with one is newer."""
_FAILED = {"failure", "timed_out", "startup_failure", "action_required"}
_SKIPPED = {"skipped", "stale", "neutral"}


class Shape(BaseModel):
    """Something that GitHub says."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class User(Shape):
    """Somebody; deleted accounts are null where they are named."""

    login: str
    type: str = "User"

    def person(self) -> RemotePerson:
        """As a person."""
        return RemotePerson(login=self.login, bot=self.type == "Bot" or self.login.endswith("[bot]"))


def person(user: User | None) -> RemotePerson:
    """Whom GitHub names; a deleted account is called as it is shown there."""
    return user.person() if user else RemotePerson(login="ghost")


class Label(Shape):
    """A label."""

    name: str


class Issue(Shape):
    """An issue, or a pull request where it is looked at as one."""

    number: int
    title: str
    body: str | None = None
    state: Literal["open", "closed"] | None = None
    labels: tuple[Label, ...] = ()
    assignees: tuple[User, ...] = ()
    user: User | None = None
    html_url: str
    created_at: datetime
    updated_at: datetime
    pull_request: dict[str, Any] | None = None
    comments: int = 0

    def issue(self) -> RemoteIssue:
        """As an issue."""
        return RemoteIssue(
            number=self.number,
            title=self.title,
            description=self.body or "",
            status="closed" if self.state == "closed" else "opened",
            labels=tuple(one.name for one in self.labels),
            assignees=tuple(one.login for one in self.assignees),
            author=person(self.user),
            url=self.html_url,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


class Repository(Shape):
    """A repository."""

    full_name: str
    default_branch: str = "main"
    html_url: str = ""
    clone_url: str = ""
    permissions: dict[str, bool] | None = None


class Branch(Shape):
    """A side of a pull request; the repository is null when a fork was deleted."""

    ref: str
    sha: str
    repo: Repository | None = None


class PullRequest(Shape):
    """A pull request."""

    number: int
    title: str
    body: str | None = None
    state: Literal["open", "closed"]
    draft: bool | None = False
    merged: bool | None = None
    merged_at: datetime | None = None
    merge_commit_sha: str | None = None
    head: Branch
    base: Branch
    assignees: tuple[User, ...] = ()
    requested_reviewers: tuple[User | Any, ...] = ()
    user: User | None = None
    html_url: str
    created_at: datetime
    updated_at: datetime

    def merge_request(self) -> RemoteMergeRequest:
        """As a merge request."""
        merged = bool(self.merged or self.merged_at)
        here = self.head.repo and self.base.repo and self.head.repo.full_name == self.base.repo.full_name
        return RemoteMergeRequest(
            number=self.number,
            title=self.title,
            description=self.body or "",
            status="merged" if merged else "opened" if self.state == "open" else "closed",
            draft=bool(self.draft),
            source_branch=self.head.ref if here else f"pull/{self.number}",
            source_ref=None if here else f"refs/pull/{self.number}/head",
            target_branch=self.base.ref,
            head=self.head.sha,
            merge_commit=self.merge_commit_sha if merged else None,
            assignees=tuple(one.login for one in self.assignees),
            reviewers=tuple(one.login for one in self.requested_reviewers if isinstance(one, User)),
            author=person(self.user),
            url=self.html_url,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


class Comment(Shape):
    """A comment on an issue or pull request."""

    id: int
    body: str | None = None
    user: User | None = None
    html_url: str
    created_at: datetime
    updated_at: datetime
    issue_url: str = ""

    def comment(self, number: int, on: Kind | None, *, deleted: bool = False) -> RemoteComment:
        """As a comment on that."""
        return RemoteComment(
            id=f"comment:{self.id}",
            on=on,
            number=number,
            text=self.body or "",
            author=person(self.user),
            url=self.html_url,
            created_at=self.created_at,
            updated_at=self.updated_at,
            deleted=deleted,
        )


class LineComment(Shape):
    """A comment on a line of a pull request; of one whose line is gone only the original line is told."""

    id: int
    body: str | None = None
    user: User | None = None
    path: str
    line: int | None = None
    original_line: int | None = None
    side: str | None = "RIGHT"
    original_commit_id: str = ""
    html_url: str
    created_at: datetime
    updated_at: datetime
    pull_request_url: str = ""

    def comment(self, number: int, *, deleted: bool = False) -> RemoteComment:
        """As a comment on a line; one on a whole file has none."""
        line = self.original_line or self.line
        old = self.side == "LEFT"
        return RemoteComment(
            id=f"line:{self.id}",
            on="merge_request",
            number=number,
            text=self.body or "",
            author=person(self.user),
            url=self.html_url,
            created_at=self.created_at,
            updated_at=self.updated_at,
            deleted=deleted,
            path=self.path if line else None,
            new_line=None if old else line,
            old_line=line if old else None,
            commit=self.original_commit_id or None,
        )


class Review(Shape):
    """A review: a verdict, words, or both."""

    id: int
    body: str | None = None
    user: User | None = None
    state: str
    commit_id: str | None = None
    html_url: str
    submitted_at: datetime | None = None

    def verdict(self, number: int) -> RemoteVerdict | None:
        """What it says of the whole; None when it only comments."""
        said = {"approved": "approved", "changes_requested": "changes_requested", "dismissed": None}
        state = self.state.lower()
        if state not in said:
            return None
        return RemoteVerdict.model_validate(
            {"number": number, "author": person(self.user), "verdict": said[state], "commit": self.commit_id or ""}
        )

    def comment(self, number: int) -> RemoteComment | None:
        """Its words as a comment."""
        if not self.body or self.submitted_at is None:
            return None
        return RemoteComment(
            id=f"review:{self.id}",
            on="merge_request",
            number=number,
            text=self.body,
            author=person(self.user),
            url=self.html_url,
            created_at=self.submitted_at,
            updated_at=self.submitted_at,
        )


def _ended(conclusion: str | None) -> JobStatus:
    if conclusion in _FAILED:
        return JobStatus.FAILED
    if conclusion == "cancelled":
        return JobStatus.CANCELED
    return JobStatus.SKIPPED if conclusion in _SKIPPED else JobStatus.SUCCESS


def job_status(status: str, conclusion: str | None) -> JobStatus:
    """What a job or check has come to."""
    match status:
        case "completed":
            return _ended(conclusion)
        case "in_progress":
            return JobStatus.RUNNING
        case _:
            return JobStatus.PENDING


def pipeline_status(status: str, conclusion: str | None) -> PipelineStatus:
    """The same of the whole."""
    match job_status(status, conclusion):
        case JobStatus.PENDING:
            return PipelineStatus.CREATED
        case found:
            return PipelineStatus(found.value)


class WorkflowRun(Shape):
    """A run of a workflow; tried again it goes on under the same id."""

    id: int
    name: str | None = None
    head_branch: str | None = None
    head_sha: str
    head_repository: Repository | None = None
    status: str | None
    conclusion: str | None = None
    html_url: str
    created_at: datetime
    updated_at: datetime

    def pipeline(self) -> RemotePipeline:
        """As a pipeline."""
        return RemotePipeline(
            id=f"run:{self.id}",
            name=self.name or "workflow",
            branch=self.head_branch or "",
            sha=self.head_sha,
            status=pipeline_status(self.status or "", self.conclusion),
            url=self.html_url,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


class WorkflowJob(Shape):
    """A job of a run."""

    id: int
    run_id: int
    workflow_name: str | None = None
    head_branch: str | None = None
    head_sha: str
    name: str
    status: str
    conclusion: str | None = None
    html_url: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    def job(self) -> RemoteJob:
        """As a job."""
        status = job_status(self.status, self.conclusion)
        began = self.started_at or self.created_at or UNKNOWN
        return RemoteJob(
            id=f"job:{self.id}",
            name=self.name,
            stage=STAGE,
            status=status,
            url=self.html_url or "",
            started_at=self.started_at,
            ended_at=self.completed_at,
            updated_at=self.completed_at or began,
            log=str(self.id),
        )

    def pipeline(self) -> RemotePipeline:
        """The run, as far as its job tells."""
        job = self.job()
        return RemotePipeline(
            id=f"run:{self.run_id}",
            name=self.workflow_name or "workflow",
            branch=self.head_branch or "",
            sha=self.head_sha,
            status=None,
            url=(self.html_url or "").partition("/job/")[0],
            created_at=self.created_at or self.started_at or datetime.now(UTC),
            updated_at=job.updated_at,
            jobs=(job,),
            known_only=True,
        )


class CheckApp(Shape):
    """The program whose checks they are."""

    slug: str | None = None
    name: str | None = None


class CheckSuite(Shape):
    """The checks of a commit by one program."""

    id: int
    head_branch: str | None = None
    head_sha: str = ""
    status: str | None = None
    conclusion: str | None = None
    app: CheckApp | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class CheckRun(Shape):
    """A check. Those of workflows are told of as their jobs, too."""

    id: int
    name: str
    head_sha: str
    status: str
    conclusion: str | None = None
    html_url: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    app: CheckApp | None = None
    check_suite: CheckSuite | None = None

    def job(self) -> RemoteJob:
        """As a job."""
        return RemoteJob(
            id=f"check:{self.id}",
            name=self.name,
            stage=STAGE,
            status=job_status(self.status, self.conclusion),
            url=self.html_url or "",
            started_at=self.started_at,
            ended_at=self.completed_at,
            updated_at=self.completed_at or self.started_at or UNKNOWN,
        )


def checks(suite: CheckSuite, runs: tuple[CheckRun, ...], url: str) -> RemotePipeline:
    """A suite with some of its checks as a pipeline: it has ended only when the suite has."""
    jobs = tuple(one.job() for one in runs)
    at = suite.updated_at or max([one.updated_at for one in jobs], default=UNKNOWN)
    name = suite.app.name if suite.app and suite.app.name else "checks"
    return RemotePipeline(
        id=f"suite:{suite.id}",
        name=name,
        branch=suite.head_branch or "",
        sha=suite.head_sha or (runs[0].head_sha if runs else ""),
        status=pipeline_status(suite.status or "queued", suite.conclusion) if suite.status else None,
        url=url,
        created_at=suite.created_at or datetime.now(UTC),
        updated_at=at,
        jobs=jobs,
    )
