"""What `qd demo` takes for a proof."""

from datetime import UTC, datetime

from quarterdeck.doors.cli.answers import Job, Pipeline
from quarterdeck.doors.cli.demo_acts import unproved


def pipeline(status: str, **jobs: str) -> Pipeline:
    made = tuple(
        Job(id=number, name=name, stage="test", status=word.removesuffix("?"), allow_failure=word.endswith("?"))
        for number, (name, word) in enumerate(jobs.items())
    )
    return Pipeline(
        id=1, ref="main", sha="a" * 40, status=status, jobs=made, created_at=datetime(2026, 1, 1, tzinfo=UTC)
    )


def test_every_job_that_failed_has_to_succeed() -> None:
    red = pipeline("failed", build="success", test="failed", lint="failed?", docs="skipped")
    assert unproved(red, pipeline("success", build="success", test="success", lint="failed?")) == []
    assert unproved(red, pipeline("success", build="success", test="failed?")) == ["the job test is failed"]
    assert unproved(red, pipeline("success", build="success", test="manual")) == ["the job test is manual"]
    assert unproved(red, pipeline("success", build="success")) == ["the job test is no longer there"]
