"""What GitLab's API says, of which only what is used is named, in this project's words."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from quarterdeck.core.pipeline import JobStatus, PipelineStatus
from quarterdeck.core.remote import (
    Kind,
    RemoteComment,
    RemoteIssue,
    RemoteJob,
    RemoteMergeRequest,
    RemotePerson,
    RemotePipeline,
)

UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of what comes without one: whatever comes with one is newer."""


def _time(value: object) -> object:
    """Webhooks write some times as `2026-01-31 10:00:00 UTC`, and others as the API does."""
    return (
        value.removesuffix(" UTC").replace(" ", "T", 1) + "Z" if isinstance(value, str) and " UTC" in value else value
    )


Time = Annotated[datetime, BeforeValidator(_time)]

_PIPELINES = {
    "running": PipelineStatus.RUNNING,
    "success": PipelineStatus.SUCCESS,
    "failed": PipelineStatus.FAILED,
    "canceled": PipelineStatus.CANCELED,
    "canceling": PipelineStatus.RUNNING,
    "skipped": PipelineStatus.SKIPPED,
}
_JOBS = {
    "created": JobStatus.CREATED,
    "running": JobStatus.RUNNING,
    "canceling": JobStatus.RUNNING,
    "success": JobStatus.SUCCESS,
    "failed": JobStatus.FAILED,
    "canceled": JobStatus.CANCELED,
    "skipped": JobStatus.SKIPPED,
    "manual": JobStatus.MANUAL,
}


class Shape(BaseModel):
    """Something that GitLab says."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class User(Shape):
    """Somebody."""

    username: str
    bot: bool = False

    def person(self) -> RemotePerson:
        """As a person."""
        return RemotePerson(login=self.username, bot=self.bot)


class Access(Shape):
    """How much somebody may: 30 is Developer."""

    access_level: int


class Permissions(Shape):
    """By what somebody may."""

    project_access: Access | None = None
    group_access: Access | None = None


class Project(Shape):
    """A project."""

    default_branch: str | None = None
    web_url: str
    http_url_to_repo: str
    permissions: Permissions | None = None

    @property
    def may_push(self) -> bool | None:
        """None where GitLab doesn't say."""
        if self.permissions is None:
            return None
        levels = (self.permissions.project_access, self.permissions.group_access)
        return max((one.access_level for one in levels if one), default=0) >= 30


class Issue(Shape):
    """An issue."""

    iid: int
    title: str
    description: str | None = None
    state: Literal["opened", "closed"]
    labels: tuple[str, ...] = ()
    assignees: tuple[User, ...] = ()
    author: User
    web_url: str
    created_at: Time
    updated_at: Time
    user_notes_count: int = 0

    def issue(self) -> RemoteIssue:
        """As an issue."""
        return RemoteIssue(
            number=self.iid,
            title=self.title,
            description=self.description or "",
            status=self.state,
            labels=self.labels,
            assignees=tuple(one.username for one in self.assignees),
            author=self.author.person(),
            url=self.web_url,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


class MergeRequest(Shape):
    """A merge request; `locked` is one that is being merged."""

    iid: int
    title: str
    description: str | None = None
    state: Literal["opened", "closed", "merged", "locked"]
    draft: bool = False
    source_branch: str
    target_branch: str
    source_project_id: int | None = None
    target_project_id: int | None = None
    sha: str | None = None
    merge_commit_sha: str | None = None
    assignees: tuple[User, ...] = ()
    reviewers: tuple[User, ...] = ()
    author: User
    web_url: str
    created_at: Time
    updated_at: Time
    user_notes_count: int = 0

    def merge_request(self) -> RemoteMergeRequest:
        """As a merge request."""
        ours = self.source_project_id == self.target_project_id
        return RemoteMergeRequest(
            number=self.iid,
            title=self.title,
            description=self.description or "",
            status="opened" if self.state == "locked" else self.state,
            draft=self.draft,
            source_branch=self.source_branch if ours else f"merge-requests/{self.iid}",
            source_ref=None if ours else f"refs/merge-requests/{self.iid}/head",
            target_branch=self.target_branch,
            head=self.sha or "",
            merge_commit=self.merge_commit_sha,
            assignees=tuple(one.username for one in self.assignees),
            reviewers=tuple(one.username for one in self.reviewers),
            author=self.author.person(),
            url=self.web_url,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


class Position(Shape):
    """A line of a diff."""

    new_path: str | None = None
    old_path: str | None = None
    new_line: int | None = None
    old_line: int | None = None
    head_sha: str | None = None


class Note(Shape):
    """A comment; `system` are those that GitLab writes itself."""

    id: int
    body: str
    author: User
    system: bool = False
    created_at: Time
    updated_at: Time
    position: Position | None = None

    def comment(self, on: Kind, number: int, url: str) -> RemoteComment:
        """As a comment on that."""
        place = self.position or Position()
        return RemoteComment(
            id=f"note:{self.id}",
            on=on,
            number=number,
            text=self.body,
            author=self.author.person(),
            url=f"{url}#note_{self.id}",
            created_at=self.created_at,
            updated_at=self.updated_at,
            path=place.new_path or place.old_path,
            new_line=place.new_line,
            old_line=place.old_line,
            commit=place.head_sha,
        )


class Job(Shape):
    """A job."""

    id: int
    name: str
    stage: str
    status: str
    allow_failure: bool = False
    web_url: str = ""
    created_at: Time | None = None
    started_at: Time | None = None
    finished_at: Time | None = None

    def job(self, web_url: str = "") -> RemoteJob:
        """As a job; `web_url` is its project's, where the job has none of its own."""
        return RemoteJob(
            id=f"job:{self.id}",
            name=self.name,
            stage=self.stage,
            status=_JOBS.get(self.status, JobStatus.PENDING),
            url=self.web_url or (f"{web_url}/-/jobs/{self.id}" if web_url else ""),
            allow_failure=self.allow_failure,
            started_at=self.started_at,
            ended_at=self.finished_at,
            updated_at=self.finished_at or self.started_at or self.created_at or UNKNOWN,
            log=str(self.id),
        )


class Pipeline(Shape):
    """A pipeline."""

    id: int
    ref: str
    sha: str
    status: str
    web_url: str
    created_at: Time
    updated_at: Time | None = None

    def pipeline(self, jobs: tuple[RemoteJob, ...]) -> RemotePipeline:
        """As a pipeline, with its jobs."""
        return RemotePipeline(
            id=f"pipeline:{self.id}",
            name="pipeline",
            branch=self.ref,
            sha=self.sha,
            status=pipeline_status(self.status),
            url=self.web_url,
            created_at=self.created_at,
            updated_at=self.updated_at or self.created_at,
            jobs=jobs,
        )


def pipeline_status(status: str) -> PipelineStatus:
    """What a pipeline has come to; one that waits for something has not begun."""
    return _PIPELINES.get(status, PipelineStatus.CREATED)
