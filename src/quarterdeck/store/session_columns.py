"""The columns of a session's row that only lists read."""

from typing import Any

from quarterdeck.core.state import SessionState
from quarterdeck.core.status import GROUPS, StatusGroup

ORDER = {group: len(StatusGroup) - place for place, group in enumerate(StatusGroup)}
"""The column `status_order`: the larger the earlier."""


def listed(state: SessionState) -> dict[str, Any]:
    """What lists show and sort by, so that they need not read the state."""
    return {
        "held": state.held,
        "scripted": state.created.scripted,
        "reason": state.reason,
        "verified": state.verified,
        "executor_id": state.editor.id if state.editor else None,
        "status_order": ORDER[GROUPS[state.status]],
    }
