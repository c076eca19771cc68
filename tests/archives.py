"""Files of sessions for tests of every tier: a log of the corpus as an export of it would be, with output and diffs."""

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quarterdeck.core import archive
from quarterdeck.core import events as e
from quarterdeck.core.events import Event
from quarterdeck.core.fold import fold

LOGS = sorted((Path(__file__).parent / "unit" / "logs").glob("*.ndjson"))
FLOW = """
version: v1
environment: ambient
name: work
components:
  - {name: work, type: AgentComponent, prompt_id: work, inputs: ["context:goal"], toolset: [read_file, run_command]}
routers: [{from: work, to: end}]
flow: {entry_point: work}
prompts: [{prompt_id: work, name: work, prompt_template: {system: s, user: "{{ goal }}"}}]
"""
DIFF = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-old\n+new\n"


def corpus(name: str) -> list[Event]:
    path = next(path for path in LOGS if path.stem == name)
    return [Event.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]


def file_of(
    events: Iterable[Event], *, flow: str = FLOW, output: bytes = b"\x1b[31mred\x1b[0m\n", diff: str = DIFF
) -> bytes:
    """An export of these events, where every call of an executor printed `output` and every step changed `diff`."""
    log, writer, numbers = list(events), archive.Writer(), dict[int, int]()
    state = fold(log)
    head = archive.Exported(
        number=77, title=state.title, status=state.status, flow=state.created.flow, model=state.created.model,
        scripted=state.created.scripted, initiator=state.created.initiator, project="elsewhere",
        origin=state.created.origin, created_at=state.created_at, ended_at=state.ended_at,
    )  # fmt: skip
    header = archive.Header(
        quarterdeck="0.1.0", exported_at=datetime.now(UTC), redacted=False, files=True, events=len(log), session=head
    )
    parts = [writer.line(header), writer.line(archive.DocumentLine(document="flow", text=flow))]
    parts += (
        writer.line(archive.event_line(event, lambda number: numbers.setdefault(number, len(numbers) + 1), lambda _: 0))
        for event in log
    )
    for event in log:
        if isinstance(event.payload, e.ToolCallRequested) and event.payload.side == "executor":
            line = archive.OutputLine(call_id=event.payload.call_id, offset=0, data=archive.encoded(output))
            parts.append(writer.line(line))
    for number in range(1, len(numbers) + 1):
        data = diff.encode()
        parts.append(
            writer.line(
                archive.BlobLine(
                    blob=number, offset=0, data=archive.encoded(data), size=len(data),
                    sha256=hashlib.sha256(data).hexdigest(),
                )
            )
        )  # fmt: skip
    return b"".join([*parts, writer.footer()])


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def rewritten(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with some lines changed, and a footer that fits all the same; a line changed to {} is left out."""
    changed = lines(data)[:-1]
    for line in changed:
        change(line)
    kept = [line for line in changed if line]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in kept)
    counts = {
        name: sum(line.get("line") == name for line in kept) for name in ("attachment", "event", "output", "blob")
    }
    footer = archive.Footer(
        attachments=counts["attachment"],
        events=counts["event"],
        outputs=counts["output"],
        blobs=counts["blob"],
        sha256=hashlib.sha256(body).hexdigest(),
    )
    return body + footer.model_dump_json().encode() + b"\n"
