"""Logs that earlier versions wrote: each is read as it stands, and folds to the same session as when it was written.

A file is never changed; a version that writes something new adds one. `0.1` is before subagents, plans and compaction.
"""

import json
from pathlib import Path

import pytest

from quarterdeck.core.events import Event
from quarterdeck.core.fold import fold
from quarterdeck.core.history import Answered, Said, conversation

LOGS = sorted((Path(__file__).parent / "logs").glob("*.ndjson"))
ENDS = {
    "0.1-fix_pipeline": ("idle", 13, 113, "!1"),
    "0.2-compaction": ("idle", 9, 87, ""),
    "0.2-plan": ("finished", 3, 29, ""),
    "0.2-subagents": ("finished", 4, 71, ""),
    "0.3-retention": ("stopped", 0, 4, ""),
}


def read(path: Path) -> list[Event]:
    return [Event.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_corpus_is_whole() -> None:
    assert {path.stem for path in LOGS} == set(ENDS)


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_an_old_log_is_read_and_folds_to_the_same_session(path: Path) -> None:
    events = read(path)
    state = fold(events)
    assert (state.status, state.turn_no, state.seq, state.open_merge_request) == ENDS[path.stem]
    for event, line in zip(events, path.read_text(encoding="utf-8").splitlines(), strict=True):
        written, kept = json.loads(line)["payload"], json.loads(event.model_dump_json())["payload"]
        assert {name: kept[name] for name in written} == written


def test_conversations_of_old_logs_are_what_they_were() -> None:
    logs = {path.stem: read(path) for path in LOGS}
    repair = conversation("repair", logs["0.1-fix_pipeline"])
    assert sum(isinstance(message, Answered) for message in repair.messages) == 6
    reader = conversation("lead:reader:1", logs["0.2-subagents"])
    assert [message.text for message in reader.messages if isinstance(message, Answered)] == [
        "", "I saw main.", "Still there.",
    ]  # fmt: skip
    chat = conversation("friend", logs["0.2-compaction"])
    assert isinstance(chat.messages[0], Said)
    assert "Ada" in chat.messages[0].text
