"""The ten statuses of a session and the machine that moves between them."""

from enum import StrEnum

from quarterdeck.core.errors import IllegalTransitionError


class Status(StrEnum):
    """Where a session stands."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    INPUT_REQUIRED = "input_required"
    PLAN_APPROVAL_REQUIRED = "plan_approval_required"
    TOOL_CALL_APPROVAL_REQUIRED = "tool_call_approval_required"
    IDLE = "idle"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


class StatusGroup(StrEnum):
    """What lists group and sort by, in this order."""

    ACTIVE = "active"
    PAUSED = "paused"
    AWAITING_INPUT = "awaiting_input"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class Transition(StrEnum):
    """An event of the machine."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    REQUIRE_INPUT = "require_input"
    REQUIRE_PLAN_APPROVAL = "require_plan_approval"
    REQUIRE_TOOL_CALL_APPROVAL = "require_tool_call_approval"
    IDLE = "idle"
    FINISH = "finish"
    DROP = "drop"
    STOP = "stop"


FINAL = frozenset({Status.FINISHED, Status.FAILED, Status.STOPPED})
AWAITING = frozenset(
    {
        Status.INPUT_REQUIRED,
        Status.PLAN_APPROVAL_REQUIRED,
        Status.TOOL_CALL_APPROVAL_REQUIRED,
    }
)

GROUPS: dict[Status, StatusGroup] = {
    Status.CREATED: StatusGroup.ACTIVE,
    Status.RUNNING: StatusGroup.ACTIVE,
    Status.PAUSED: StatusGroup.PAUSED,
    Status.INPUT_REQUIRED: StatusGroup.AWAITING_INPUT,
    Status.PLAN_APPROVAL_REQUIRED: StatusGroup.AWAITING_INPUT,
    Status.TOOL_CALL_APPROVAL_REQUIRED: StatusGroup.AWAITING_INPUT,
    Status.IDLE: StatusGroup.COMPLETED,
    Status.FINISHED: StatusGroup.COMPLETED,
    Status.FAILED: StatusGroup.FAILED,
    Status.STOPPED: StatusGroup.CANCELED,
}

_LIVE = frozenset(Status) - FINAL
_RUNNING = frozenset({Status.RUNNING})

TABLE: dict[Transition, tuple[frozenset[Status], Status]] = {
    Transition.START: (frozenset({Status.CREATED}), Status.RUNNING),
    Transition.PAUSE: (_RUNNING, Status.PAUSED),
    Transition.RESUME: (AWAITING | {Status.PAUSED, Status.IDLE}, Status.RUNNING),
    Transition.REQUIRE_INPUT: (_RUNNING, Status.INPUT_REQUIRED),
    Transition.REQUIRE_PLAN_APPROVAL: (_RUNNING, Status.PLAN_APPROVAL_REQUIRED),
    Transition.REQUIRE_TOOL_CALL_APPROVAL: (
        _RUNNING,
        Status.TOOL_CALL_APPROVAL_REQUIRED,
    ),
    Transition.IDLE: (_RUNNING, Status.IDLE),
    Transition.FINISH: (_RUNNING, Status.FINISHED),
    Transition.DROP: (_LIVE, Status.FAILED),
    Transition.STOP: (_LIVE, Status.STOPPED),
}
"""From which statuses a transition may go, and where it leads."""


def human(status: Status) -> str:
    """The status as people read it: `tool_call_approval_required` is "tool call approval required"."""
    return status.value.replace("_", " ")


def after(status: Status, transition: Transition) -> Status:
    """The status that `transition` leads to; the present one if it is already there.

    Raises:
        IllegalTransitionError: names the transition and the status.
    """
    sources, target = TABLE[transition]
    if status is target:
        return status
    if status not in sources:
        raise IllegalTransitionError(f"A session that is {human(status)} doesn't take the event “{transition.value}”.")
    return target
