from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.pipeline import (
    ENDED,
    PIPELINE_ENDED,
    CiJob,
    CiPipeline,
    JobStatus,
    PipelineStatus,
    decide,
    outcome,
    prerequisites,
)

STAGES = ("build", "test", "deploy")
ENDINGS = (JobStatus.SUCCESS, JobStatus.SUCCESS, JobStatus.FAILED, JobStatus.CANCELED)
WHENS = ("on_success", "on_success", "on_success", "on_failure", "always", "manual", "never")


def job(name: str, stage: str = "build", **more: object) -> CiJob:
    return CiJob.model_validate({"name": name, "stage": stage, "script": ("true",), **more})


@st.composite
def pipelines(draw: st.DrawFn) -> CiPipeline:
    """Any jobs in any order; `needs` names only jobs of the same or an earlier stage and makes no circle."""
    jobs: list[CiJob] = []
    stages = sorted(draw(st.lists(st.sampled_from(STAGES), min_size=1, max_size=8)), key=STAGES.index)
    for number, stage in enumerate(stages):
        needs = draw(st.none() | st.sets(st.sampled_from(range(number)), max_size=3)) if number else None
        names = None if needs is None else tuple(f"j{n}" for n in sorted(needs))
        when = draw(st.sampled_from(WHENS))
        jobs.append(job(f"j{number}", stage, needs=names, when=when, allow_failure=draw(st.booleans())))
    return CiPipeline(stages=STAGES, jobs=tuple(draw(st.permutations(jobs))))


def settle(pipeline: CiPipeline, statuses: dict[str, JobStatus]) -> None:
    before = dict(statuses)
    changes = decide(pipeline, statuses)
    assert statuses == before, "decide only says what changes"
    assert all(before[name] is JobStatus.CREATED for name in changes)
    statuses |= changes
    assert decide(pipeline, statuses) == {}, "a second look finds nothing new"
    for one in pipeline.jobs:
        if one.name in changes:
            assert all(statuses[other.name] in ENDED for other in prerequisites(one, pipeline))
            assert changes[one.name] is expected(one, pipeline, statuses)


def expected(one: CiJob, pipeline: CiPipeline, statuses: Mapping[str, JobStatus]) -> JobStatus:
    before = prerequisites(one, pipeline)
    wrong = [o for o in before if statuses[o.name] in (JobStatus.FAILED, JobStatus.CANCELED) and not o.allow_failure]
    idle = [o for o in before if one.needs is not None and statuses[o.name] in (JobStatus.SKIPPED, JobStatus.MANUAL)]
    free = not wrong and not idle
    return {
        "never": JobStatus.SKIPPED,
        "always": JobStatus.PENDING,
        "on_failure": JobStatus.PENDING if wrong else JobStatus.SKIPPED,
        "on_success": JobStatus.PENDING if free else JobStatus.SKIPPED,
        "manual": JobStatus.MANUAL if free else JobStatus.SKIPPED,
    }[one.when]


@given(pipelines(), st.data())
def test_any_pipeline_comes_to_an_end_in_order(pipeline: CiPipeline, data: st.DataObject) -> None:
    statuses = {one.name: JobStatus.CREATED for one in pipeline.jobs}
    assert outcome(pipeline, statuses) is PipelineStatus.CREATED
    settle(pipeline, statuses)
    while open_jobs := sorted(n for n, s in statuses.items() if s in (JobStatus.PENDING, JobStatus.RUNNING)):
        assert outcome(pipeline, statuses) is PipelineStatus.RUNNING
        name = data.draw(st.sampled_from(open_jobs))
        begins = statuses[name] is JobStatus.PENDING and data.draw(st.booleans())
        statuses[name] = JobStatus.RUNNING if begins else data.draw(st.sampled_from(ENDINGS))
        settle(pipeline, statuses)
    assert set(statuses.values()) <= ENDED, "no job is left behind"
    assert outcome(pipeline, statuses) in PIPELINE_ENDED
    strict = {statuses[one.name] for one in pipeline.jobs if not one.allow_failure}
    assert (outcome(pipeline, statuses) in (PipelineStatus.FAILED, PipelineStatus.CANCELED)) == bool(
        strict & {JobStatus.FAILED, JobStatus.CANCELED}
    )


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({"a": "created", "b": "created"}, "created"),
        ({"a": "success", "b": "created"}, "running"),
        ({"a": "success", "b": "pending"}, "running"),
        ({"a": "success", "b": "success"}, "success"),
        ({"a": "success", "b": "failed"}, "success"),
        ({"a": "failed", "b": "success"}, "failed"),
        ({"a": "canceled", "b": "failed"}, "canceled"),
        ({"a": "skipped", "b": "manual"}, "skipped"),
        ({"a": "success", "b": "manual"}, "success"),
    ],
)
def test_what_a_pipeline_has_come_to(statuses: dict[str, str], expected: str) -> None:
    two = CiPipeline(stages=STAGES, jobs=(job("a"), job("b", allow_failure=True)))
    assert outcome(two, {name: JobStatus(status) for name, status in statuses.items()}) == expected


def test_a_job_that_waits_for_a_failure_does_not_stop_those_behind_it() -> None:
    pipeline = CiPipeline(stages=STAGES, jobs=(job("a"), job("cry", "test", when="on_failure"), job("ship", "deploy")))
    statuses = {"a": JobStatus.SUCCESS, "cry": JobStatus.CREATED, "ship": JobStatus.CREATED}
    assert decide(pipeline, statuses) == {"cry": JobStatus.SKIPPED, "ship": JobStatus.PENDING}


def test_what_a_job_says_of_those_before_it() -> None:
    whens = ("on_failure", "always", "never", "manual", "on_success")
    later = tuple(job(when, "test", when=when) for when in whens)
    pipeline = CiPipeline(stages=STAGES, jobs=(job("first"), *later))
    created = dict.fromkeys(whens, JobStatus.CREATED)
    skipped = JobStatus.SKIPPED
    assert decide(pipeline, {"first": JobStatus.FAILED, **created}) == {
        "on_failure": JobStatus.PENDING, "always": JobStatus.PENDING, "never": skipped, "manual": skipped,
        "on_success": skipped,
    }  # fmt: skip
    assert decide(pipeline, {"first": JobStatus.SUCCESS, **created}) == {
        "on_failure": skipped, "always": JobStatus.PENDING, "never": skipped, "manual": JobStatus.MANUAL,
        "on_success": JobStatus.PENDING,
    }  # fmt: skip


def test_a_skipped_job_takes_along_who_needs_it_in_any_order_of_the_file() -> None:
    pipeline = CiPipeline(
        stages=STAGES, jobs=(job("c", needs=("b",)), job("b", needs=("a",), allow_failure=True), job("a"))
    )
    statuses = {"a": JobStatus.FAILED, "b": JobStatus.CREATED, "c": JobStatus.CREATED}
    assert decide(pipeline, statuses) == {"b": JobStatus.SKIPPED, "c": JobStatus.SKIPPED}


def test_a_circle_that_slipped_through_is_left_and_not_gone_round() -> None:
    pipeline = CiPipeline(stages=STAGES, jobs=(job("a", needs=("b",)), job("b", needs=("a",))))
    assert decide(pipeline, {"a": JobStatus.CREATED, "b": JobStatus.CREATED}) == {}
