"""The words of pages for what the code names, each marked where it stands, so that an extractor of texts finds it."""

from collections.abc import Mapping
from typing import Any

from quarterdeck.core.access import Ability, Role
from quarterdeck.core.events import Outcome
from quarterdeck.core.notice import NoticeKind
from quarterdeck.core.status import Status, StatusGroup
from quarterdeck.core.webhook import WebhookEvent
from quarterdeck.doors.web import languages
from quarterdeck.tools.tool import Privilege


def _(text: str) -> str:
    """Marks a text; it is translated when it is said."""
    return text


STATUSES = {
    Status.CREATED: _("Created"),
    Status.RUNNING: _("Running"),
    Status.PAUSED: _("Paused"),
    Status.INPUT_REQUIRED: _("Input required"),
    Status.PLAN_APPROVAL_REQUIRED: _("Plan approval required"),
    Status.TOOL_CALL_APPROVAL_REQUIRED: _("Tool call approval required"),
    Status.IDLE: _("Idle"),
    Status.FINISHED: _("Finished"),
    Status.FAILED: _("Failed"),
    Status.STOPPED: _("Stopped"),
}
GROUPS = {
    StatusGroup.ACTIVE: _("Active"),
    StatusGroup.PAUSED: _("Paused"),
    StatusGroup.AWAITING_INPUT: _("Awaiting input"),
    StatusGroup.COMPLETED: _("Completed"),
    StatusGroup.FAILED: _("Failed"),
    StatusGroup.CANCELED: _("Canceled"),
}
ROLES = {
    Role.GUEST.name.lower(): _("Guest"),
    Role.REPORTER.name.lower(): _("Reporter"),
    Role.DEVELOPER.name.lower(): _("Developer"),
    Role.MAINTAINER.name.lower(): _("Maintainer"),
    Role.OWNER.name.lower(): _("Owner"),
}
ABILITIES = {
    Ability.READ_PROJECT: _("read project"),
    Ability.READ_REPOSITORY: _("read repository"),
    Ability.READ_PIPELINE: _("read pipelines"),
    Ability.READ_ISSUE: _("read issues"),
    Ability.READ_MERGE_REQUEST: _("read merge requests"),
    Ability.COMMENT: _("comment"),
    Ability.CREATE_ISSUE: _("create issues"),
    Ability.WRITE_ISSUE: _("change issues"),
    Ability.PUSH: _("push"),
    Ability.RUN_PIPELINE: _("run pipelines"),
    Ability.WRITE_MERGE_REQUEST: _("change merge requests"),
    Ability.READ_SESSION: _("read sessions"),
    Ability.START_SESSION: _("start sessions"),
    Ability.CANCEL_SESSION: _("cancel sessions"),
    Ability.DELETE_SESSION: _("delete sessions"),
    Ability.HOLD_SESSION: _("hold sessions"),
    Ability.PUSH_PROTECTED: _("push and merge into the default branch"),
    Ability.MANAGE_RUNNER: _("manage runners"),
    Ability.MANAGE_NETWORK: _("manage the network"),
    Ability.MANAGE_MCP_SERVERS: _("manage MCP servers"),
    Ability.MANAGE_WEBHOOKS: _("manage webhooks"),
    Ability.MANAGE_CONNECTIONS: _("manage connections to forges"),
    Ability.MANAGE_FLOWS: _("manage flows"),
    Ability.MANAGE_MEMBERS: _("manage members"),
    Ability.MANAGE_AGENTS: _("manage agents"),
    Ability.MANAGE_TRIGGERS: _("manage triggers"),
    Ability.MANAGE_PROJECT: _("manage the project"),
}
OUTCOMES = {
    Outcome.OK: _("ok"),
    Outcome.ERROR: _("error"),
    Outcome.TIMED_OUT: _("timed out"),
    Outcome.INTERRUPTED: _("interrupted"),
    Outcome.DENIED: _("denied"),
    Outcome.CANCELLED: _("cancelled"),  # as logs have it on every door
}
PRIVILEGES = {
    Privilege.READ_ONLY_FILES: _("read files"),
    Privilege.READ_WRITE_FILES: _("change files"),
    Privilege.READ_ONLY_GITLAB: _("read issues, merge requests and pipelines"),
    Privilege.READ_WRITE_GITLAB: _("change issues, merge requests and pipelines"),
    Privilege.RUN_COMMANDS: _("run commands"),
    Privilege.USE_GIT: _("use git"),
    Privilege.RUN_MCP_TOOLS: _("come from MCP servers"),
    Privilege.START_FLOWS: _("start other sessions"),
}
ISOLATIONS = {"full": _("full"), "reduced": _("reduced"), "none": _("none")}
WAITS = {
    "worker": _("worker"),
    "runner": _("runner"),
    "editor": _("editor"),
    "tool": _("tool"),
    "model": _("model"),
    "person": _("person"),
}
ARTIFACTS = {
    "branch": _("branch"),
    "commit": _("commit"),
    "merge_request": _("merge request"),
    "patch": _("patch"),
    "file": _("file"),
    "comment": _("comment"),
}
RELATIONS = {
    "source": _("source"),
    "created": _("created"),
    "parent": _("parent"),
    "child": _("child"),
    "forked_from": _("forked from"),
    "fork": _("fork"),
}
TARGETS = {
    "issue": _("issue"),
    "merge_request": _("merge request"),
    "pipeline": _("pipeline"),
    "session": _("session"),
}
NOTICES = {
    NoticeKind.NEEDS_INPUT: _("needs you"),
    NoticeKind.FAILED: _("failed"),
    NoticeKind.OVER_BUDGET: _("over budget"),
    NoticeKind.PAUSED: _("paused by itself"),
    NoticeKind.FINISHED: _("done"),
    NoticeKind.WEBHOOK_DISABLED: _("webhook disabled"),
}
WEBHOOK_EVENTS = {
    WebhookEvent.ACTIVE: _("a session starts or goes on"),
    WebhookEvent.PAUSED: _("a session is paused"),
    WebhookEvent.AWAITING_INPUT: _("a session needs a person"),
    WebhookEvent.COMPLETED: _("a session is done"),
    WebhookEvent.FAILED: _("a session failed"),
    WebhookEvent.CANCELED: _("a session is stopped"),
    WebhookEvent.ARTIFACT: _("a session makes a branch, a commit, a merge request or another artifact"),
}
WEBHOOK_DELIVERIES = {"waiting": _("waiting"), "delivered": _("delivered"), "failed": _("failed")}
DECISIONS = {"granted": _("granted"), "denied": _("denied"), "answered": _("answered"), "open": _("open")}
CHANGES = {"added": _("added"), "modified": _("modified"), "deleted": _("deleted"), "renamed": _("renamed")}
STEPS = {
    "pending": _("pending"),
    "in_progress": _("in progress"),
    "completed": _("completed"),
    "cancelled": _("canceled"),
}
PARTS = {
    "title": _("title"),
    "goal": _("goal"),
    "message": _("message"),
    "arguments": _("arguments"),
    "result": _("result"),
    "error": _("error"),
    "output": _("output"),
}
FOLDS = {"prompt": _("prompt"), "thinking": _("thinking")}
DOORS = {
    "web": _("in the browser"),
    "cli": _("on the command line"),
    "api": _("by the API"),
    "acp": _("in an editor"),
}
AGES = {
    86_400: _("%(n)s d"),
    3_600: _("%(n)s h"),
    60: _("%(n)s min"),
    1: _("%(n)s s"),
}
"""By the seconds that one of it has, the longest first."""

EVENTS = {
    "mention": _("mention"),
    "assign": _("assignment"),
    "assign_reviewer": _("request for a review"),
    "pipeline_hooks": _("pipeline"),
    "merge_request": _("merge request"),
    "work_item": _("issue"),
    "commit_to_default_branch": _("push to the default branch"),
    "schedule": _("schedule"),
    "webhook": _("webhook"),
}
ACTIONS = {
    "running": _("running"),
    "success": _("passed"),
    "failed": _("failed"),
    "canceled": _("canceled"),
    "ready": _("ready"),
    "approved": _("approved"),
    "merged": _("merged"),
    "created": _("created"),
    "closed": _("closed"),
}
DELIVERIES = {
    "waiting": _("waiting"),
    "started": _("started"),
    "told": _("told"),
    "refused": _("refused"),
}

KINDS: dict[str, Mapping[Any, str]] = {
    "status": STATUSES,
    "group": GROUPS,
    "role": ROLES,
    "ability": ABILITIES,
    "outcome": OUTCOMES,
    "privilege": PRIVILEGES,
    "isolation": ISOLATIONS,
    "wait": WAITS,
    "artifact": ARTIFACTS,
    "relation": RELATIONS,
    "target": TARGETS,
    "decision": DECISIONS,
    "change": CHANGES,
    "step": STEPS,
    "part": PARTS,
    "fold": FOLDS,
    "door": DOORS,
    "notice": NOTICES,
    "webhook_event": WEBHOOK_EVENTS,
    "webhook_delivery": WEBHOOK_DELIVERIES,
    "event": EVENTS,
    "action": ACTIONS,
    "delivery": DELIVERIES,
}
"""What templates ask for by name."""


def word(value: str, kind: str = "status") -> str:
    """What a page calls it, in its language; what an older log names and nobody knows any more, as it is named."""
    return languages.gettext(KINDS[kind].get(value, value.replace("_", " ")))


def age(seconds: float) -> str:
    """How long ago: `3 min`."""
    size = next((size for size in AGES if seconds >= size), 1)
    return languages.gettext(AGES[size]) % {"n": max(0, int(seconds // size))}
