"""A pipeline and its jobs: what may run now, and what the whole has come to."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, assert_never

from pydantic import BaseModel, ConfigDict


class JobStatus(StrEnum):
    """Where a job stands; the words are GitLab's."""

    CREATED = "created"
    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"
    MANUAL = "manual"


class PipelineStatus(StrEnum):
    """What a pipeline has come to."""

    CREATED = "created"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"


ENDED = frozenset(
    {
        JobStatus.SUCCESS,
        JobStatus.FAILED,
        JobStatus.CANCELED,
        JobStatus.SKIPPED,
        JobStatus.MANUAL,
    }
)
PIPELINE_ENDED = frozenset(
    {
        PipelineStatus.SUCCESS,
        PipelineStatus.FAILED,
        PipelineStatus.CANCELED,
        PipelineStatus.SKIPPED,
    }
)


JobFailure = Literal["script_failure", "job_execution_timeout", "runner_system_failure"]
"""Why an attempt at a job failed; the words are GitLab's."""


class CiRetry(BaseModel):
    """How often a job that failed is tried again, and after what."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    most: int
    when: tuple[str, ...] = ("always",)
    """Of GitLab's words; `always` stands for all."""
    exit_codes: tuple[int, ...] = ()


class CiJob(BaseModel):
    """A job of a `.gitlab-ci.yml` after rules and defaults: what of it is run, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    stage: str
    before_script: tuple[str, ...] = ()
    script: tuple[str, ...]
    after_script: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    needs: tuple[str, ...] | None = None
    """Names of jobs it waits for instead of the stages before; None means the stages."""
    artifacts_from: tuple[str, ...] | None = None
    """Names of jobs whose artifacts it gets; None means of all that it waits for."""
    when: Literal["on_success", "on_failure", "always", "manual", "never"] = "on_success"
    allow_failure: bool = False
    artifact_paths: tuple[str, ...] = ()
    artifacts_when: Literal["on_success", "on_failure", "always"] = "on_success"
    timeout_seconds: int = 3600
    tags: tuple[str, ...] = ()
    retry: CiRetry | None = None


class CiPipeline(BaseModel):
    """What one commit's `.gitlab-ci.yml` comes to: stages in order and the jobs that its rules let in."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    stages: tuple[str, ...]
    jobs: tuple[CiJob, ...]
    left_out: str = ""
    """Why it has no jobs, when its rules keep all of them out."""


def tries_again(retry: CiRetry | None, failures: int, why: JobFailure, exit_code: int | None) -> bool:
    """Whether a job that failed now for the `failures`th time gets another attempt by itself."""
    if retry is None or failures > retry.most:
        return False
    return "always" in retry.when or why in retry.when or exit_code in retry.exit_codes


def prerequisites(job: CiJob, pipeline: CiPipeline) -> tuple[CiJob, ...]:
    """The jobs that have to end before `job` may start."""
    if job.needs is not None:
        return tuple(other for other in pipeline.jobs if other.name in job.needs)
    order = {stage: place for place, stage in enumerate(pipeline.stages)}
    return tuple(other for other in pipeline.jobs if order[other.stage] < order[job.stage])


def decide(pipeline: CiPipeline, statuses: Mapping[str, JobStatus]) -> dict[str, JobStatus]:
    """The jobs whose status changes now: created ones become pending, manual or skipped.

    Level-triggered: calling it again with the outcome applied gives nothing new until a job ends.
    """
    known = dict(statuses)
    changes: dict[str, JobStatus] = {}
    undecided = [job for job in pipeline.jobs if known[job.name] is JobStatus.CREATED]
    while undecided:
        ready = [job for job in undecided if all(known[b.name] in ENDED for b in prerequisites(job, pipeline))]
        if not ready:
            break
        changes |= {job.name: _entry(job, pipeline, known) for job in ready}
        known |= changes
        undecided = [job for job in undecided if job not in ready]  # one that is skipped may let the next be decided
    return changes


def _entry(job: CiJob, pipeline: CiPipeline, known: Mapping[str, JobStatus]) -> JobStatus:
    before = prerequisites(job, pipeline)
    failed = any(
        known[other.name] in (JobStatus.FAILED, JobStatus.CANCELED) and not other.allow_failure for other in before
    )
    # A stage may hold jobs that did not run; a job that is needed by name has to have run.
    missing = job.needs is not None and any(
        known[other.name] in (JobStatus.SKIPPED, JobStatus.MANUAL) for other in before
    )
    match job.when:
        case "always":
            return JobStatus.PENDING
        case "on_failure":
            return JobStatus.PENDING if failed else JobStatus.SKIPPED
        case "manual":
            return JobStatus.SKIPPED if failed or missing else JobStatus.MANUAL
        case "never":
            return JobStatus.SKIPPED
        case "on_success":
            return JobStatus.SKIPPED if failed or missing else JobStatus.PENDING
        case _:
            assert_never(job.when)


def outcome(pipeline: CiPipeline, statuses: Mapping[str, JobStatus]) -> PipelineStatus:
    """What the pipeline has come to."""
    if any(statuses[job.name] in (JobStatus.PENDING, JobStatus.RUNNING) for job in pipeline.jobs):
        return PipelineStatus.RUNNING
    if any(statuses[job.name] is JobStatus.CREATED for job in pipeline.jobs):
        return PipelineStatus.CREATED if set(statuses.values()) == {JobStatus.CREATED} else PipelineStatus.RUNNING
    counted = [statuses[job.name] for job in pipeline.jobs if not job.allow_failure]
    if JobStatus.CANCELED in counted:
        return PipelineStatus.CANCELED
    if JobStatus.FAILED in counted:
        return PipelineStatus.FAILED
    ran = set(statuses.values()) - {JobStatus.SKIPPED, JobStatus.MANUAL}
    return PipelineStatus.SUCCESS if ran else PipelineStatus.SKIPPED
