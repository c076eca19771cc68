"""What a forge elsewhere says of a repository, in this project's words, whichever forge it is; and our marks there."""

import re
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from quarterdeck.core.pipeline import JobStatus, PipelineStatus

ForgeName = Literal["github", "gitlab"]
Kind = Literal["issue", "merge_request"]

_MARK = re.compile(r"<!-- quarterdeck:([a-z_]{1,20}):(\d{1,18}) -->")


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True)


class RemotePerson(_Said):
    """Somebody there."""

    login: str
    bot: bool = False


class RemoteIssue(_Said):
    """An issue; `number` is what people call it by."""

    kind: Literal["issue"] = "issue"
    number: int
    title: str
    description: str
    status: Literal["opened", "closed"]
    labels: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    author: RemotePerson
    url: str
    created_at: datetime
    updated_at: datetime


class RemoteMergeRequest(_Said):
    """A merge or pull request; `source_ref` is where git finds its head when its branch is another repository's."""

    kind: Literal["merge_request"] = "merge_request"
    number: int
    title: str
    description: str
    status: Literal["opened", "merged", "closed"]
    draft: bool = False
    ready: bool = False
    """It was a draft until now."""
    source_branch: str
    source_ref: str | None = None
    target_branch: str
    head: str
    merge_commit: str | None = None
    assignees: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    author: RemotePerson
    url: str
    created_at: datetime
    updated_at: datetime


class RemoteComment(_Said):
    """What somebody said on an issue or merge request, perhaps to a line of a diff."""

    kind: Literal["comment"] = "comment"
    id: str
    """Unique among all comments of an issue or merge request."""
    on: Kind | None
    """None where the forge says only the number, which is one of either."""
    number: int
    text: str
    author: RemotePerson
    url: str
    created_at: datetime
    updated_at: datetime
    deleted: bool = False
    path: str | None = None
    new_line: int | None = None
    old_line: int | None = None
    commit: str | None = None


class RemoteVerdict(_Said):
    """What a reviewer says of a merge request as a whole."""

    kind: Literal["verdict"] = "verdict"
    number: int
    author: RemotePerson
    verdict: Literal["approved", "changes_requested"] | None
    """None takes back what they said."""
    commit: str


class RemotePush(_Said):
    """A branch was made, moved or deleted."""

    kind: Literal["push"] = "push"
    branch: str


class RemoteJob(_Said):
    """A job of a pipeline, or a check."""

    id: str
    name: str
    stage: str
    status: JobStatus
    url: str
    allow_failure: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime
    log: str | None = None
    """What the forge's log of it is asked for by; None where it has none."""


class RemotePipeline(_Said):
    """A pipeline, a run of a workflow, or the checks of one commit by one program."""

    kind: Literal["pipeline"] = "pipeline"
    id: str
    name: str
    branch: str
    sha: str
    status: PipelineStatus | None
    """None where only jobs are told of: it begins with them."""
    url: str
    created_at: datetime
    updated_at: datetime
    jobs: tuple[RemoteJob, ...] = ()
    known_only: bool = False
    """It tells too little of its pipeline to begin one, which has been told of before."""


class RemoteRepository(_Said):
    """A repository, and who asks."""

    login: str
    """Whose token it was asked with."""
    default_branch: str
    web_url: str
    git_url: str
    may_push: bool | None
    """None where the forge doesn't say."""


Fact = RemoteIssue | RemoteMergeRequest | RemoteComment | RemoteVerdict | RemotePush | RemotePipeline


class Delivery(_Said):
    """A webhook's delivery, read: what is so now, and whose doing it was."""

    actor: RemotePerson | None = None
    facts: tuple[Fact, ...] = Field(default=())


def mark(kind: str, number: int) -> str:
    """What is put into a text that is written there, so that a retry finds it: nobody sees it."""
    return f"<!-- quarterdeck:{kind}:{number} -->"


def marked(text: str) -> tuple[str, int] | None:
    """The kind and number of the thing here that a text there came from."""
    found = _MARK.search(text)
    return (found[1], int(found[2])) if found else None


def unmarked(text: str) -> str:
    """The text without our mark and what stands behind it, which is ours, too."""
    found = _MARK.search(text)
    return text[: found.start()].rstrip() if found else text
