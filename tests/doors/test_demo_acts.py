"""What `qd demo` takes for a proof."""

from datetime import UTC, datetime

from quarterdeck.client.models import JobView, PipelineStatus, PipelineView
from quarterdeck.core.pipeline import JobStatus
from quarterdeck.doors.cli.demo_acts import unproved

AT = datetime(2026, 1, 1, tzinfo=UTC)


def pipeline(status: PipelineStatus, **jobs: str) -> PipelineView:
    made = [
        JobView(
            id=number, pipeline_id=1, name=name, stage="test", status=JobStatus(word.removesuffix("?")).value,
            allow_failure=word.endswith("?"), attempt=1, exit_code=None, reason="", call_id=None, artifacts_blob=None,
            created_at=AT, started_at=None, ended_at=None,
        )
        for number, (name, word) in enumerate(jobs.items())
    ]  # fmt: skip
    return PipelineView(
        id=1, project_id=1, project_path="sample", ref="main", sha="a" * 40, source="push", status=status, error="",
        session_id=None, created_at=AT, started_at=None, ended_at=None, url="", jobs=made,
    )  # fmt: skip


def test_every_job_that_failed_has_to_succeed() -> None:
    red = pipeline("failed", build="success", test="failed", lint="failed?", docs="skipped")
    assert unproved(red, pipeline("success", build="success", test="success", lint="failed?")) == []
    assert unproved(red, pipeline("success", build="success", test="failed?")) == ["the job test is failed"]
    assert unproved(red, pipeline("success", build="success", test="manual")) == ["the job test is manual"]
    assert unproved(red, pipeline("success", build="success")) == ["the job test is no longer there"]
