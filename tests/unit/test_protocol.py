from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel, ValidationError

from quarterdeck.core import protocol as p
from quarterdeck.core.events import FileChange, Outcome
from quarterdeck.core.session_limits import Limits, ProjectLimits, Used

WORKSPACE = p.WorkspaceSpec(
    clone_path="/git/a/b.git", token="t", ref="main", commit="c" * 40, branch="b", author="A", author_email="a@x",
    committer="C", committer_email="c@x",
)  # fmt: skip
SNAPSHOT = p.SnapshotReport(
    step=1,
    commit="d",
    files=(FileChange(path="a", change="added"),),
    bundle_blob=1,
    step_diff_blob=2,
    whole_diff_blob=3,
)
MESSAGES: tuple[BaseModel, ...] = (
    p.Hello(
        protocol=1, version="0", name="r", capacity=2, isolation="full", capabilities={"a": [1]}, subjects=("job:7",)
    ),
    p.Welcome(runner=1, protocol=1, wipe=("job:7",)),
    p.Offer(
        call_id="c", subject="job:7", lease_epoch=1, tool="pipeline_job", workspace=WORKSPACE,
        job=p.JobSpec(name="test", script=("true",), needs_artifacts=(1, 2)),
        limits=ProjectLimits(session=60), used=Used(ms=7, output=3),
    ),
    p.Cancel(subject="session:1", lease_epoch=2),
    p.Wipe(subject="session:1"),
    p.Heartbeat(runner=1, held=(p.Held(subject="session:1", lease_epoch=2),)),
    p.HeartbeatAnswer(lost=("session:1",)),
    p.Started(turn_no=1, lease_epoch=2),
    p.Result(
        turn_no=1, lease_epoch=2, outcome=Outcome.TIMED_OUT, text="x", exit_code=124, snapshot=SNAPSHOT,
        used=Used(ms=7), limit=Limits().reached("session"),
    ),
    p.Prepared(lease_epoch=1, base_commit="c", isolation="reduced"),
    p.Teardown(lease_epoch=1, killed=3, left=0, duration_ms=0.5, method="pid namespace"),
    p.OutputAnswer(next_offset=3),
    p.BlobAnswer(blob=1),
    p.PushAnswer(branch="b", commit="c"),
)  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_the_same_on_the_other_end_even_of_a_newer_sender(message: BaseModel) -> None:
    kind = type(message)
    assert kind.model_validate_json(message.model_dump_json()) == message
    assert kind.model_validate({**message.model_dump(), "of_a_later_version": {"x": 1}}) == message
    for name, field in kind.model_fields.items():
        if field.is_required():
            with pytest.raises(ValidationError):
                kind.model_validate(message.model_dump(exclude={name}))


def test_limits_of_a_later_version_are_no_reason_to_refuse_a_message() -> None:
    offer, result = (next(one for one in MESSAGES if type(one) is kind) for kind in (p.Offer, p.Result))
    limits = {"session": 60, "sockets": 7}
    assert p.Offer.model_validate({**offer.model_dump(), "limits": limits}) == offer
    later = p.Result.model_validate({**result.model_dump(), "limit": {"name": "sockets", "bound": "7"}})
    assert later == result.model_copy(update={"limit": None})
    with pytest.raises(ValidationError):
        p.Offer.model_validate({**offer.model_dump(), "limits": {"session": "long"}})
    with pytest.raises(ValidationError):
        ProjectLimits.model_validate(limits)


def test_every_report_carries_the_epoch_that_fences_it() -> None:
    reports: tuple[type[Any], ...] = (p.Offer, p.Cancel, p.Started, p.Result, p.Prepared, p.Teardown, p.Held)
    assert all(get_type_hints(report)["lease_epoch"] is int for report in reports)


def test_a_lost_heartbeat_or_two_do_not_cost_the_lease() -> None:
    assert 3 * p.HEARTBEAT_SECONDS <= p.DROP_SECONDS
    assert 3 * p.KEEPALIVE_SECONDS <= p.DROP_SECONDS


@pytest.mark.parametrize(("apart", "fits"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_two_ends_may_be_one_version_apart(apart: int, fits: bool) -> None:
    assert p.fits(p.PROTOCOL_VERSION + apart) is fits
