"""The demo's session without its pauses: `fix_pipeline/v1` on the sample, played by the script that ships."""

import re
from importlib import resources
from typing import Any

from tests.instance import Instance

DELAY_SECONDS = 0.15
"""How long each answer streams in place of the script's own pauses: long enough to be cut off."""


def script() -> str:
    """The script that ships, with short pauses."""
    folder = resources.files("quarterdeck") / "flows" / "fix_pipeline"
    text = (folder / "1.0.0.script.yml").read_text(encoding="utf-8")
    return re.sub(r"(?m)^(\s+delay:).*$", rf"\1 {DELAY_SECONDS}", text)


def red_pipeline(instance: Instance) -> int:
    """A pipeline of the sample that has failed."""
    pipeline: Any = instance.post("/projects/sample/pipelines", {"ref": "main"})
    where = f"/pipelines/{pipeline['id']}"
    instance.wait(lambda: instance.get(where)["status"] == "failed", 60, "the sample's pipeline fails")
    return int(pipeline["id"])


def start(instance: Instance, pipeline: int) -> int:
    """A session that repairs it."""
    body = {
        "project": "sample",
        "flow": "fix_pipeline/v1",
        "goal": "Make the pipeline pass.",
        "model": "scripted",
        "script": script(),
        "pipeline_id": pipeline,
        "inputs": {"pipeline": {"id": pipeline}},
    }
    return int(instance.post("/sessions", body)["id"])
