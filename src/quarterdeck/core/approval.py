"""When a tool call needs a person's yes."""

import hashlib
import json
from collections.abc import Collection

from pydantic import JsonValue


def fingerprint(tool: str, args: dict[str, JsonValue]) -> str:
    """What an approval for the session remembers: the tool with exactly these arguments."""
    exact = json.dumps([tool, args], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(exact.encode()).hexdigest()


def needs_approval(
    tool: str,
    args: dict[str, JsonValue],
    *,
    privilege: str | None,
    component_asks: bool,
    component_pre_approved: Collection[str],
    session_pre_approved: Collection[str],
    session_approvals: Collection[str],
) -> bool:
    """Whether a person has to be asked, in GitLab's order of skipping.

    Component's own list, then the privilege that the session was started with, then an approval of exactly this call
    for the session. A tool without a privilege (plan, questions) asks nobody unless its component asks for all.
    """
    if tool in component_pre_approved:
        return False
    if not component_asks and (privilege is None or privilege in session_pre_approved):
        return False
    return fingerprint(tool, args) not in session_approvals
