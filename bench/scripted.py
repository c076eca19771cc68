"""Sessions whose answers a script gives: one component with one tool."""

from collections.abc import Iterable

FLOW = """
version: v1
environment: ambient
name: scripted
components:
  - {{name: go, type: AgentComponent, prompt_id: go, inputs: ["context:goal"], max_cycles: 1000, toolset: [{tool}]}}
routers: [{{from: go, to: end}}]
flow: {{entry_point: go}}
prompts: [{{prompt_id: go, name: go, prompt_template: {{system: s, user: "{{{{ goal }}}}"}}}}]
"""


def wish(tool: str, calls: Iterable[str]) -> dict[str, str]:
    """What to post to `/sessions`: so many answers with a call each, whose arguments are YAML, and a last without."""
    steps = [f"{{say: next, call: {{tool: {tool}, args: {args}}}}}" for args in calls]
    script = f"components: {{go: [{', '.join([*steps, '{say: done}'])}]}}"
    return {
        "project": "sample",
        "flow_yaml": FLOW.format(tool=tool),
        "goal": "g",
        "model": "scripted",
        "script": script,
    }
