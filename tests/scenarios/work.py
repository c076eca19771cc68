"""A flow of one agent with all tools, and scripts for it, so that a scenario says only what it is about."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.instance import Instance

TOOLS = (
    "read_file, list_dir, find_files, grep, edit_file, create_file_with_contents, run_command, run_git_command, "
    "todo_write, create_commit"
)


def flow(*, asks: bool = False) -> str:
    """The flow `work`; with `asks` every tool call waits for a person."""
    return f"""
version: v1
environment: ambient
name: work
components:
  - name: work
    type: AgentComponent
    prompt_id: work
    inputs: ["context:goal"]
    toolset: [{TOOLS}]
    require_tool_approval: {str(asks).lower()}
routers:
  - {{from: work, to: end}}
flow: {{entry_point: work}}
prompts:
  - prompt_id: work
    name: work
    prompt_template: {{system: Do what is asked., user: "{{{{ goal }}}}"}}
"""


def script(*steps: dict[str, Any]) -> str:
    """A script of these steps; JSON is YAML."""
    return json.dumps({"components": {"work": list(steps)}})


def call(tool: str, **args: Any) -> dict[str, Any]:
    return {"tool": tool, "args": args}


def start(instance: Instance, *steps: dict[str, Any], asks: bool = False, **more: Any) -> int:
    """Starts a session of these steps on the sample project."""
    body = {
        "project": "sample",
        "flow_yaml": flow(asks=asks),
        "goal": "Do what the script says.",
        "model": "scripted",
        "script": script(*steps),
        **more,
    }
    return int(instance.post("/sessions", body)["id"])


LONG = uuid4().int % 10**8 + 10**8
"""Seconds that no other sleep on this machine has, so that what is left of it can be looked for."""
UNTIL_LET_GO = "until rm go 2>/dev/null; do sleep 0.05; done"
"""In the workspace's own folder: waits for `let_go`, however long that takes."""


def let_go(instance: Instance, session_id: int, runner: Path | None = None) -> None:
    """Lets a command go on that waits in a workspace: of the instance's own runner, or of the one with that home."""
    home = runner or instance.home / "runner"
    (home / "workspaces" / f"session-{session_id}" / "files" / "go").touch()


def payloads(events: list[Any], kind: str) -> list[Any]:
    """The payloads of one kind, in order."""
    return [event["payload"] for event in events if event["payload"]["kind"] == kind]
