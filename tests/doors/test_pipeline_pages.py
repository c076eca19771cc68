"""What `qd pipeline --wait` says of jobs that wait."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from quarterdeck.app import runner_choice
from quarterdeck.doors.cli import pipeline_pages


@pytest.mark.parametrize("alive", [True, False])
@pytest.mark.parametrize("tags", [[], ["busybox"], ["is", "busy"]])
def test_a_job_is_stuck_unless_those_that_fit_are_busy(tags: list[str], alive: bool) -> None:
    fits = SimpleNamespace(project_id=None, tags=tags, alive=alive, state="active")
    told = runner_choice._for_which(1, tags, cast(Any, [fits]))  # pyright: ignore[reportPrivateUsage]
    assert told.endswith(pipeline_pages.BUSY) == alive
