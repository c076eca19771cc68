"""What the scripted model knows of a conversation that was compacted: where its script is, and what it has captured."""

import json
import re

from pydantic import BaseModel, ConfigDict, ValidationError

from quarterdeck.engine.models.model import ModelRejectedError

_LINE = re.compile(r"^script: (\{.*\})$", re.MULTILINE)


class _Memory(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    step: int
    captured: dict[str, str]


def written(step: int, captured: dict[str, str]) -> str:
    """The memory as a text for the log: for people, and a last line for `read`."""
    facts = [f"- {name}: {value}" for name, value in captured.items()]
    kept = json.dumps({"step": step, "captured": captured}, ensure_ascii=False)
    return "\n".join([f"The script has given {step} steps. Captured until then:", *facts, "", f"script: {kept}"])


def read(text: str) -> tuple[int, dict[str, str]]:
    """The step given last, and what was captured.

    Raises:
        ModelRejectedError: another model wrote the text.
    """
    found = _LINE.findall(text)
    try:
        memory = _Memory.model_validate_json(found[-1] if found else "")
    except ValidationError:
        raise ModelRejectedError("Another model compacted this conversation; a script can't go on from that.") from None
    return memory.step, memory.captured
