"""A flow of one agent with all tools, and scripts for it, so that a scenario says only what it is about."""

import json
from typing import Any

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


def payloads(events: list[Any], kind: str) -> list[Any]:
    """The payloads of one kind, in order."""
    return [event["payload"] for event in events if event["payload"]["kind"] == kind]
